"""Report on a patch to the gfp bits what a reviewer would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from unidiff.patch import Hunk

from gfpmodel.gfp.changes import Word, apply
from gfpmodel.gfp.facts import Facts, Finding
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, config_text, kernel_name, kernels, tables
from gfpmodel.gfp.patches import Patch, read_patch
from gfpmodel.gfp.rules import RULES


@dataclass(frozen=True)
class Report:
    """The findings on one patch, the base they were made against and why that base, and the word it makes."""

    patch: str
    base: str
    base_why: str
    findings: tuple[Finding, ...]
    words: tuple[Word, ...]
    new_flags: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Return whether there is no error and no warning."""
        return all(finding.severity == "note" for finding in self.findings)

    def within(self, path: str, hunk: Hunk) -> list[Finding]:
        """Return the findings that lie in one hunk of a file."""
        end = hunk.target_start + hunk.target_length
        return [f for f in self.findings if f.file == path and hunk.target_start <= (f.line or 0) < end]

    def to_text(self) -> str:
        """Return the report as a reviewer's list."""
        lines = [f"{self.patch}: against {self.base} ({self.base_why})"]
        for word in self.words if self.new_flags else ():
            values = ", ".join(f"{flag} {word.bits[flag]:#x}" for flag in self.new_flags if flag in word.bits)
            shift = f"shift {word.old_shift} -> {word.shift}, {word.bits_left} bits left"
            lines.append(f"  {word.config_text}: {values or 'no new flag'}; {shift}")
        for f in self.findings:
            place = f"{f.file}:{f.line}: " if f.file else ""
            holds = f" [{f.config}]" if f.config else ""
            lines.append(f"{place}{f.severity}: {f.message}{holds} ({f.rule})")
        lines += [f"remark: {remark}" for remark in self.remarks]
        counts = Counter(f.severity for f in self.findings)
        lines.append(", ".join(f"{counts[s]} {s}{'' if counts[s] == 1 else 's'}" for s in ("error", "warning", "note")))
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Return plain data for ``--json``."""
        return {
            "patch": self.patch,
            "base": self.base,
            "base_why": self.base_why,
            "new_flags": list(self.new_flags),
            "layouts": [
                {
                    "config": config_text(word.config),
                    "old_shift": word.old_shift,
                    "shift": word.shift,
                    "bits_left": word.bits_left,
                    "flags": {flag: hex(word.bits[flag]) for flag in self.new_flags if flag in word.bits},
                }
                for word in self.words
            ],
            "findings": [asdict(finding) for finding in self.findings],
            "remarks": list(self.remarks),
        }


def lint(data: bytes, name: str = "patch", kernel: str | None = None) -> Report:
    """Lint a patch to the gfp bits.

    Arguments: the patch as bytes (diff, mail, mbox or saved page); its name for messages; the kernel it applies to
    (None: the one whose blob ids its index lines name, else v5.8-rc3).  Raises InputError for a patch that cannot be
    read or does not fit the kernel, and for an unknown kernel.
    """
    patch = read_patch(data, name)
    base, why = (kernel_name(kernel), "as asked") if kernel else find_base(patch)
    facts = Facts(patch, base, apply(patch, base))
    found = [finding for rule in RULES for finding in rule(facts)]
    order = {"error": 0, "warning": 1, "note": 2}
    found.sort(key=lambda f: (order[f.severity], f.file or "", f.line or 0))
    change = facts.change
    return Report(name, base, why, tuple(found), change.words, change.new_flags, tuple(_remarks(patch)))


def find_base(patch: Patch) -> tuple[str, str]:
    """Return the kernel whose blobs most index lines name, and why; v5.8-rc3 when none is known."""

    def same(one: str, other: str) -> bool:
        length = min(len(one), len(other))
        return length >= 7 and one[:length] == other[:length]

    hits: dict[str, list[str]] = {}
    for kernel in kernels():
        blobs = tables()["kernels"][kernel]["blobs"]
        hits[kernel] = [path for path, blob in patch.blobs.items() if path in blobs and same(blob, blobs[path])]
    best = max(kernels(), key=lambda k: len(hits[k]))
    if hits[best]:
        return best, f"its index line of {hits[best][0]} names that kernel's blob"
    return DEFAULT_KERNEL, "no index line names a known blob; use --kernel for another"


def _remarks(patch: Patch) -> Iterator[str]:
    if patch.diffstat and patch.diffstat != patch.counts:
        stated, found = ("{} files, {}(+), {}(-)".format(*counts) for counts in (patch.diffstat, patch.counts))
        yield f"the diffstat says {stated}; the diff holds {found}: is a part of it missing?"

"""Report on a patch to the gfp bits what a reviewer would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from unidiff.patch import Hunk

from gfpmodel.gfp.changes import Word, accepts, apply, same_conditions
from gfpmodel.gfp.facts import Facts, Finding
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, config_text, kernels, release, tables, variants
from gfpmodel.gfp.patches import Patch, read_patch
from gfpmodel.gfp.releases import spans, table_version
from gfpmodel.gfp.rules import RULES, undefined_flag

BIT_LIST_SINCE = (6, 15)  #: the trace table is made from a list of bits (TRACE_GFP_EM)


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
    gone_flags: tuple[str, ...] = ()

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
        for word in self.words if self.new_flags or self.gone_flags else ():
            values = ", ".join(f"{flag} {word.bits[flag]:#x}" for flag in self.new_flags if flag in word.bits)
            shift = f"shift {word.old_shift} -> {word.shift}, {word.bits_left} bits left"
            lines.append(f"  {word.config_text}: {values or 'no new flag'}; {shift}")
        for f in self.findings:
            place = ":".join(str(part) for part in (f.file, f.line) if part) + ": " if f.file else ""
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
            "gone_flags": list(self.gone_flags),
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
    (None: one that accepts it, see ``find_base``).  Raises InputError for a patch that cannot be
    read or does not fit the kernel, and for an unknown kernel.
    """
    patch = read_patch(data, name)
    base, why = find_base(patch) if kernel is None else asked_base(kernel)
    facts = Facts(patch, base, apply(patch, base))
    found = [finding for rule in RULES for finding in rule(facts)]
    order = {"error": 0, "warning": 1, "note": 2}
    found.sort(key=lambda f: (order[f.severity], f.file or "", f.line or 0))
    change = facts.change
    return Report(
        name, base, why, tuple(found), change.words, change.new_flags, tuple(_remarks(patch)), change.gone_flags
    )


def asked_base(kernel: str) -> tuple[str, str]:
    """Return the kernel of a name or release, and what to say of it."""
    found = release(kernel)
    return found.table, "as asked" if found.exact else f"as asked: the table for {found.name}, grade {found.grade}"


def find_base(patch: Patch) -> tuple[str, str]:
    """Return a kernel that accepts the patch, and why it: its index lines name that kernel's blobs, or its lines fit.

    Of several whose lines fit, v5.8-rc3 if it is among them, else the newest release.  Where none fits, the one that
    the index lines name, else v5.8-rc3, which will refuse it.
    """
    named = _named(patch)
    for kernel, path in named:
        if accepts(patch, kernel):
            return kernel, f"its index line of {path} names that kernel's blob"
    if named:
        return named[0][0], f"its index line of {named[0][1]} names that kernel's blob"
    if _fits(patch, DEFAULT_KERNEL):
        return DEFAULT_KERNEL, "no index line names a known blob; use --kernel for another"
    for fit in (_fits, accepts):
        found = [kernel for kernel in kernels() if fit(patch, kernel)]
        if fit is accepts and DEFAULT_KERNEL in found:
            break
        if found:
            releases = [kernel for kernel in found if not next(variants(kernel)).state]
            return (releases or found)[-1], f"no index line names a known blob; its lines fit {spans(found)}"
    return DEFAULT_KERNEL, "no index line names a known blob; use --kernel for another"


def _fits(patch: Patch, kernel: str) -> bool:
    """Return whether a kernel accepts the patch, has all flags that it names, and the same ``#if`` around its lines."""
    if not accepts(patch, kernel):
        return False
    facts = Facts(patch, kernel, apply(patch, kernel))
    gone = set(facts.change.gone_flags)
    rows = not facts.lists_bits or table_version(kernel) >= BIT_LIST_SINCE
    new = {finding.flag for finding in undefined_flag(facts)} - gone
    return rows and facts.shown_rows <= facts.defined | gone and not new and same_conditions(patch, kernel)


def _named(patch: Patch) -> list[tuple[str, str]]:
    """Return the kernels whose blobs the index lines name, those with most of them first, each with such a file."""

    def same(one: str, other: str) -> bool:
        length = min(len(one), len(other))
        return length >= 7 and one[:length] == other[:length]

    hits: dict[str, list[str]] = {}
    for kernel in kernels():
        blobs = tables()["kernels"][kernel]["blobs"]
        hits[kernel] = [path for path, blob in patch.blobs.items() if path in blobs and same(blob, blobs[path])]
    best = sorted(kernels(), key=lambda kernel: -len(hits[kernel]))
    return [(kernel, hits[kernel][0]) for kernel in best if hits[kernel]]


def _remarks(patch: Patch) -> Iterator[str]:
    if patch.diffstat and patch.diffstat != patch.counts:
        stated, found = ("{} files, {}(+), {}(-)".format(*counts) for counts in (patch.diffstat, patch.counts))
        yield f"the diffstat says {stated}; the diff holds {found}: is a part of it missing?"

"""Report on a patch to the gfp bits what a reviewer would.

A rule is a function from the facts of a patch to its findings; only what *the patch* makes is reported, never what the
base kernel had already.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property

from unidiff.patch import Hunk, Line, PatchedFile

from gfpmodel.gfp.changes import HEADERS, Change, Word, apply
from gfpmodel.gfp.headers import code_lines
from gfpmodel.gfp.layouts import (
    DEFAULT_KERNEL,
    MAX_BITS_SHIFT,
    config_text,
    kernel_name,
    kernels,
    tables,
)
from gfpmodel.gfp.patches import Patch, read_patch

TRACE_TABLES = ("include/trace/events/mmflags.h", "include/trace/events/gfpflags.h")
PERF_TABLE = "tools/perf/builtin-kmem.c"
INTERNAL = "mm/internal.h"
SLAB_MASKS = ("GFP_RECLAIM_MASK", "GFP_CONSTRAINT_MASK")
SEVERITIES = {
    "bit-collision": "error",
    "shift-too-small": "error",
    "shift-too-large": "error",
    "shift-hole": "warning",
    "no-trace-name": "warning",
    "no-perf-name": "warning",
    "perf-code-clash": "warning",
    "no-kernel-doc": "warning",
    "mask-drops-flag": "warning",
    "bit-renumbered": "note",
    "comment-only": "note",
    "no-user": "note",
    "no-gfp-change": "note",
}

_TRACE_ROW = re.compile(
    r"\{\s*\((?:__force\s+)?unsigned long\)\s*(?P<a>\w+)\s*,\s*\"(?P<name>[^\"]+)\"\s*\}"
    r"|gfpflag_string\(\s*(?P<b>\w+)\s*\)|TRACE_GFP_EM\(\s*(?P<c>\w+)\s*\)"
)
_PERF_ROW = re.compile(r"\{\s*\"(?P<name>\w+)\"\s*,\s*\"(?P<code>[^\"]*)\"\s*\}")
_DEFINE = re.compile(r"^\s*#\s*define\s+(?P<name>_*GFP_\w+)\b")
_GFP_WORD = re.compile(r"\b_*GFP_\w+")
_TESTED = re.compile(r"(?<!&)&=?\s*~?\s*\(?\s*(?:\w+\s*\|\s*)*$|~\s*\(?\s*(?:\w+\s*\|\s*)*$|[=!]=\s*$")
_TEST_FOLLOWS = re.compile(r"^\s*\)?\s*(?:&(?!&)|[=!]=)")


@dataclass(frozen=True)
class Finding:
    """One remark: the rule, its severity, the kernel file and line in the patched tree, the flag and where it holds.

    ``config`` names the configurations in which it holds (None: in all, or it does not depend on them).
    """

    rule: str
    severity: str
    file: str | None
    line: int | None
    flag: str | None
    config: str | None
    message: str


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


@dataclass(frozen=True)
class Facts:
    """All that the rules look at."""

    patch: Patch
    kernel: str
    change: Change

    def finding(self, rule: str, flag: str | None, config: str | None, message: str) -> Finding:
        """Return a finding placed at the line that defines the flag (None: the shift, else the header's first)."""
        place = self.change.place(flag) or self.change.place(None)
        if place is None and self.change.added:
            place = self.change.added[0][0], self.change.added[0][1].line
        file, line = (place[0], place[1].target_line_no) if place else (None, None)
        return Finding(rule, SEVERITIES[rule], file, line, flag, config, message)

    def where(self, words: list[Word]) -> str | None:
        """Name a set of configurations in as few options as do; None for all of them."""
        every = self.change.words
        if len(words) == len(every):
            return None
        shared = dict(words[0].config)
        for word in words:
            shared = {name: on for name, on in shared.items() if word.config[name] == on}
        for name in list(shared):  # drop an option that does not narrow the set
            rest = {n: on for n, on in shared.items() if n != name}
            if sum(all(w.config[n] == on for n, on in rest.items()) for w in every) == len(words):
                shared = rest
        if sum(all(w.config[n] == on for n, on in shared.items()) for w in every) == len(words):
            return config_text(shared)
        return ", or ".join(config_text(word.config) for word in words)

    @cached_property
    def trace_rows(self) -> Counter[tuple[str, str]]:
        """Return the (flag, printed name) rows that the patch adds (+1) and removes (-1) in the trace table."""
        return self._rows(TRACE_TABLES, _TRACE_ROW, _trace_row)

    @cached_property
    def perf_rows(self) -> Counter[tuple[str, str]]:
        """Return the (printed name, code) rows that the patch adds and removes in perf kmem's table."""
        return self._rows((PERF_TABLE,), _PERF_ROW, lambda row: (row["name"], row["code"]))

    @cached_property
    def touches_rows(self) -> bool:
        """Return whether a row of either table is changed, be it only moved."""
        return any(
            (_TRACE_ROW.search(line.value) or _PERF_ROW.search(line.value)) and "GFP_" in line.value
            for file, hunk in self.patch.hunks()
            if file.path in (*TRACE_TABLES, PERF_TABLE)
            for line in hunk
            if not line.is_context
        )

    def _rows(
        self, paths: tuple[str, ...], pattern: re.Pattern[str], read: Callable[[re.Match[str]], tuple[str, str]]
    ) -> Counter[tuple[str, str]]:
        rows: Counter[tuple[str, str]] = Counter()
        for file, hunk in self.patch.hunks():
            if file.path not in paths:
                continue
            for side, sign in ((hunk.source_lines(), -1), (hunk.target_lines(), 1)):
                for line, code in code_lines(side):
                    for match in pattern.finditer(code) if not line.is_context else ():
                        rows[read(match)] += sign
        return Counter({row: n for row, n in rows.items() if n and "GFP_" in row[0]})

    def printed(self, flag: str) -> str:
        """Return the name under which the trace table prints a flag, or would by this kernel's habit."""
        names = [name for (f, name), n in self.trace_rows.items() if f == flag and n > 0]
        old_style = self.kernel == "v4.4"
        return names[0] if names else (flag[2:] if old_style else flag)

    @cached_property
    def defines(self) -> list[tuple[str, Line, str]]:
        """Return (macro, line, code) of every added or removed line inside a GFP_ macro of a header."""
        found = []
        for file, hunk in self.patch.hunks():
            if file.path in (*HEADERS, INTERNAL):
                for side in (hunk.source_lines(), hunk.target_lines()):
                    found += [row for row in _macro_lines(hunk, list(side), self.kernel) if not row[1].is_context]
        return found

    def code(self) -> Iterator[tuple[PatchedFile, Line, str, str]]:
        """Yield every added line of code outside the headers and tables: file, line, code, and the code before it."""
        tables_and_headers = (*HEADERS, *TRACE_TABLES, PERF_TABLE, INTERNAL)
        for file, hunk in self.patch.hunks():
            if file.path in tables_and_headers or not file.path.endswith((".c", ".h", ".S", ".rs")):
                continue
            before = ""
            for line, code in code_lines(hunk.target_lines()):
                if line.is_added:
                    yield file, line, code, before
                before = f"{before[-200:]} {code}"


def _trace_row(row: re.Match[str]) -> tuple[str, str]:
    if row["c"]:
        return f"__GFP_{row['c']}", f"__GFP_{row['c']}"
    flag = row["a"] or row["b"]
    return flag, row["name"] or flag


def _macro_lines(hunk: Hunk, lines: list[Line], kernel: str) -> Iterator[tuple[str, Line, str]]:
    """Yield each line that belongs to a GFP_ macro, with the macro's name, across continuation lines."""
    match = _DEFINE.match(hunk.section_header)
    macro = match["name"] if match else ""
    continued = True
    for line, code in code_lines(lines):
        if match := _DEFINE.match(code):
            macro = match["name"]
        elif not continued or code.lstrip().startswith("#"):
            macro = ""
        elif not macro and code.rstrip().endswith(("\\", ")")):
            macro = _mask_of(code, kernel)
        if macro and _GFP_WORD.search(code):
            yield macro, line, code
        continued = code.rstrip().endswith("\\") or (not macro and not code.strip())


def _mask_of(code: str, kernel: str) -> str:
    """Guess the mask whose continuation line a hunk begins with, from the flags on the line."""
    words = set(_GFP_WORD.findall(code))
    exprs = tables()["kernels"][kernel]["exprs"]
    best = max(SLAB_MASKS, key=lambda mask: len(words & set(exprs[mask]["or"])))
    return best if words & set(exprs[best]["or"]) else ""


def _hex(value: int) -> str:
    return f"{value:#x}"


def bit_collision(facts: Facts) -> Iterator[Finding]:
    """A flag takes a bit that another flag has."""
    pairs: dict[tuple[str, str], list[Word]] = {}
    for word in facts.change.words:
        flags = list(word.bits)
        for i, flag in enumerate(flags):
            for other in flags[i + 1 :]:
                old = word.old_bits.get(flag, 0) & word.old_bits.get(other, 0)
                if word.bits[flag] & word.bits[other] and not old:
                    pairs.setdefault((other, flag), []).append(word)
    for (late, early), words in pairs.items():
        flag, other = (early, late) if _changed(early, words) and not _changed(late, words) else (late, early)
        shared = _hex(words[0].bits[flag] & words[0].bits[other])
        message = f"{flag} takes {shared}, which is {other}'s"
        yield facts.finding("bit-collision", flag, facts.where(words), message)


def _changed(flag: str, words: list[Word]) -> bool:
    return any(word.old_bits.get(flag) != word.bits[flag] for word in words)


def shift_too_small(facts: Facts) -> Iterator[Finding]:
    """``__GFP_BITS_SHIFT`` does not cover a flag: gfp_allowed_mask strips it, and its bit is also a radix tree tag."""
    uncovered: dict[str, list[Word]] = {}
    for word in facts.change.words:
        for flag, value in word.bits.items():
            before = word.old_bits.get(flag, 0)
            if value >> word.shift and not before >> word.old_shift:
                uncovered.setdefault(flag, []).append(word)
    for flag, words in uncovered.items():
        word = words[0]
        message = (
            f"__GFP_BITS_SHIFT {word.shift} does not cover {flag} ({_hex(word.bits[flag])}): the allocator strips it, "
            f"and the bit doubles as a radix tree tag; the shift must be {word.bits[flag].bit_length()}"
        )
        yield facts.finding("shift-too-small", flag, facts.where(words), message)


def shift_too_large(facts: Facts) -> Iterator[Finding]:
    """The shift leaves no room for the three radix tree tags in the 32-bit word."""
    words = [w for w in facts.change.words if w.shift > MAX_BITS_SHIFT >= w.old_shift]
    if words:
        message = f"__GFP_BITS_SHIFT {words[0].shift} is over {MAX_BITS_SHIFT}: BUILD_BUG_ON in radix_tree_init()"
        yield facts.finding("shift-too-large", None, facts.where(words), message)


def shift_hole(facts: Facts) -> Iterator[Finding]:
    """The patch leaves a bit below the shift that no flag uses."""
    holes: dict[tuple[int, ...], list[Word]] = {}
    for word in facts.change.words:
        new, old = _holes(word.bits, word.shift), _holes(word.old_bits, word.old_shift)
        if len(new) > len(old):
            holes.setdefault(tuple(sorted(new - old)), []).append(word)
    for bits, words in holes.items():
        numbers = ", ".join(str(bit) for bit in bits)
        message = f"__GFP_BITS_SHIFT {words[0].shift} counts bit {numbers}, which no flag uses there"
        yield facts.finding("shift-hole", None, facts.where(words), message)


def _holes(bits: object, shift: int) -> set[int]:
    values = bits.values() if isinstance(bits, dict) else ()
    return {bit for bit in range(shift) if not any(value >> bit & 1 for value in values)}


def bit_renumbered(facts: Facts) -> Iterator[Finding]:
    """A flag that was there before gets another number: old logs and out-of-tree modules read wrong."""
    moved: dict[str, list[Word]] = {}
    for word in facts.change.words:
        for flag, value in word.bits.items():
            if word.old_bits.get(flag, value) != value:
                moved.setdefault(flag, []).append(word)
    for flag, words in moved.items():
        old, new = _hex(words[0].old_bits[flag]), _hex(words[0].bits[flag])
        message = f"{flag} moves from {old} to {new}: the number in an old log or module means something else"
        yield facts.finding("bit-renumbered", flag, facts.where(words), message)


def no_trace_name(facts: Facts) -> Iterator[Finding]:
    """A new flag has no row in the trace table, or an old one loses its row: it prints as a number."""
    named = {flag for (flag, _), n in facts.trace_rows.items() if n > 0}
    lost = {flag for (flag, _), n in facts.trace_rows.items() if n < 0} - named
    known = {flag for word in facts.change.words for flag in word.bits}
    for flag in [*facts.change.new_flags, *sorted(lost & known)]:
        if flag not in named:
            message = f"{flag} has no row in the trace table ({_trace_file(facts)}): it prints as a hex number"
            yield facts.finding("no-trace-name", flag, None, message)


def _trace_file(facts: Facts) -> str:
    return TRACE_TABLES[1] if facts.kernel == "v4.4" else TRACE_TABLES[0]


def no_perf_name(facts: Facts) -> Iterator[Finding]:
    """A new flag has no code in perf kmem's table: perf drops it without a word."""
    for flag in facts.change.new_flags:
        printed = facts.printed(flag)
        if not any(name == printed and n > 0 for (name, _), n in facts.perf_rows.items()):
            message = f'perf kmem has no row "{printed}" ({PERF_TABLE}): it drops the flag silently'
            yield facts.finding("no-perf-name", flag, None, message)


def perf_code_clash(facts: Facts) -> Iterator[Finding]:
    """A row that the patch adds uses the short code of another flag."""
    base = [tuple(row) for row in tables()["kernels"][facts.kernel]["perf"]]
    rows = [row for row in base if facts.perf_rows[row] >= 0]
    added = [row for row, n in facts.perf_rows.items() if n > 0]
    for name, code in added:
        others = [other for other, same in [*rows, *added] if same == code and other != name]
        if others:
            flag = name if name.startswith("__") else f"__{name}"
            message = f'the code "{code}" of {name} is {others[0]}\'s already'
            place = facts.change.place(flag) and facts.finding("perf-code-clash", flag, None, message)
            line = _line_with(facts.patch, PERF_TABLE, f'"{name}"')
            yield (
                place
                if line is None and place
                else Finding("perf-code-clash", SEVERITIES["perf-code-clash"], PERF_TABLE, line, flag, None, message)
            )


def _line_with(patch: Patch, path: str, text: str) -> int | None:
    """Return the line of the patched file on which an added line has a text."""
    for file, hunk in patch.hunks():
        for line in hunk if file.path == path else ():
            if line.is_added and text in line.value:
                return line.target_line_no
    return None


def no_kernel_doc(facts: Facts) -> Iterator[Finding]:
    """A new flag has no line in the header's documentation."""
    for flag in facts.change.new_flags:
        doc = re.compile(rf"^\s*/?\*+\s*%?{flag}\b")
        documented = any(
            line.is_added and doc.match(line.value)
            for file, hunk in facts.patch.hunks()
            if file.path in HEADERS
            for line in hunk
        )
        if not documented:
            message = f"no kernel-doc line explains {flag}; the header documents its flags as %__GFP_X"
            yield facts.finding("no-kernel-doc", flag, None, message)


def mask_drops_flag(facts: Facts) -> Iterator[Finding]:
    """No mask that slab keeps has the new flag: kmalloc() with it asks for pages without it."""
    for flag in facts.change.new_flags:
        word = re.compile(rf"\b{flag}\b")
        kept = any(macro in SLAB_MASKS and line.is_added and word.search(code) for macro, line, code in facts.defines)
        if not kept:
            message = (
                f"{' and '.join(SLAB_MASKS)} ({INTERNAL}) lack {flag}: SLAB and SLUB drop it before they ask for pages"
            )
            yield facts.finding("mask-drops-flag", flag, None, message)


def comment_only(facts: Facts) -> Iterator[Finding]:
    """A hunk that speaks of gfp flags changes comments only."""
    for file, hunk in facts.patch.hunks():
        if not file.path.endswith((".c", ".h")) or file.path in HEADERS:
            continue
        changed = [line for line in hunk if line.is_added or line.is_removed]
        words = [word for line in changed for word in _GFP_WORD.findall(line.value)]
        code = [*code_lines(hunk.source_lines()), *code_lines(hunk.target_lines())]
        if words and not any(text.strip() for line, text in code if not line.is_context):
            flag = next((word for word in words if word in facts.change.new_flags), words[0])
            first = next((line for line in changed if line.is_added), changed[0])
            yield Finding(
                rule="comment-only",
                severity=SEVERITIES["comment-only"],
                file=file.path,
                line=first.target_line_no or first.source_line_no,
                flag=flag,
                config=None,
                message=f"this hunk changes comments only; {flag} does nothing here",
            )


def no_user(facts: Facts) -> Iterator[Finding]:
    """The patch adds no caller that passes the new flag."""
    for flag in facts.change.new_flags:
        names = {flag} | {
            macro for macro, line, code in facts.defines if line.is_added and flag in code and macro[0] == "G"
        }
        names -= {f"_{flag}", *SLAB_MASKS}
        word = re.compile(rf"\b(?:{'|'.join(sorted(names))})\b")
        if not any(_passes(word, code, before) for _, _, code, before in facts.code()):
            yield facts.finding("no-user", flag, None, f"no caller in the patch passes {flag}; it only tests for it")


def _passes(word: re.Pattern[str], code: str, before: str) -> bool:
    """Return whether a line passes a flag on, rather than tests or clears it."""
    for match in word.finditer(code):
        ahead = f"{before} {code[: match.start()]}"
        if not _TESTED.search(ahead) and not _TEST_FOLLOWS.search(code[match.end() :]):
            return True
    return False


def no_gfp_change(facts: Facts) -> Iterator[Finding]:
    """The patch changes no flag, composite, mask or table of names."""
    if not (facts.change.touched or facts.touches_rows or facts.defines):
        message = "the patch changes no gfp flag, mask or table of names: there is nothing to review here"
        yield Finding("no-gfp-change", SEVERITIES["no-gfp-change"], None, None, None, None, message)


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    bit_collision,
    shift_too_small,
    shift_too_large,
    shift_hole,
    no_trace_name,
    no_perf_name,
    perf_code_clash,
    no_kernel_doc,
    mask_drops_flag,
    bit_renumbered,
    comment_only,
    no_user,
    no_gfp_change,
)

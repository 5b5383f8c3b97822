"""What the lint rules look at: a patch's changes to the gfp word, the name tables, the masks and the code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from unidiff.patch import Hunk, Line

from gfpmodel.gfp.changes import HEADERS, Change, Word, base_layout, line_number
from gfpmodel.gfp.headers import code_lines
from gfpmodel.gfp.layouts import config_text, tables, variants
from gfpmodel.gfp.patches import Patch

TRACE_TABLES = ("include/trace/events/mmflags.h", "include/trace/events/gfpflags.h")
PERF_TABLE = "tools/perf/builtin-kmem.c"
INTERNAL = "mm/internal.h"
TOOLS_COPY = "tools/include/linux/gfp_types.h"
SLAB_MASKS = ("GFP_RECLAIM_MASK", "GFP_CONSTRAINT_MASK")

SEVERITIES = {
    "bit-collision": "error",
    "shift-too-small": "error",
    "shift-too-large": "error",
    "undefined-flag": "error",
    "shift-hole": "warning",
    "no-trace-name": "warning",
    "no-perf-name": "warning",
    "perf-code-clash": "warning",
    "no-kernel-doc": "warning",
    "mask-drops-flag": "warning",
    "logical-and": "warning",
    "bit-renumbered": "note",
    "flag-removed": "note",
    "tools-copy": "note",
    "comment-only": "note",
    "no-user": "note",
    "no-gfp-change": "note",
}

_TRACE_ROW = re.compile(
    r"\{\s*\([\w\s]*unsigned long[\w\s]*\)\s*\(?\s*(?P<a>\w+)\s*\)?\s*,\s*\"(?P<name>[^\"]+)\"\s*\}"
    r"|gfpflag_string\(\s*(?P<b>\w+)\s*\)|TRACE_GFP_EM\(\s*(?P<c>\w+)\s*\)"
)
_PERF_ROW = re.compile(
    r"\{\s*(?:\.original\s*=\s*)?\"(?P<name>\w+)\"\s*,\s*(?:\.compact\s*=\s*)?\"(?P<code>[^\"]*)\"\s*,?\s*\}"
)
_MACRO = re.compile(r"^\s*#\s*define\b")
_DEFINE = re.compile(r"^\s*#\s*define\s+(?P<name>_*GFP_\w+)\b")
GFP_WORD = re.compile(r"\b_*GFP_\w+")


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
class Facts:
    """All that the rules look at."""

    patch: Patch
    kernel: str
    change: Change

    def finding(
        self, rule: str, flag: str | None, config: str | None, message: str, at: tuple[str, int | None] | None = None
    ) -> Finding:
        """Return a finding at the line that defines the flag (None: the shift), or at ``at``, or the header's first."""
        place = self.change.place(flag) or at or self.change.place(None)
        if place is None and self.change.touched:
            path, statement = self.change.touched[0]
            place = path, line_number(statement.line)
        return self.finding_at(rule, place, flag, message, config)

    def finding_at(
        self, rule: str, place: tuple[str, int | None] | None, flag: str | None, message: str, config: str | None = None
    ) -> Finding:
        """Return a finding at a file and line of its own (None: at no place)."""
        path, line = place or (None, None)
        return Finding(rule, SEVERITIES[rule], path, line, flag, config, message)

    def where(self, words: list[Word]) -> str | None:
        """Name a set of configurations by the options they share, or list it; None for all of them."""
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
        shown = [config_text(word.config) for word in words[:3]]
        return ", or ".join([*shown, f"{len(words) - 3} more"] if len(words) > 3 else shown)

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
        return bool(self.trace_rows or self.perf_rows) or any(
            (_TRACE_ROW.search(line.value) or _PERF_ROW.search(line.value)) and "GFP_" in line.value
            for path, hunk in self.patch.hunks()
            if path in (*TRACE_TABLES, PERF_TABLE)
            for line in hunk
            if not line.is_context
        )

    @cached_property
    def shown_rows(self) -> set[str]:
        """Return the flags in the trace table's rows that the patch shows as they were: context and removed ones."""
        sides = [(path, hunk.source_lines()) for path, hunk in self.patch.hunks() if path in TRACE_TABLES]
        return {_trace_row(match)[0] for _, side in sides for match in _TRACE_ROW.finditer(_text(side))}

    @cached_property
    def lists_bits(self) -> bool:
        """Return whether the patch shows the trace table as a list of bits, as it has been since v6.15."""
        return any(
            "TRACE_GFP_EM(" in line.value for path, hunk in self.patch.hunks() if path in TRACE_TABLES for line in hunk
        )

    @cached_property
    def defined(self) -> set[str]:
        """Return every name of a flag or mask that stands in the patched header, in any configuration."""
        known = {flag for word in self.change.words for flag in word.bits}
        base = [*variants(self.kernel)]
        known |= {name for it in base for name in (*it.bits, *it.composites, *it.compiled_out)}
        known |= {macro for macro, line, _ in self.defines if line.is_added}
        known |= {statement.flag for _, statement in self.change.touched}
        return (known - set(self.change.gone_flags)) | {"__GFP_BITS_MASK", "__GFP_BITS_SHIFT"}

    def _rows(
        self, paths: tuple[str, ...], pattern: re.Pattern[str], read: Callable[[re.Match[str]], tuple[str, str]]
    ) -> Counter[tuple[str, str]]:
        rows: Counter[tuple[str, str]] = Counter()
        for path, hunk in self.patch.hunks():
            if path in paths:
                for side, sign in ((hunk.source_lines(), -1), (hunk.target_lines(), 1)):
                    for match in pattern.finditer(_text(side)):
                        rows[read(match)] += sign
        return Counter({row: n for row, n in rows.items() if n and "GFP_" in row[0]})

    def printed(self, flag: str) -> str:
        """Return the name under which the trace table prints a flag, or would by this kernel's habit."""
        names = [name for (f, name), n in self.trace_rows.items() if f == flag and n > 0]
        return names[0] if names else (flag[2:] if base_layout(self.kernel, {}).plain_names else flag)

    @cached_property
    def defines(self) -> list[tuple[str, Line, str]]:
        """Return (macro, line, code) of every added or removed line inside a GFP_ macro of a header."""
        found = []
        for path, hunk in self.patch.hunks():
            if path in (*HEADERS, INTERNAL):
                for side in (hunk.source_lines(), hunk.target_lines()):
                    found += [row for row in _macro_lines(hunk, list(side), self.kernel) if not row[1].is_context]
        return found

    def mask_change(self, flag: str) -> int:
        """Return how often the patch puts a flag into the masks that slab keeps, less how often it takes it out."""
        kept = re.compile(rf"(?<!~)(?<!~\s)(?<!~\()\b{flag}\b")
        return sum(
            (1 if line.is_added else -1) * len(kept.findall(code))
            for macro, line, code in self.defines
            if macro in SLAB_MASKS
        )

    def added_lines(self, *paths: str) -> Iterator[Line]:
        """Yield the lines that the patch adds to some files."""
        for path, hunk in self.patch.hunks():
            if path in paths:
                yield from (line for line in hunk if line.is_added)

    def removed_at(self, path: str, name: str) -> tuple[str, int | None] | None:
        """Return the place in a file where the patch takes a name out."""
        word = re.compile(rf"\b{name}\b")
        gone = (x for p, hunk in self.patch.hunks() if p == path for x in hunk if x.is_removed and word.search(x.value))
        line = next(gone, None)
        return (path, line_number(line)) if line else None

    def code(self) -> Iterator[list[tuple[bool, str]]]:
        """Yield each hunk's code after the patch as (is added, text) lines: no comments, strings, tables or macros."""
        for path, hunk in self.patch.hunks():
            if path in (*TRACE_TABLES, PERF_TABLE) or path.startswith("tools/"):
                continue
            if path.endswith((".c", ".h", ".S", ".rs")):
                lines, in_macro = [], False
                for line, code in code_lines(hunk.target_lines(), strings=False):
                    in_macro = in_macro or (path.endswith(".h") and bool(_MACRO.match(code)))
                    lines.append((line.is_added, "" if in_macro else code))
                    in_macro = in_macro and code.rstrip().endswith("\\")
                yield lines


def _text(side: Iterable[Line]) -> str:
    """Return code as one text; a row may take two lines, the first with a macro's backslash at its end."""
    return "\n".join(code.rstrip().removesuffix("\\") for _, code in code_lines(side))


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
        if macro and GFP_WORD.search(code):
            yield macro, line, code
        continued = code.rstrip().endswith("\\") or (not macro and not code.strip())


def _mask_of(code: str, kernel: str) -> str:
    """Guess the mask whose continuation line a hunk begins with, from the flags on the line."""
    words = set(GFP_WORD.findall(code))
    exprs = tables()["kernels"][kernel]["exprs"]
    best = max(SLAB_MASKS, key=lambda mask: len(words & set(exprs[mask]["or"])))
    return best if words & set(exprs[best]["or"]) else ""

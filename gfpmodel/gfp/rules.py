"""The lint rules: each a generator from the facts of a patch to its findings.

Only what *the patch* makes is reported, never what the base kernel had already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce
from operator import or_
from typing import Any

from gfpmodel.gfp.callers import logical_operands, passes
from gfpmodel.gfp.changes import HEADERS, Word, base_layout, header_of, line_number
from gfpmodel.gfp.facts import GFP_WORD, INTERNAL, PERF_TABLE, SLAB_MASKS, TOOLS_COPY, TRACE_TABLES, Facts, Finding
from gfpmodel.gfp.headers import code_lines
from gfpmodel.gfp.layouts import MAX_BITS_SHIFT, tables, unused_bits, variants
from gfpmodel.gfp.names import GFP_T_MAX
from gfpmodel.gfp.releases import table_version

TOOLS_COPY_SINCE = (7, 1)
_CONDITION = re.compile(r"\s*#\s*(?:el)?if")


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
        checked = base_layout(facts.kernel, {}).checks_shift
        caught = "BUILD_BUG_ON in radix_tree_init()" if checked else "no check at build time is known to say so"
        message = f"__GFP_BITS_SHIFT {words[0].shift} is over {MAX_BITS_SHIFT}: {caught}"
        yield facts.finding("shift-too-large", None, facts.where(words), message)


def shift_hole(facts: Facts) -> Iterator[Finding]:
    """The patch leaves a bit below the shift that no flag uses.

    A hole where another configuration has a flag is that flag's, and the enum keeps one for no flag at all: such a hole
    is not new when it moves.
    """
    words = facts.change.words
    kept = words[0].kept_free is not None
    owner = {value.bit_length() - 1: flag for word in words for flag, value in word.bits.items()}
    old_owner = {value.bit_length() - 1: flag for word in words for flag, value in word.old_bits.items()}
    holes: dict[tuple[int, ...], list[Word]] = {}
    for word in words:
        before = unused_bits(word.old_bits, word.old_shift)
        old = {old_owner.get(bit, "kept free" if kept else bit) for bit in before}
        new = unused_bits(word.bits, word.shift) if word.shift <= MAX_BITS_SHIFT else ()
        made = tuple(bit for bit in new if owner.get(bit, "kept free" if bit == word.kept_free else bit) not in old)
        if made:
            holes.setdefault(made, []).append(word)
    for bits, where in holes.items():
        numbers = ", ".join(str(bit) for bit in bits)
        message = f"__GFP_BITS_SHIFT {where[0].shift} counts bit {numbers}, which no flag uses there"
        yield facts.finding("shift-hole", None, facts.where(where), message)


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
            yield facts.finding("no-trace-name", flag, None, message, facts.removed_at(_trace_file(facts), flag))


def _trace_file(facts: Facts) -> str:
    return TRACE_TABLES[1] if base_layout(facts.kernel, {}).plain_names else TRACE_TABLES[0]


def no_perf_name(facts: Facts) -> Iterator[Finding]:
    """A new flag has no code in perf kmem's table, or an old one loses its row: perf drops it without a word."""
    named = {name for (name, _), n in facts.perf_rows.items() if n > 0}
    lost = {name for (name, _), n in facts.perf_rows.items() if n < 0} - named
    known = {flag for word in facts.change.words for flag in word.bits}
    new = facts.change.new_flags
    for flag in [*new, *sorted(flag for flag in known if facts.printed(flag) in lost and flag not in new)]:
        printed = facts.printed(flag)
        if printed not in named:
            message = f'perf kmem has no row "{printed}" ({PERF_TABLE}): it drops the flag silently'
            yield facts.finding("no-perf-name", flag, None, message, facts.removed_at(PERF_TABLE, printed))


def perf_code_clash(facts: Facts) -> Iterator[Finding]:
    """A row that the patch adds uses the short code of another flag."""
    base = [(name, code) for name, code in tables()["kernels"][facts.kernel]["perf"]]
    added = [row for row, n in facts.perf_rows.items() if n > 0]
    rows = [row for row in base if facts.perf_rows[row] >= 0] + added
    for name, code in added:
        other = next((other for other, same in rows if same == code and other != name), None)
        if other:
            flag = name if name.startswith("__") else f"__{name}"
            message = f'the code "{code}" of {name} is {other}\'s already'
            line = next((x.target_line_no for x in facts.added_lines(PERF_TABLE) if f'"{name}"' in x.value), None)
            yield facts.finding_at("perf-code-clash", (PERF_TABLE, line), flag, message)


def undefined_flag(facts: Facts) -> Iterator[Finding]:
    """A row, a composite or a mask names a flag that nothing defines: it does not compile, or prints nothing."""
    for (flag, _), n in facts.trace_rows.items():
        if n > 0 and flag not in facts.defined:
            at = _added_at(facts, TRACE_TABLES, flag)
            message = f"the trace table gets a row for {flag}, which nothing defines: it does not compile"
            yield facts.finding_at("undefined-flag", at, flag, message)
    for flag in _perf_flags(facts):
        at = _added_at(facts, (PERF_TABLE,), flag[2:])
        message = f"perf kmem gets a row for {flag}, which nothing defines: no kernel prints that name"
        yield facts.finding_at("undefined-flag", at, flag, message)
    for flag in facts.change.gone_flags:
        for place, what in _left(facts, flag):
            message = f"{flag} is gone, but {what} still names it: it does not compile"
            yield facts.finding_at("undefined-flag", (place, None), flag, message)
    yield from _undefined_in_macros(facts)


def _perf_flags(facts: Facts) -> Iterator[str]:
    """Yield the flags of rows that perf kmem gets, if nothing defines them."""
    printed = {facts.printed(flag) for flag in facts.defined}
    for (name, _), n in facts.perf_rows.items():
        if n > 0 and name not in facts.defined | printed:
            yield name if name.startswith("__") else f"__{name}"


def _added_at(facts: Facts, paths: tuple[str, ...], name: str) -> tuple[str, int | None]:
    word = re.compile(rf"\b_*{name.removeprefix('__GFP_')}\b|{name}\b")
    for path in paths:
        for line in facts.added_lines(path):
            if word.search(line.value):
                return path, line.target_line_no
    return paths[0], None


def _left(facts: Facts, flag: str) -> Iterator[tuple[str, str]]:
    """Yield file and words of what names a removed flag and is left as it was: the trace table, composites, masks."""
    base = base_layout(facts.kernel, {})
    printed = flag[2:] if base.plain_names else flag
    rows = {name for it in variants(facts.kernel) for name, _ in it.trace_table}
    if printed in rows and not any(f == flag and n < 0 for (f, _), n in facts.trace_rows.items()):
        yield _trace_file(facts), "the trace table"
    rewritten = {macro for macro, line, code in facts.defines if line.is_removed and re.search(rf"\b_*{flag}\b", code)}
    for macro, expr in tables()["kernels"][facts.kernel]["exprs"].items():
        operands = {name.replace("___", "__") for names in expr.values() for name in names}
        if flag in operands and macro not in rewritten:
            internal = (
                macro.startswith("GFP_")
                and macro.endswith("_MASK")
                and macro not in ("GFP_MOVABLE_MASK", "GFP_ZONEMASK")
            )
            yield INTERNAL if internal else header_of(facts.kernel), macro


def _undefined_in_macros(facts: Facts) -> Iterator[Finding]:
    """Find flags in added lines of composites and masks that nothing defines."""
    seen: set[str] = set()
    for macro, line, code in facts.defines:
        if not line.is_added or macro.startswith("___"):
            continue
        for word in GFP_WORD.findall(code):
            flag = word.replace("___", "__")
            if flag.startswith("__GFP_") and flag not in facts.defined | seen and flag != macro.replace("___", "__"):
                seen.add(flag)
                path = next(p for p, hunk in facts.patch.hunks() if any(line is other for other in hunk))
                message = f"{macro} names {flag}, which nothing defines: it does not compile"
                yield facts.finding_at("undefined-flag", (path, line_number(line)), flag, message)


def flag_removed(facts: Facts) -> Iterator[Finding]:
    """A flag leaves: which numbers change with it, and which tables and masks must lose it."""
    for flag in facts.change.gone_flags:
        words = [word for word in facts.change.words if flag in word.old_bits]
        values = " or ".join(dict.fromkeys(_hex(word.old_bits[flag]) for word in words))
        heir = next(
            (f for w in words for f, bit in w.bits.items() if bit == w.old_bits[flag] and f not in w.old_bits), None
        )
        changed: dict[str, str] = {}
        for word in words:
            for name, how in _changed_composites(facts, word):
                changed.setdefault(name, how if word is words[0] else f"{how} with {word.config_text}")
        said = [f"{flag} ({values}) leaves" + (f", its bit is {heir}'s now" if heir else "")]
        if changed:
            said.append("numbers that change: " + ", ".join(f"{name} {how}" for name, how in changed.items()))
        said.append("what names it: " + ", ".join(_namers(facts, flag)))
        yield facts.finding("flag-removed", flag, None, "; ".join(said))


def _namers(facts: Facts, flag: str) -> Iterator[str]:
    """Yield the tables, composites and masks of the base that name a flag, and whether the patch takes it out."""
    base = base_layout(facts.kernel, {})
    printed = flag[2:] if base.plain_names else flag
    left = dict.fromkeys(what for _, what in _left(facts, flag))
    rows = {name for it in variants(facts.kernel) for name, _ in it.trace_table}
    if printed in rows:
        yield f"{_trace_file(facts)} ({'still there' if 'the trace table' in left else 'taken out'})"
    if printed in dict(base.perf_table):
        gone = any(name == printed and n < 0 for (name, _), n in facts.perf_rows.items())
        yield f"{PERF_TABLE} ({'taken out' if gone else 'still there: a dead row'})"
    for macro, expr in tables()["kernels"][facts.kernel]["exprs"].items():
        if flag in {name.replace("___", "__") for names in expr.values() for name in names}:
            yield f"{macro} ({'still there' if macro in left else 'taken out'})"
    copied = header_of(facts.kernel) in HEADERS[1:] and has_tools_copy(facts.kernel)
    if copied:
        done = any(path == TOOLS_COPY for path, _ in facts.patch.hunks())
        yield f"{TOOLS_COPY} ({'taken out' if done else 'not touched'})"
    if printed not in rows and printed not in dict(base.perf_table) and not copied:
        yield "no table of the base"


def _changed_composites(facts: Facts, word: Word) -> Iterator[tuple[str, str]]:
    """Yield the composites and masks whose number another word of flags changes, as ``0xa20 -> 0x820``."""
    exprs = tables()["kernels"][facts.kernel]["exprs"]
    for macro in exprs:
        old, new = (
            _composite(macro, exprs, *sides) for sides in ((word.old_bits, word.old_shift), (word.bits, word.shift))
        )
        if old != new:
            yield macro, f"{old:#x} -> {new:#x}"


def _composite(name: str, exprs: Mapping[str, Any], bits: Mapping[str, int], shift: int) -> int:
    """Return the value of a flag, composite or mask in a word; a flag that is not there is 0."""
    if name in exprs:
        of = partial(_composite, exprs=exprs, bits=bits, shift=shift)
        value = reduce(or_, map(of, exprs[name].get("or", [])), 0)
        value |= reduce(or_, (~of(n) & GFP_T_MAX for n in exprs[name].get("or_complement_of", [])), 0)
        return value & ~reduce(or_, map(of, exprs[name].get("and_not", [])), 0)
    if name == "__GFP_BITS_MASK":
        return (1 << shift) - 1
    return bits.get(name.replace("___", "__"), 0)


def tools_copy(facts: Facts) -> Iterator[Finding]:
    """The header changes, and the copy of it that the tools are built with does not."""
    touched = any(path == TOOLS_COPY for path, _ in facts.patch.hunks())
    if facts.change.touched and has_tools_copy(facts.kernel) and not touched:
        message = f"{TOOLS_COPY} is a copy of this header; it lags until someone touches it"
        yield facts.finding_at("tools-copy", (TOOLS_COPY, None), None, message)


def has_tools_copy(kernel: str) -> bool:
    """Return whether a kernel is known to have its gfp header twice: the releases from v7.1 on, which were read."""
    return table_version(kernel) >= TOOLS_COPY_SINCE and not base_layout(kernel, {}).state


def logical_and(facts: Facts) -> Iterator[Finding]:
    """A flag stands beside ``&&`` or ``||``, where it is true whatever the mask: ``&`` or ``|`` was meant."""
    found = []
    for path, hunk in facts.patch.hunks():
        if path.endswith((".c", ".h")):
            code = code_lines(hunk.target_lines(), strings=False)
            rows = [(line, "" if _CONDITION.match(text) else text) for line, text in code]
            for line, flag, operator in logical_operands(rows):
                message = f"{flag} beside {operator} is true whatever the mask; {operator[0]} was meant?"
                found.append(facts.finding_at("logical-and", (path, line_number(line)), flag, message))
    yield from dict.fromkeys(found)  # between two operators a flag is met twice


def no_kernel_doc(facts: Facts) -> Iterator[Finding]:
    """A new flag has no line in the header's documentation."""
    for flag in facts.change.new_flags:
        doc = re.compile(rf"^\s*/?\*+\s*%?{flag}\b")
        if not any(doc.match(line.value) for line in facts.added_lines(*HEADERS)):
            message = f"no kernel-doc line explains {flag}; the header documents its flags as %__GFP_X"
            yield facts.finding("no-kernel-doc", flag, None, message)


def mask_drops_flag(facts: Facts) -> Iterator[Finding]:
    """No mask that slab keeps has a new flag, or one loses an old flag: kmalloc() with it asks for pages without it."""
    known = {flag for word in facts.change.words for flag in word.bits}
    new = facts.change.new_flags
    dropped = [flag for flag in new if facts.mask_change(flag) <= 0]
    for flag in [*dropped, *sorted(flag for flag in known if flag not in new and facts.mask_change(flag) < 0)]:
        message = (
            f"{' and '.join(SLAB_MASKS)} ({INTERNAL}) lack {flag}: SLAB and SLUB drop it before they ask for pages"
        )
        yield facts.finding("mask-drops-flag", flag, None, message, facts.removed_at(INTERNAL, flag))


def comment_only(facts: Facts) -> Iterator[Finding]:
    """A hunk that speaks of gfp flags changes comments only."""
    for path, hunk in facts.patch.hunks():
        if not path.endswith((".c", ".h")) or path in HEADERS:
            continue
        changed = [line for line in hunk if line.is_added or line.is_removed]
        words = [word for line in changed for word in GFP_WORD.findall(line.value)]
        code = [*code_lines(hunk.source_lines()), *code_lines(hunk.target_lines())]
        if words and not any(text.strip() for line, text in code if not line.is_context):
            flag = next((word for word in words if word in facts.change.new_flags), words[0])
            first = next((line for line in changed if line.is_added), changed[0])
            message = f"this hunk changes comments only; {flag} does nothing here"
            yield facts.finding_at("comment-only", (path, line_number(first)), flag, message)


def no_user(facts: Facts) -> Iterator[Finding]:
    """The patch adds no caller that passes the new flag, itself or in a composite."""
    composites = base_layout(facts.kernel, {}).composites
    macros = [(macro, code) for macro, line, code in facts.defines if line.is_added and macro not in SLAB_MASKS]
    for flag in facts.change.new_flags:
        names = {flag}
        while more := {m for m, code in macros for n in names if re.search(rf"\b{n}\b", code)} - names - {f"_{flag}"}:
            names |= more
        if names & set(composites):
            continue  # every caller of that composite passes it now
        word = re.compile(rf"\b(?:{'|'.join(sorted(names))})\b")
        if not any(passes(word, lines) for lines in facts.code()):
            yield facts.finding("no-user", flag, None, f"no line of the patch passes {flag} to the allocator")


def no_gfp_change(facts: Facts) -> Iterator[Finding]:
    """The patch changes no flag, composite, mask or table of names."""
    if not (facts.change.touched or facts.touches_rows or facts.defines or any(logical_and(facts))):
        message = "the patch changes no gfp flag, mask or table of names: there is nothing to review here"
        yield facts.finding_at("no-gfp-change", None, None, message)


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    undefined_flag,
    bit_collision,
    shift_too_small,
    shift_too_large,
    shift_hole,
    no_trace_name,
    no_perf_name,
    perf_code_clash,
    no_kernel_doc,
    mask_drops_flag,
    logical_and,
    bit_renumbered,
    flag_removed,
    tools_copy,
    comment_only,
    no_user,
    no_gfp_change,
)

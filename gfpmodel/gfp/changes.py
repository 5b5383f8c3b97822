"""Work out the layout that a patch makes of a kernel's gfp header, in every configuration.

The header is a list of statements, rebuilt from the shipped table: plain defines with a hand-kept shift, or the enum of
bit numbers that came with commit 772dd0342727 ("mm: enumerate all gfp flags").  The hunks are applied to the list, and
the list is evaluated once for each configuration.  A patch whose old lines are not in the list is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from unidiff.patch import Hunk, Line

from gfpmodel.errors import InputError
from gfpmodel.gfp import cexpr
from gfpmodel.gfp.headers import UNSEEN, Guards, Statement, statements
from gfpmodel.gfp.layouts import (
    GFP_T_BITS,
    MAX_BITS_SHIFT,
    Layout,
    config_names,
    config_text,
    kernels,
    layout,
    tables,
    variants,
)
from gfpmodel.gfp.patches import Patch
from gfpmodel.gfp.releases import spans, table_version

LAST_BIT = "___GFP_LAST_BIT"
UNUSED_BIT = "___GFP_UNUSED_BIT"
MAX_OPTIONS = 8
TYPES_SINCE = (6, 0)  #: the bits moved into a header of their own
HEADERS = ("include/linux/gfp.h", "include/linux/gfp_types.h")


@dataclass(frozen=True)
class Word:
    """The gfp word before and after a patch in one configuration; shifts and values as in Layout."""

    config: Mapping[str, bool]
    old_bits: Mapping[str, int]
    old_shift: int
    bits: Mapping[str, int]
    shift: int
    kept_free: int | None = None  #: the bit that the enum keeps for no flag

    @property
    def config_text(self) -> str:
        """Return the configuration in words."""
        return config_text(self.config) or "any"

    @property
    def bits_left(self) -> int:
        """Return how far the shift may still grow after the patch, as ``Layout.bits_left``."""
        return MAX_BITS_SHIFT - self.shift


@dataclass(frozen=True)
class Change:
    """What a patch makes of a kernel's gfp word, and the statements it adds, removes or puts under another #if."""

    words: tuple[Word, ...]
    touched: tuple[tuple[str, Statement], ...]

    @property
    def gone_flags(self) -> tuple[str, ...]:
        """Return the flags that some configuration had before, and none has now."""
        new = {flag for word in self.words for flag in word.bits}
        return tuple(dict.fromkeys(flag for word in self.words for flag in word.old_bits if flag not in new))

    @property
    def new_flags(self) -> tuple[str, ...]:
        """Return the flags that no configuration had before."""
        old = {flag for word in self.words for flag in word.old_bits}
        return tuple(dict.fromkeys(flag for word in self.words for flag in word.bits if flag not in old))

    def place(self, flag: str | None) -> tuple[str, int | None] | None:
        """Return the file and line that define a flag (None: the shift), an added line rather than a removed one."""
        kinds = ("shift",) if flag is None else ("define", "enum")
        found = [(path, s.line) for path, s in self.touched if s.kind in kinds and flag in (None, s.flag)]
        found.sort(key=lambda at: at[1] is None or not at[1].is_added)
        return (found[0][0], line_number(found[0][1])) if found else None


def line_number(line: Line | None) -> int | None:
    """Return the number of a line in the patched file, or in the old one for a line that is gone."""
    return (line.target_line_no or line.source_line_no) if line else None


class MisfitError(InputError):
    """An old line of a patch that a kernel's header does not have; ``expected`` is what it has instead, if anything."""

    expected = ""


def apply(patch: Patch, kernel: str) -> Change:
    """Apply the gfp header hunks of a patch to a kernel's header.

    Arguments: the patch; a full kernel name.  Raises InputError, with the patch's line and the kernels that accept the
    patch, when an old line is not in that kernel's header, or when an added value or condition cannot be read.
    """
    try:
        return _apply(patch, kernel)
    except MisfitError as error:
        others = [name for name in kernels() if name != kernel and accepts(patch, name)]
        if not others:
            _raise_what_it_makes(patch)
        none = f"{error.expected}; no known kernel's header has all the old lines".removeprefix("; ")
        hint = f"it fits {spans(others)}: use --kernel" if others else none
        raise InputError(f"{error.message}; {hint}", error.file, error.line) from None


def accepts(patch: Patch, kernel: str) -> bool:
    """Return whether a patch applies to a kernel's header."""
    try:
        _apply(patch, kernel)
    except InputError:
        return False
    return True


def _raise_what_it_makes(patch: Patch) -> None:
    """Raise why a patch cannot be read on a kernel that has its old lines, if there is one."""
    for name in reversed(kernels()):
        with suppress(MisfitError):
            _apply(patch, name)


def same_conditions(patch: Patch, kernel: str) -> bool:
    """Return whether the old lines of a patch stand under the ``#if`` that they have in a kernel's header."""
    header = base_header(kernel)
    old = [s for path, hunk in patch.hunks() if path in HEADERS for s in statements(hunk.source_lines())]
    return all(_agree(s.guards, entry.guards) for s in old for entry in header if entry.is_same(s))


def _agree(seen: Guards, known: Guards) -> bool:
    """Return whether the #if branches that a hunk shows are those of the header, as far as the hunk shows them."""
    shown = tuple(guard for guard in seen if guard[0] != UNSEEN)
    return known == shown if shown == seen else known[len(known) - len(shown) :] == shown


def _apply(patch: Patch, kernel: str) -> Change:
    header = list(base_header(kernel))
    touched: list[tuple[str, Statement]] = []
    for path, hunk in patch.hunks():
        if path in HEADERS:
            touched += [(path, s) for s in _apply_hunk(patch, kernel, path, hunk, header)]
    options = list(dict.fromkeys([*config_names(kernel), *(o for _, s in touched for o in s.options)]))
    if len(options) > MAX_OPTIONS:
        raise patch.error(f"the flags depend on {len(options)} options; at most {MAX_OPTIONS} can be tried")
    words = tuple(_word(patch, kernel, config, header) for config in _configs(options))
    return Change(words, tuple(touched))


def header_of(kernel: str) -> str:
    """Return the file that defines the bits of a kernel."""
    return HEADERS[table_version(kernel) >= TYPES_SINCE]


@cache
def base_header(kernel: str) -> tuple[Statement, ...]:
    """Return the statements of a kernel's header: enumerators, defines, the shift."""
    shift = tables()["kernels"][kernel]["shift_formula"]
    full = max(variants(kernel), key=lambda v: len(v.bits))
    enum, defines = [], []
    for bit in range(full.shift):
        flag = full.flag_at(bit)
        option = _option_of(kernel, flag) if flag else None
        guards: Guards = ((f"CONFIG_{option}", True),) if option else ()
        enum.append(Statement("enum", f"_{flag}_BIT" if flag else UNUSED_BIT, "", guards))
        if flag:
            value = f"BIT(_{flag}_BIT)" if shift == LAST_BIT else f"{full.bits[flag]:#x}"
            defines.append(Statement("define", f"_{flag}", value, guards))
            if option:
                defines.append(Statement("define", f"_{flag}", "0", ((f"CONFIG_{option}", False),)))
    enum = [*enum, Statement("enum", LAST_BIT, "")] if shift == LAST_BIT else []
    return (*enum, *defines, Statement("shift", "__GFP_BITS_SHIFT", shift))


def _option_of(kernel: str, flag: str) -> str | None:
    """Return the option that compiles a flag in; None for a flag that is always there."""
    present = [(v.config, flag in v.bits) for v in variants(kernel)]
    if all(there for _, there in present):
        return None
    return next(n for n in config_names(kernel) if all(config[n] == there for config, there in present))


def _find(header: list[Statement] | tuple[Statement, ...], s: Statement) -> int | None:
    """Return where a statement stands in a header."""
    return next((at for at, entry in enumerate(header) if entry.is_same(s)), None)


def _apply_hunk(patch: Patch, kernel: str, path: str, hunk: Hunk, header: list[Statement]) -> list[Statement]:
    """Apply a hunk to the header and return the statements it touches."""
    _check_base(patch, kernel, path, hunk, header)
    outer = _outer(hunk, header)
    old = {id(s.line): s for s in statements(hunk.source_lines(), outer)}
    new = {id(s.line): s for s in statements(hunk.target_lines(), outer)}
    at = next((_find(header, s) for s in old.values() if s.kind == "enum"), None)
    touched = []
    for line in hunk:
        before, after = old.get(id(line)), new.get(id(line))
        if before and before.kind == "enum":
            if at is None or at >= len(header) or not header[at].is_same(before):
                raise misfit(patch, f"{before.name} does not stand here in {kernel}'s enum of gfp bits", line)
            here: int | None = at
        else:
            here = _find(header, before) if before else None
        if before and after and before.guards != after.guards:
            header[_index(here)] = after  # a context line whose #if was changed
            touched.append(after)
        elif before and not after:
            del header[_index(here)]
            touched.append(before)
        elif after and not before:
            if after.kind == "enum" and at is None:
                raise patch.error(f"no line around {after.name} says where it goes; expected a diff with context", line)
            header.insert(_index(at) if after.kind == "enum" else len(header), after)
            touched.append(after)
        if after and after.kind == "enum" and at is not None:
            at += 1
    return touched


def _index(at: int | None) -> int:
    """Return a position that _check_base has made sure of."""
    assert at is not None
    return at


def _outer(hunk: Hunk, header: list[Statement]) -> Guards:
    """Return what encloses a hunk's first line: what the header has around a statement the hunk shows."""
    for s in statements(hunk.source_lines()):
        seen = [guard for guard in s.guards if guard[0] != UNSEEN]
        turned = (UNSEEN, False) in s.guards
        if len(seen) == len(s.guards):
            continue  # behind the #endif of what encloses the first line
        known = header[_index(_find(header, s))].guards
        rest = known[: len(known) - len(seen)]
        if not rest:
            return ()
        *before, (test, branch) = rest
        return (*before, (test, branch != turned))
    closes = any(UNSEEN not in dict(s.guards) for s in statements(hunk.target_lines()))
    return ((UNSEEN, True),) if closes else ()


def _configs(options: list[str]) -> Iterator[dict[str, bool]]:
    """Yield every configuration of some options."""
    for values in product((False, True), repeat=len(options)):
        yield dict(zip(options, values, strict=True))


def base_layout(kernel: str, config: Mapping[str, bool]) -> Layout:
    """Return the layout in a configuration that may name more options than the layout knows."""
    return layout(kernel, {name: config.get(name, False) for name in config_names(kernel)})


def _word(patch: Patch, kernel: str, config: Mapping[str, bool], header: list[Statement]) -> Word:
    """Return the gfp word in one configuration."""
    old = base_layout(kernel, config)
    here = [s for s in header if _true_in(patch, s, config)]
    values: dict[str, int] = {}
    following = 0
    for s in here:
        values[s.name] = _value(patch, s, config, values) if s.value else following
        following = values[s.name] + 1
    defined = {s.flag for s in header if s.kind == "define"}
    bits = {s.flag: values[s.name] for s in here if s.kind == "define" and values[s.name]}
    bare = [s for s in here if s.kind == "enum" and s.flag not in defined]  # the enum entry alone makes a flag
    bits |= {s.flag: 1 << min(values[s.name], 2 * GFP_T_BITS) for s in bare}
    for name in (LAST_BIT, UNUSED_BIT):
        bits.pop(name.removesuffix("_BIT")[1:], None)
    if "__GFP_BITS_SHIFT" not in values:
        raise patch.error(f"nothing defines __GFP_BITS_SHIFT with {config_text(config)}; expected one definition")
    return Word(config, old.bits, old.shift, bits, values["__GFP_BITS_SHIFT"], values.get(UNUSED_BIT))


def _true_in(patch: Patch, s: Statement, config: Mapping[str, bool]) -> bool:
    try:
        return s.true_in(config)
    except ValueError as error:
        raise patch.error(f"{error} in the #if around {s.name}; expected CONFIG_ options", s.line) from None


def _value(patch: Patch, s: Statement, config: Mapping[str, bool], values: Mapping[str, int]) -> int:
    """Evaluate a statement in one configuration, with the names that stand before it."""

    def lookup(name: str) -> int:
        if name.startswith("CONFIG_"):
            return int(config.get(name.removeprefix("CONFIG_"), False))
        if name not in values:
            raise ValueError(f"{name} is not defined")
        return values[name]

    try:
        value = cexpr.evaluate(s.value, lookup)
    except ValueError as error:
        good = {"shift": "a number, IS_ENABLED(CONFIG_X) or ___GFP_LAST_BIT", "enum": "a number"}
        wanted = good.get(s.kind, "0x..u or BIT(___GFP_X_BIT)")
        raise patch.error(f"{error} for {s.name}; expected {wanted}", s.line) from None
    highest = (1 << 2 * GFP_T_BITS) if s.kind == "define" else 2 * GFP_T_BITS
    if not 0 <= value <= highest:
        raise patch.error(f"{s.name} is {value}; expected a bit of a 32-bit word", s.line)
    return value


def _check_base(patch: Patch, kernel: str, path: str, hunk: Hunk, header: list[Statement]) -> None:
    """Refuse a hunk whose old lines are neither this kernel's header nor put there earlier by the same series."""
    source = statements(hunk.source_lines())
    for s in source:
        if _find(header, s) is None:
            raise _misfit(patch, kernel, s)
    home = header_of(kernel)
    shown = [*source, *statements(hunk.target_lines())]
    if shown and path != home:
        raise misfit(patch, f"{path} has no gfp bits in {kernel}; expected {home}", shown[0].line)


def misfit(patch: Patch, message: str, line: Line | None, expected: str = "") -> MisfitError:
    """Return the error for an old line that is not in the header, at a line of the patch."""
    error = MisfitError(message, patch.name, line.diff_line_no if line else None)
    error.expected = expected
    return error


def _misfit(patch: Patch, kernel: str, s: Statement) -> InputError:
    """Return the error for an old line that the kernel's header does not have."""
    text = s.line.value.strip() if s.line else s.name
    message = f"{text!r} is not in {kernel}'s gfp header"
    if _find(base_header(kernel), s) is not None:
        return patch.error(f"{message}; an earlier patch in this file has changed it already", s.line)
    expected = [replace(e, line=None).value or "an enum without it" for e in base_header(kernel) if e.name == s.name]
    return misfit(patch, message, s.line, f"expected {' or '.join(expected) or 'a flag that is there'}")

"""Work out the layout that a patch makes of a kernel's gfp header, in every configuration.

Both styles are read: ``#define ___GFP_X 0x..u`` with a hand-kept shift, and the enum of bit numbers that came with
commit 772dd0342727 ("mm: enumerate all gfp flags").  The base is the shipped table, not a source tree, and a patch
whose old lines contradict it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

from unidiff.patch import Line

from gfpmodel.gfp import cexpr
from gfpmodel.gfp.headers import Condition, Statement, statements
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

LAST_BIT = "___GFP_LAST_BIT"
UNUSED_BIT = "___GFP_UNUSED_BIT"
MAX_OPTIONS = 8
HEADERS = ("include/linux/gfp.h", "include/linux/gfp_types.h")


@dataclass(frozen=True)
class Word:
    """The gfp word before and after a patch in one configuration; shifts and values as in Layout."""

    config: Mapping[str, bool]
    old_bits: Mapping[str, int]
    old_shift: int
    bits: Mapping[str, int]
    shift: int

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
    """What a patch makes of a kernel's gfp word; ``added`` are the statements it adds, with their file."""

    words: tuple[Word, ...]
    added: tuple[tuple[str, Statement], ...]
    touched: bool

    @property
    def new_flags(self) -> tuple[str, ...]:
        """Return the flags that no configuration had before."""
        old = {flag for word in self.words for flag in word.old_bits}
        return tuple(dict.fromkeys(flag for word in self.words for flag in word.bits if flag not in old))

    def place(self, flag: str | None) -> tuple[str, Line] | None:
        """Return the file and the added line that define a flag (None: the shift)."""
        for path, s in self.added:
            if (flag is None and s.kind == "shift") or (flag == s.flag and s.kind != "shift"):
                return path, s.line
        return None


def apply(patch: Patch, kernel: str) -> Change:
    """Apply the gfp header hunks of a patch to a kernel's layouts.

    Raises InputError, with the patch's line, when an old line is not in that kernel's header, or when an added value or
    condition cannot be read.
    """
    hunks = [(file.path, hunk) for file, hunk in patch.hunks() if file.path in HEADERS]
    before = [s for _, hunk in hunks for s in _guarded(hunk.source_lines(), kernel)]
    after = [(path, s) for path, hunk in hunks for s in _guarded(hunk.target_lines(), kernel)]
    added = [(path, s) for path, s in after if s.line.is_added]
    changed = [s for s in before if s.line.is_removed] + [s for _, s in added]
    _check_conditions(patch, [s for _, s in added])
    _check_base(patch, kernel, before, [s for _, s in added])
    enum = _patched_enum(patch, kernel, [[*hunk] for _, hunk in hunks], changed)
    words = tuple(_word(patch, kernel, config, changed, enum) for config in _configs(patch, kernel, changed))
    return Change(words, tuple(added), touched=bool(changed))


def _guarded(lines: Iterator[Line], kernel: str) -> list[Statement]:
    """Return statements, with a condition that was opened above the hunk inferred from a flag that it guards."""
    found = statements(lines)
    for s in found:
        for condition, branch in s.guards:
            if condition.test is None and (option := option_of(kernel, s.flag)):
                condition.test = f"CONFIG_{option}" if (s.value != "0") == branch else f"!CONFIG_{option}"
    return found


@cache
def option_of(kernel: str, flag: str) -> str | None:
    """Return the option that compiles a flag in; None if no single option decides it."""
    present = [(v.config, flag in v.bits) for v in variants(kernel)]
    if len({there for _, there in present}) == 1:
        return None
    names = config_names(kernel)
    return next((n for n in names if all(config[n] == there for config, there in present)), None)


def base_enum(kernel: str) -> list[Statement]:
    """Return the enum of bit numbers of a kernel's header; empty where the header has none."""
    if tables()["kernels"][kernel]["shift_formula"] != LAST_BIT:
        return []
    full = max(variants(kernel), key=lambda v: len(v.bits))
    entries = []
    for bit in range(full.shift):
        flag = full.flag_at(bit)
        option = option_of(kernel, flag) if flag else None
        guards = [(Condition(f"CONFIG_{option}"), True)] if option else []
        entries.append(Statement("enum", f"_{flag}_BIT" if flag else UNUSED_BIT, "", Line("", " "), guards))
    return [*entries, Statement("enum", LAST_BIT, "", Line("", " "), [])]


def _patched_enum(patch: Patch, kernel: str, hunks: list[list[Line]], changed: list[Statement]) -> list[Statement]:
    """Return the enum after the patch, walking each hunk along it."""
    entries = base_enum(kernel)
    added = {id(s.line): s for s in changed if s.kind == "enum" and s.line.is_added}
    for lines in hunks:
        old = {id(s.line): s.name for s in statements(x for x in lines if not x.is_added) if s.kind == "enum"}
        names = [s.name for s in entries]
        at = next((names.index(old[id(line)]) for line in lines if id(line) in old), len(entries))
        for line in lines:
            if id(line) in added:
                entries.insert(at, added[id(line)])
                at += 1
            elif name := old.get(id(line)):
                if at >= len(entries) or entries[at].name != name:
                    raise patch.error(f"{name} does not stand here in {kernel}'s enum of gfp bits", line)
                if line.is_removed:
                    del entries[at]
                else:
                    at += 1
    return entries


def _numbers(enum: list[Statement], config: Mapping[str, bool]) -> dict[str, int]:
    """Number the enumerators as a compiler does."""
    numbers: dict[str, int] = {}
    following = 0
    for s in enum:
        if s.true_in(config):
            numbers[s.name] = cexpr.evaluate(s.value, numbers.__getitem__) if s.value else following
            following = numbers[s.name] + 1
    return numbers


def _configs(patch: Patch, kernel: str, changed: list[Statement]) -> Iterator[dict[str, bool]]:
    """Yield every configuration of the options that the kernel's layout or the patch knows."""
    options = list(dict.fromkeys([*config_names(kernel), *(o for s in changed for o in s.options)]))
    if len(options) > MAX_OPTIONS:
        raise patch.error(
            f"the flags depend on {len(options)} options; at most {MAX_OPTIONS} can be tried", changed[0].line
        )
    for values in product((False, True), repeat=len(options)):
        yield dict(zip(options, values, strict=True))


def base_layout(kernel: str, config: Mapping[str, bool]) -> Layout:
    """Return the layout in a configuration that may name more options than the layout knows."""
    return layout(kernel, {name: config.get(name, False) for name in config_names(kernel)})


def _word(patch: Patch, kernel: str, config: dict[str, bool], changed: list[Statement], enum: list[Statement]) -> Word:
    """Return the gfp word in one configuration."""
    old = base_layout(kernel, config)
    numbers = _enum_numbers(patch, enum, config)
    base = dict(old.bits)
    if enum:
        base = {s.flag: 1 << min(numbers[s.name], 2 * GFP_T_BITS) for s in enum if s.name in numbers}
        for name in (LAST_BIT, UNUSED_BIT):
            base.pop(name.removesuffix("_BIT")[1:], None)
    here = [s for s in changed if s.true_in(config) and s.kind != "enum"]
    values: dict[str, list[tuple[int, int]]] = {}
    for s in here:
        if s.line.is_added or not enum:
            sign = 1 if s.line.is_added else -1
            values.setdefault(s.name, []).append((sign, _value(patch, s, config, numbers)))
    shift = _standing(numbers.get(LAST_BIT, old.shift), values.pop("__GFP_BITS_SHIFT", []))
    bits = base | {name[1:]: _standing(base.get(name[1:], 0), changes) for name, changes in values.items()}
    return Word(config, old.bits, old.shift, {name: value for name, value in bits.items() if value}, shift)


def _standing(old: int, changes: list[tuple[int, int]]) -> int:
    """Return the value that stands when old lines are taken away (-1, value) and new ones put in (+1, value)."""
    count = Counter({old: 1})
    for sign, value in changes:
        count[value] += sign
    added = [value for sign, value in changes if sign > 0]
    return next((value for value in [*reversed(added), old] if count[value] > 0), 0)


def _enum_numbers(patch: Patch, enum: list[Statement], config: Mapping[str, bool]) -> dict[str, int]:
    try:
        return _numbers(enum, config)
    except (KeyError, ValueError):
        line = next((s.line for s in enum if s.value), None)
        raise patch.error("an enumerator's value cannot be read; expected a number", line) from None


def _value(patch: Patch, s: Statement, config: Mapping[str, bool], numbers: Mapping[str, int]) -> int:
    """Evaluate a statement in one configuration."""
    try:
        value = cexpr.evaluate(s.value, lambda name: _lookup(name, config, numbers))
    except ValueError as error:
        good = (
            "a number, IS_ENABLED(CONFIG_X) or ___GFP_LAST_BIT" if s.kind == "shift" else "0x..u or BIT(___GFP_X_BIT)"
        )
        raise patch.error(f"{error} for {s.name}; expected {good}", s.line) from None
    if value < 0:
        raise patch.error(f"{s.name} is negative; expected bits", s.line)
    return value


def _lookup(name: str, config: Mapping[str, bool], numbers: Mapping[str, int]) -> int:
    if name.startswith("CONFIG_"):
        return int(config.get(name.removeprefix("CONFIG_"), False))
    if name not in numbers:
        raise ValueError(f"{name} is not defined")
    return numbers[name]


def _check_conditions(patch: Patch, added: list[Statement]) -> None:
    """Refuse an added line under an #if that cannot be read."""
    for s in added:
        try:
            s.true_in({})
        except ValueError as error:
            raise patch.error(f"{error} in the #if around {s.name}; expected CONFIG_ options", s.line) from None


def _check_base(patch: Patch, kernel: str, before: list[Statement], added: list[Statement]) -> None:
    """Refuse a patch whose old lines are neither this kernel's header nor put there earlier by the same series."""
    own = {(s.name, s.value): s.line.diff_line_no or 0 for s in added}
    old = [s for s in before if own.get((s.name, s.value), 1 << 30) > (s.line.diff_line_no or 0)]
    for s in old:
        if not _fits(kernel, s):
            others = [k for k in kernels() if all(_fits(k, other) for other in old)]
            hint = f"it fits {', '.join(others)}: use --kernel" if others else f"expected {_expected(kernel, s)}"
            raise patch.error(f"{s.line.value.strip()!r} is not in {kernel}'s gfp header; {hint}", s.line)


def _fits(kernel: str, s: Statement) -> bool:
    """Return whether a line can stand in the kernel's header."""
    enum = base_enum(kernel)
    if s.kind == "enum":
        return s.name in {entry.name for entry in enum}
    return any(_fits_in(v, s, _numbers(enum, v.config)) for v in variants(kernel))


def _fits_in(v: Layout, s: Statement, numbers: Mapping[str, int]) -> bool:
    """Return whether a flag or shift line can stand in the header of one configuration."""
    try:
        value = cexpr.evaluate(s.value, lambda name: _lookup(name, v.config, numbers))
        here = s.true_in(v.config)
    except ValueError:
        return False
    known = s.kind == "shift" or s.flag in v.bits or s.flag in v.compiled_out
    return known and here and value == (v.shift if s.kind == "shift" else v.bits.get(s.flag, 0))


def _expected(kernel: str, s: Statement) -> str:
    """Say what the kernel has in place of a line that does not fit."""
    if s.kind == "shift":
        return f"a shift of {' or '.join(str(n) for n in sorted({v.shift for v in variants(kernel)}))}"
    values = sorted({v.bits.get(s.flag, 0) for v in variants(kernel)})
    if values == [0]:
        return f"a flag of {kernel} (it has no {s.flag})"
    return f"{s.flag} = {' or '.join(hex(value) for value in values)}"

"""Decode and encode masks under the names that one kernel prints."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gfpmodel.errors import InputError, unknown
from gfpmodel.gfp.cexpr import evaluate
from gfpmodel.gfp.layouts import GFP_T_BITS, Layout, kernels, variants
from gfpmodel.gfp.releases import spans

GFP_T_MAX = (1 << GFP_T_BITS) - 1
LONGEST_NUMBER = 20  #: digits
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,20}")
_DECIMAL = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Decoded:
    """A mask in the words of one kernel.

    ``text`` is what a trace event prints, ``compact`` what perf kmem makes of it, ``flags`` the single flags of the
    mask, ``leftover`` the bits that no row of the trace table covers, and ``ambiguous`` the printed names that are
    this kernel's names of another mask, too.
    """

    layout: Layout
    mask: int
    text: str
    compact: str
    flags: tuple[str, ...]
    leftover: int
    ambiguous: tuple[str, ...]

    @property
    def printk(self) -> str:
        """Return what ``%pGg`` prints: as ``text``, but nothing at all for 0 (v4.4 has no ``%pGg``)."""
        return self.text if self.mask else ""

    def __str__(self) -> str:
        return self.text


def check_mask(mask: int) -> int:
    """Return ``mask`` if it fits a gfp_t (unsigned, 32 bits); raises InputError if not."""
    if not 0 <= mask <= GFP_T_MAX:
        raise InputError(f"mask {mask:#x} is no gfp_t; expected 0 to {GFP_T_MAX:#x} (32 bits)")
    return mask


def parse_mask(text: str) -> int:
    """Parse a mask written as a number: hexadecimal with 0x, or decimal.

    Raises InputError for anything else, and for a number without 0x that looks like hexadecimal: with letters in it, or
    of digits that set fewer flags when they are read so.
    """
    number = text.strip()
    if _HEX.fullmatch(number):
        return check_mask(int(number, 16))
    if _DECIMAL.fullmatch(number) and len(number) <= LONGEST_NUMBER:
        as_decimal, as_hex = int(number), int(number, 16)
        if as_hex > GFP_T_MAX or as_hex == as_decimal or as_decimal.bit_count() < as_hex.bit_count():
            return check_mask(as_decimal)
        raise _unclear(number, f", or {as_decimal:#x} if it is decimal")
    if _HEX.fullmatch(f"0x{number}"):
        raise _unclear(number, "")
    raise InputError(f"bad mask {text[:80]!r}; expected a number such as 0xcc0 (for names, use encode)")


def _unclear(number: str, decimal: str) -> InputError:
    return InputError(f"{number} looks like hexadecimal without its 0x; write 0x{number}{decimal}")


def decode(mask: int, layout: Layout) -> Decoded:
    """Decode a mask as the kernel prints it: table order, first match wins, its bits are cleared, the rest in hex.

    Arguments: a 32-bit mask; the layout of the kernel that printed it.  Raises InputError for a wider mask.
    Models: kernel/trace/trace_output.c:trace_print_flags_seq and include/trace/events/mmflags.h:show_gfp_flags (v5.8).
    """
    rest = check_mask(mask)
    rows = []
    for name, bits in layout.trace_table:
        if rest and rest & bits == bits:
            rows.append((name, bits))
            rest &= ~bits
    printed = [name for name, _ in rows] + ([f"{rest:#x}"] if rest else [])
    if not mask:
        printed, rows = [zero_name(layout)], [(zero_name(layout), 0)]
    text = "|".join(printed)
    return Decoded(
        layout=layout,
        mask=mask,
        text=text,
        compact=compact(text, layout),
        flags=tuple(name for name, value in layout.bits.items() if mask & value),
        leftover=rest,
        ambiguous=tuple(name for name, bits in rows if lookup(name, layout) != bits),
    )


def zero_name(layout: Layout) -> str:
    """Return what trace events of a kernel print for mask 0: up to v4.5 GFP_NOWAIT, which can be another mask there."""
    return "GFP_NOWAIT" if layout.plain_names else "none"


def compact(text: str, layout: Layout) -> str:
    """Return perf kmem's short form of a decoded text; a token that perf does not know is silently dropped.

    Models: tools/perf/builtin-kmem.c:compact_gfp_flags (v5.8).
    """
    return "|".join(code for token in text.split("|") for name, code in layout.perf_table if name == token)


def lookup(name: str, layout: Layout) -> int:
    """Return the value of a flag, composite or trace name; raises InputError with the nearest known names."""
    flag = name[1:] if name.startswith("___GFP_") else name
    if flag in ("none", ""):
        return 0
    for table in (layout.composites, layout.bits, dict(layout.trace_table)):
        if flag in table:
            return table[flag]
    if flag in layout.compiled_out:  # the header defines it as 0 in this configuration
        return 0
    known = [*layout.bits, *layout.composites, *layout.compiled_out]
    error = unknown("flag", name, known, f" in {layout}")
    elsewhere = [k for k in kernels() if any(flag in {**v.bits, **v.composites} for v in variants(k))]
    if elsewhere:
        raise InputError(f"unknown flag {name!r} in {layout}; it is one of {spans(elsewhere)}")
    raise error


def encode(text: str, layout: Layout) -> int:
    """Encode names, numbers and ``| & ~`` of them into a mask, under one kernel's layout.

    Accepts what ``decode`` returns, composites, ``__GFP_X`` and ``___GFP_X``; ``none`` and the empty text are 0.
    Where v4.4 prints one name for two masks, the composite is meant.  Raises InputError.
    """
    if not text.strip():
        return 0
    if text.strip().isalnum() and text.strip()[0].isdigit():
        return parse_mask(text)
    try:
        value = evaluate(text, lambda name: lookup(name, layout))
    except InputError:
        raise
    except ValueError:
        raise InputError(f"bad mask {text!r}; expected names such as 'GFP_NOWAIT|__GFP_NOWARN'") from None
    return check_mask(value & GFP_T_MAX if "~" in text else value)

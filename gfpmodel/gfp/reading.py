"""Read a mask as people bring it: a number, or the line in which a kernel printed its number and its names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, Layout, config_text, kernels, layout, variants
from gfpmodel.gfp.names import decode, encode, lookup, parse_mask
from gfpmodel.gfp.releases import Release, release, reported_release, spans, table_version, version_text

_NAME = r"(?:_{0,3}GFP_\w+|none|0x[0-9a-fA-F]+)"
_NAMES = rf"{_NAME}(?:\s*\|\s*{_NAME})*"
_KEY = r"\b(?:mode|gfp_mask|gfp_flags|gfp)\s*[:=]\s*"
_PRINTED = re.compile(
    rf"(?:{_KEY})?(?P<number>0[xX][0-9a-fA-F]+)\s*\((?P<names>{_NAMES})?\)|{_KEY}(?P<alone>{_NAMES}|\d\w*)"
)
_BARE = re.compile(r"[-+]?\w+")
WITH_NAMES = (4, 6)  #: the first version whose reports have the names behind the number

#: Flags of vendors that were met: the bit, the versions from and to, and what it is there.
VENDOR_FLAGS = (
    (0x100000, (3, 10), (3, 10), "__GFP_ACCOUNT in newer builds of RHEL 7, KMEMCG in older ones"),
    (0x2000000, (3, 0), (3, 18), "___GFP_CMA of Qualcomm's kernels, or ___GFP_SLOWHIGHMEM of Samsung's"),
    (0x4000000, (4, 9), (4, 9), "___GFP_HIGHUSER_MOVABLE_NOCMA of Tegra kernels"),
    (0x8000000, (4, 9), (4, 9), "___GFP_MOVABLE_TRY_CMA of Tegra kernels"),
    (0x4000000, (4, 14), (4, 14), "___GFP_CMA of Qualcomm's kernels"),
    (0x1000000, (4, 19), (4, 19), "___GFP_CMA of an Android kernel"),
    (0x800000, (5, 10), (5, 10), "___GFP_CMA of Android's common kernel"),
    (0x8000000, (5, 18), (6, 1), "___GFP_CMA of Android's common kernels"),
)


@dataclass(frozen=True)
class Asked:
    """What a text says of a mask: its number, its names (None: not there), the release it names, other masks in it.

    ``raw``: a trace line has the number where names should be.
    """

    number: int | None
    names: str | None
    release: str | None = None
    others: int = 0
    raw: bool = False


@dataclass(frozen=True)
class Reading:
    """A mask under the layout that was chosen for it.

    ``fits`` are the kernels that print this number in these words, ``agrees`` whether number and names are one mask
    under ``layout`` (None: the text has not both), ``remarks`` what a reader should know.
    """

    asked: Asked
    mask: int
    layout: Layout
    release: Release
    fits: tuple[str, ...]
    agrees: bool | None
    remarks: tuple[str, ...]

    @property
    def table_line(self) -> str:
        """Return which table was taken for the release and how near it is; empty where that is the one asked for."""
        if self.release.exact and self.release.grade == "A":
            return ""
        whose = "" if self.release.exact else f" for {self.release.name}"
        return f"{self.release.table}{whose}; {self.release.nearness}"


def read_mask(text: str) -> Asked:
    """Find the mask in a text: a number, ``mode:0x..(NAMES)``, ``gfp_mask=0x..(NAMES)``, ``gfp_flags=NAMES``.

    Raises InputError for a text without a mask, and for a number that looks like hexadecimal without its 0x.
    """
    if _BARE.fullmatch(text.strip()):
        return Asked(parse_mask(text), None)
    found = list(_PRINTED.finditer(text))
    if not found:
        raise InputError(
            f"bad mask {text[:80]!r}; expected a number such as 0xcc0, or a kernel's line with mode:, gfp_mask= or "
            f"gfp_flags= (for names, use encode)"
        )
    first = found[0]
    others = len({match[0] for match in found} - {first[0]})
    if first["number"]:
        return Asked(parse_mask(first["number"]), _plain(first["names"] or ""), reported_release(text), others)
    if first["alone"][0].isdigit() and "|" not in first["alone"]:
        raw = first[0].startswith("gfp_flags")
        return Asked(parse_mask(first["alone"]), None, reported_release(text), others, raw)
    return Asked(None, _plain(first["alone"]), reported_release(text), others)


def _plain(names: str) -> str:
    return "|".join(name.strip() for name in names.split("|"))


def read(text: str, kernel: str | None = None, config: Mapping[str, bool] | None = None) -> Reading:
    """Read a mask, under the kernel that is given or named in the text, else one whose names these are, else v5.8-rc3.

    Arguments: a number or a kernel's line; a kernel or release; options without CONFIG_.  Raises InputError for what is
    no mask, for an unknown kernel or option, and for names that no kernel has.
    """
    asked = read_mask(text)
    options = dict(config or {})
    fitting = list(_fitting(asked))
    kernel = asked.release if kernel is None else kernel
    if kernel is not None:
        names, it = release(kernel), layout(kernel, options)
        same = [v for v in fitting if v.kernel == it.kernel]
        if same and it not in same and not options:
            it = layout(kernel, same[0].config)  # the options in which this kernel prints these names
    else:
        it = _by_names(asked, fitting, options) if asked.names else layout(DEFAULT_KERNEL, options)
        names = release(it.kernel)
    mask = encode(asked.names or "", it) if asked.number is None else asked.number
    fits = tuple(dict.fromkeys(v.kernel for v in fitting))
    agrees, said = _agreement(asked, it, fits)
    remarks = [*said, *_places(mask, it, by_default=kernel is None), *_vendors(mask, it), *filter(None, [names.note])]
    if asked.raw:
        remarks.append(
            "a number for names: so trace-cmd and perf print on v6.10 to 6.12.10, whose enum they cannot resolve"
        )
    elif kernel is None and asked.names is None and not mask & ~it.defined and not _BARE.fullmatch(text.strip()):
        remarks += _nameless(mask)
    if asked.others:
        remarks.append(f"the text has {asked.others} more, other masks: this is the first")
    return Reading(asked, mask, it, names, fits, agrees, tuple(remarks))


def every_layout() -> Iterator[Layout]:
    """Yield all layouts: each kernel without any option first, then with its options."""
    for group in (slice(0, 1), slice(1, None)):
        for kernel in kernels():
            yield from list(variants(kernel))[group]


def value(names: str, it: Layout) -> int | None:
    """Return the mask that names are under a layout, None where it lacks one of them."""
    try:
        return encode(names, it)
    except InputError:
        return None


def _fitting(asked: Asked) -> Iterator[Layout]:
    """Yield the layouts whose kernel prints the number in these words; or, of names alone, prints these words."""
    if not asked.names:
        return
    for it in every_layout():
        number = value(asked.names, it) if asked.number is None else asked.number
        if number is not None and asked.names in (decode(number, it).text, decode(number, it).printk):
            yield it


def _by_names(asked: Asked, fitting: list[Layout], options: Mapping[str, bool]) -> Layout:
    """Choose a layout by the names: one that fits, or one in which they are the number, or one that has them all."""
    names = asked.names or ""

    def allowed(it: Layout) -> bool:
        return all(it.config.get(option) == on for option, on in options.items())

    known = [(it, value(names, it)) for it in filter(allowed, every_layout())] if not fitting else []
    having = [it for it, number in known if number is not None]
    equal = [it for it, number in known if number is not None and number == asked.number]
    for group in (list(filter(allowed, fitting)), equal, having):
        if group:
            return next((it for it in group if it.kernel == DEFAULT_KERNEL), group[0])
    encode(names, layout(DEFAULT_KERNEL))  # says which name is unknown
    raise InputError(f"no known kernel has all of {names} with {config_text(options) or 'any options'}")


def _agreement(asked: Asked, it: Layout, fits: tuple[str, ...]) -> tuple[bool | None, list[str]]:
    """Return whether number and names are one mask, and what to say of it."""
    if asked.names is None or asked.number is None or not (asked.names or asked.number):
        return None, []
    elsewhere = f"; number and names fit {spans(list(fits))}" if fits else "; no known kernel prints them together"
    missing = [name for name in asked.names.split("|") if value(name, it) is None]
    if missing:
        return False, [f"contradiction: {it.kernel} has no {', '.join(missing)}{elsewhere}"]
    number = encode(asked.names, it)
    if number != asked.number:
        return False, [
            f"contradiction: the names are {number:#x} under {it}, the number is {asked.number:#x}{elsewhere}"
        ]
    printed = decode(number, it).text
    return True, [] if it.kernel in fits else [f"the same mask, but {it.kernel} prints it as {printed}{elsewhere}"]


def _places(mask: int, it: Layout, *, by_default: bool) -> Iterator[str]:
    """Say where bits that are no flag of this layout may come from: another option, another kernel, a vendor."""
    stray = mask & ~it.defined
    if not stray:
        return
    for other in variants(it.kernel):
        if not mask & ~other.defined:
            options = {name: on for name, on in other.config.items() if on != it.config[name]}
            flags = "|".join(name for name, bit in other.bits.items() if bit & stray)
            yield f"{stray:#x} is {flags} with {config_text(options)}"
            return
    highest = max(v.bits_mask for v in variants(it.kernel))
    where = f"beyond bit {highest.bit_length() - 1}, the last" if mask & ~highest else "no flag in any configuration"
    yield f"{stray:#x} is {where} of {it.kernel}: a mask of another kernel, or a vendor's flag"
    best = shortest(mask)
    if best:
        words, names = best
        hint = "; name the kernel with --kernel" if by_default else ""
        yield f"it reads as {words} in {spans(names)}{hint}"


def _nameless(mask: int) -> Iterator[str]:
    """Say what the number of a report without names is in the kernels that print no names, if that says it shorter."""
    words, names = shortest(mask) or ("", [])
    if names and table_version(names[-1]) < WITH_NAMES:
        yield (
            f"a report without names is of a kernel before v{version_text(WITH_NAMES)}, or cut short: it reads as "
            f"{words} in {spans(names)}; name the kernel with --kernel"
        )


def shortest(mask: int) -> tuple[str, list[str]] | None:
    """Return the reading of a mask with the fewest names and no bit left over, and the kernels that print it so."""
    found: dict[str, list[str]] = {}
    for it in every_layout():
        decoded = decode(mask, it)
        if not decoded.leftover and not mask & ~it.defined:
            found.setdefault(decoded.text, []).append(it.kernel)
    if not found:
        return None
    words = min(found, key=lambda text: text.count("|"))
    return words, list(dict.fromkeys(found[words]))


def _vendors(mask: int, it: Layout) -> Iterator[str]:
    """Name the vendors' flags that a mask's bits may be."""
    for bit, first, last, what in VENDOR_FLAGS:
        if mask & bit and first <= it.version <= last and (not it.defined & bit or bit == VENDOR_FLAGS[0][0]):
            yield f"{bit:#x} may be a vendor's: {what}"


def ambiguous_names(found: Reading) -> dict[str, int]:
    """Return the printed names that are this kernel's names of another mask, too, with that mask."""
    return {name: lookup(name, found.layout) for name in decode(found.mask, found.layout).ambiguous}

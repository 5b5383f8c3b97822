"""What a mask asks for: may it sleep, whom does it wake, how deep into the reserves, which zone, which lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from gfpmodel.gfp.layouts import Layout, tables
from gfpmodel.gfp.names import check_mask

RETRY_FLAGS = ("NORETRY", "RETRY_MAYFAIL", "REPEAT")  #: how hard direct reclaim tries (REPEAT: v4.4)
MIGRATETYPES = ("UNMOVABLE", "MOVABLE", "RECLAIMABLE")
BY_HIGH_SINCE, BY_HIGH_STABLE = (
    (6, 3),
    (6, 1),
)  #: __GFP_HIGH opens the extra quarter, not __GFP_ATOMIC; and in stable 6.1
X86_64 = "x86_64 (DMA,DMA32,NORMAL,MOVABLE)"


@dataclass(frozen=True)
class Contradiction:
    """Flags that ask for what cannot be had together, and what the kernel does about it."""

    flags: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Meaning:
    """The answers a reviewer wants of a mask, under one layout.

    ``watermark`` is the part of the zone's min watermark that must stay free in the slow path (None: the request
    never gets there and must pass the low one); ``dropped`` are bits that gfp_allowed_mask removes at the door;
    ``undefined`` are bits below the shift that no flag of this layout has; ``idle`` are flags that change nothing here.
    """

    may_sleep: bool
    wakes_kswapd: bool
    watermark: Fraction | None
    zone: str | None
    migratetype: str | None
    dropped: int
    undefined: int
    contradictions: tuple[Contradiction, ...]
    idle: tuple[str, ...]

    @property
    def reserves(self) -> str:
        """Return how deep the request may go, in words."""
        if self.watermark is None:
            return "none: it fails at the low watermark"
        if self.watermark == 1:
            return "none: down to the min watermark"
        if self.watermark == 0:
            return "all: no watermark is checked"
        return f"down to {self.watermark} of the min watermark"

    @property
    def answers(self) -> dict[str, str]:
        """Return question and answer pairs, as the command line and the widgets show them."""
        lines = {
            "may sleep": self._sleep(),
            "wakes kswapd": "yes" if self.wakes_kswapd else "no",
            "reserves": self.reserves,
            "zone": self.zone or "none: GFP_ZONE_BAD, the kernel trips VM_BUG_ON",
            "migratetype": self.migratetype or "none: gfp_migratetype() warns",
        }
        if self.dropped:
            lines["dropped"] = f"{self.dropped:#x}: above __GFP_BITS_MASK, gfp_allowed_mask strips it silently"
        if self.undefined:
            lines["undefined"] = f"{self.undefined:#x}: no flag of this layout"
        if self.idle:
            lines["no effect"] = f"{'|'.join(self.idle)} without direct reclaim"
        return lines

    def _sleep(self) -> str:
        if self.may_sleep and self.watermark is None:
            return "yes: might_sleep() fires, though it never reclaims"
        return "yes (direct reclaim)" if self.may_sleep else "no"

    def to_json(self) -> dict[str, object]:
        """Return plain data for ``--json``."""
        return {
            "may_sleep": self.may_sleep,
            "wakes_kswapd": self.wakes_kswapd,
            "reserves": self.reserves,
            "watermark": None if self.watermark is None else str(self.watermark),
            "zone": self.zone,
            "migratetype": self.migratetype,
            "dropped": self.dropped,
            "undefined": self.undefined,
            "no_effect": list(self.idle),
            "contradictions": [{"flags": list(c.flags), "why": c.why} for c in self.contradictions],
        }


def meaning(mask: int, layout: Layout) -> Meaning:
    """Say what a mask asks the page allocator for, once the kernel has booted.

    Zones are those of x86-64.  Leaves out the caller's task flags (PF_MEMALLOC, scoped NOFS/NOIO), realtime tasks
    (which later kernels give the __GFP_HIGH reserve), cpusets, NUMA and memcg.  Raises InputError for a wide mask.
    Models: mm/page_alloc.c:gfp_to_alloc_flags and :__zone_watermark_ok, include/linux/gfp.h:gfp_zone (v5.8).
    """
    effective = check_mask(mask) & layout.bits_mask
    has = _tester(effective, layout)
    fast_try = has("FAST_TRY")
    return Meaning(
        may_sleep=has("DIRECT_RECLAIM"),
        wakes_kswapd=_wakes_kswapd(effective, layout) and not fast_try,
        watermark=None if fast_try else _watermark(effective, layout),
        zone=_zone(effective, layout),
        migratetype=_migratetype(effective, layout),
        dropped=mask & ~layout.bits_mask,
        undefined=effective & ~layout.defined,
        contradictions=tuple(_contradictions(effective, layout)),
        idle=() if has("DIRECT_RECLAIM") else tuple(f"__GFP_{name}" for name in RETRY_FLAGS if has(name)),
    )


def _tester(mask: int, layout: Layout) -> Callable[[str], bool]:
    """Return a test for one flag of a mask, named without its ``__GFP_``.

    Before v4.4 one flag, __GFP_WAIT, asked for direct reclaim, and kswapd was woken unless __GFP_NO_KSWAPD forbade it.
    """

    def has(name: str) -> bool:
        return bool(mask & layout.bits.get(f"__GFP_{name}", 0))

    def waits(name: str) -> bool:
        return has("WAIT") if name == "DIRECT_RECLAIM" else has(name)

    return has if "__GFP_DIRECT_RECLAIM" in layout.bits else waits


def _wakes_kswapd(mask: int, layout: Layout) -> bool:
    has = _tester(mask, layout)
    return has("KSWAPD_RECLAIM") if "__GFP_KSWAPD_RECLAIM" in layout.bits else not has("NO_KSWAPD")


def _zone(mask: int, layout: Layout) -> str | None:
    lookup: dict[str, str] = tables()["zone_lookup"][X86_64]
    return lookup.get(hex(mask & layout.composites["GFP_ZONEMASK"]))


def _migratetype(mask: int, layout: Layout) -> str | None:
    has = _tester(mask, layout)
    index = has("MOVABLE") + 2 * has("RECLAIMABLE")
    return MIGRATETYPES[index] if index < len(MIGRATETYPES) else None


def _watermark(mask: int, layout: Layout) -> Fraction:
    """Return the part of min that the slow path keeps free.

    In the older kernels __GFP_ATOMIC buys the extra quarter by itself (ALLOC_HARDER); before v4.4, which brought that
    flag, any request that could not wait got it.  Later any request that cannot
    reclaim directly gets it, but only on top of __GFP_HIGH (ALLOC_NON_BLOCK under ALLOC_MIN_RESERVE); stable 6.1,
    which our v6.1 is (6.1.192), took that change and kept the __GFP_ATOMIC bit.
    """
    has = _tester(mask, layout)
    if has("MEMALLOC") and not has("NOMEMALLOC"):
        return Fraction(0)
    left = Fraction(1, 2) if has("HIGH") else Fraction(1)
    by_high = layout.version >= BY_HIGH_SINCE or layout.version == BY_HIGH_STABLE
    asked = has("HIGH" if by_high else "ATOMIC") or "__GFP_WAIT" in layout.bits
    harder = asked and not has("DIRECT_RECLAIM")
    return left * Fraction(3, 4) if harder and not has("NOMEMALLOC") else left


def _contradictions(mask: int, layout: Layout) -> Iterator[Contradiction]:
    """Yield the combinations of a mask that cannot both be honoured."""
    has = _tester(mask, layout)
    for both, why in (
        ("MOVABLE RECLAIMABLE", "no such migratetype: gfp_migratetype() warns (3 is the HIGHATOMIC list)"),
        ("MEMALLOC NOMEMALLOC", "NOMEMALLOC wins: the reserves stay closed"),
        ("ATOMIC DIRECT_RECLAIM", "the slow path warns once and drops ATOMIC"),
        ("NORETRY NOFAIL", "NORETRY gives up where NOFAIL must loop"),
        ("RETRY_MAYFAIL NOFAIL", "RETRY_MAYFAIL may fail, NOFAIL may not"),
        ("NORETRY RETRY_MAYFAIL", "try less and try harder at once: NORETRY gives up first"),
        ("FAST_TRY DIRECT_RECLAIM", "might_sleep() still fires, but the slow path that would reclaim is skipped"),
        ("FAST_TRY KSWAPD_RECLAIM", "a failure skips the slow path, which would wake kswapd"),
        ("FAST_TRY NOFAIL", "it returns NULL all the same"),
        ("FAST_TRY ATOMIC", "the reserves are opened in the slow path, which is skipped"),
        ("FAST_TRY HIGH", "the reserves are opened in the slow path, which is skipped"),
        ("FAST_TRY MEMALLOC", "the reserves are opened in the slow path, which is skipped"),
    ):
        if all(has(name) for name in both.split()):
            yield Contradiction(tuple(f"__GFP_{name}" for name in both.split()), why)
    if has("NOFAIL") and not has("DIRECT_RECLAIM") and not has("FAST_TRY"):
        yield Contradiction(
            ("__GFP_NOFAIL",), "it may not sleep to keep its promise: the slow path warns, and up to v6.6 returns NULL"
        )
    if _zone(mask, layout) is None:
        selectors = mask & layout.composites["GFP_ZONEMASK"]
        zones = tuple(name for name, value in layout.bits.items() if value & selectors)
        yield Contradiction(zones, "two zones at once: GFP_ZONE_BAD, VM_BUG_ON in gfp_zone()")

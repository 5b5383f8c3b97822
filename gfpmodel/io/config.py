"""The configuration lines that golden vectors and op scripts share: ``param NAME VALUE``, ``zone``, ``resv``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.mm import Machine, PageAllocator, Rule, Zone
from gfpmodel.mm.kernels import FIRST, rules_of
from gfpmodel.mm.state import MAX_ORDER
from gfpmodel.proposals import proposal

#: Parameters that are a knob of the machine under the same name.
KNOBS = (
    "cpus",
    "min_free_kbytes",
    "watermark_boost_factor",
    "watermark_scale_factor",
    "pageblock_order",
    "percpu_pagelist_fraction",
    "cache_slice",
)
SWITCHES = ("mobility_disabled", "thp", "defrag_mode", "kdump")
PCP = ("pcp_batch", "pcp_high", "pcp_high_min", "pcp_high_max")
#: Parameters that have another name as a knob.
RENAMED = {"cma": "config_cma", "high_fraction": "percpu_pagelist_high_fraction"}
MOST_DIGITS = 19


@dataclass
class Config:
    """A machine and a kernel as configuration lines describe them.

    ``kernel`` is base or patched, which is about v5.8-rc3 alone; ``rules`` names the row of `mm.kernels` that holds;
    ``knobs`` are arguments of Machine; ``lru_movable`` is a habit of the caller.
    """

    kernel: str = "patched"
    rules: str = FIRST
    lru_movable: bool = False
    zones: list[Zone] = field(default_factory=list)
    reserved: list[tuple[int, int]] = field(default_factory=list)
    cma: list[tuple[int, int]] = field(default_factory=list)
    knobs: dict[str, Any] = field(default_factory=dict)
    pcp: dict[str, int] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Read one line; raises InputError if it is none."""
        match line.split():
            case ["zone", index, start, spanned]:
                self.zones.append(Zone(number(index), number(start), number(spanned)))
            case ["resv", start, end]:
                self.reserved.append((number(start), number(end)))
            case ["cma", start, end]:
                self.cma.append((number(start), number(end)))
            case ["param", "kernel", "base" | "patched" as kernel]:
                self.kernel = kernel
            case ["param", name, value]:
                self._param(name, number(value))
            case _:
                raise InputError(f"unknown configuration line {line.strip()[:60]!r}")

    def _param(self, name: str, value: int) -> None:
        if name in KNOBS:
            self.knobs[name] = value
        elif name in PCP:
            self.pcp[name] = value
        elif name in SWITCHES:
            self.knobs[name] = bool(value)
        elif name in RENAMED:
            self.knobs[RENAMED[name]] = value if name == "high_fraction" else bool(value)
        elif name in ("slow_verbatim", "verbatim"):
            self.knobs["slowpath"] = "verbatim" if value else "short"
        elif name == "lru_movable":
            self.lru_movable = bool(value)
        else:
            raise InputError(f"unknown parameter {name!r}")

    @property
    def machine(self) -> Machine:
        """Return the machine; raises GeometryError."""
        knobs = dict(self.knobs)
        if rules_of(self.rules).later:
            knobs.setdefault("pageblock_order", MAX_ORDER - 1)
            knobs["pcp_sizes"] = tuple(map(self.pcp.get, ("pcp_batch", "pcp_high_min", "pcp_high_max")))
        elif self.pcp:
            knobs["pcp"] = (self.pcp.get("pcp_batch"), self.pcp.get("pcp_high"))
        return Machine(tuple(self.zones), reserved=tuple(self.reserved), cma=tuple(self.cma), **knobs)

    @property
    def rule(self) -> Rule | None:
        """Return the row that the kernel's patch is, None for the base kernel."""
        return proposal("fast_try") if self.kernel == "patched" and self.rules == FIRST else None

    def boot(self, **options: Any) -> PageAllocator:
        """Return the machine after boot; options as for PageAllocator."""
        return PageAllocator(self.machine, self.rule, kernel=self.rules, **options)


def number(text: str) -> int:
    """Return a non-negative decimal number of at most 64 bits; raises InputError."""
    if not (text.isascii() and text.isdigit()) or len(text) > MOST_DIGITS:
        raise InputError(f"{text[:40]!r} is no number of up to {MOST_DIGITS} digits")
    return int(text)

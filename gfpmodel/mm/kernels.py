"""The kernels whose allocator is here, a row each: the files with the forms of its rules, and what boot computes.

The functions of this folder's own files are v5.8's and those that all kernels share.  A later kernel's row names the
files in which some have another form; a file's forms stand for those of the same name in the files before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from gfpmodel.errors import GeometryError, InputError
from gfpmodel.mm import checks, jit, mmzone, v7_1, v7_3
from gfpmodel.mm import state as st
from gfpmodel.mm.free import free_boot_range, init_cma_reserved_pageblocks
from gfpmodel.mm.gates import shown
from gfpmodel.mm.mmzone import Machine, Sizes
from gfpmodel.mm.run import run_ops
from gfpmodel.mm.v6_18 import buddy, free, highatomic, hits, locks, page_alloc, pcp, run, watermark
from gfpmodel.mm.v6_18 import checks as checks_6_18
from gfpmodel.mm.v6_18 import mmzone as mmzone_6_18
from gfpmodel.mm.watermark import zone_watermark_ok

FIRST = "v5.8-rc3"  #: whose functions are those that stand in the files
V6_18 = (buddy, locks, pcp, watermark, highatomic, page_alloc, free, hits, run, checks_6_18)


def forms(modules: tuple[ModuleType, ...]) -> dict[str, Any]:
    """Return the engine functions that stand in files, by name; the later file's where two have one."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if hasattr(jit.plain(value), "forceinline") and jit.plain(value).__module__ == module.__name__
    }


@dataclass(frozen=True)
class Rules:
    """A kernel's row: its name, the files of its forms, what boot computes, and the shape of its per-cpu lists.

    ``boosts_kdump`` says whether watermarks are boosted in a kdump kernel, ``up_lists`` whether a kernel for a single
    cpu uses its lists: where not, the trylock of their lock is defined to fail.  ``entries`` has what Python calls.
    """

    name: str
    modules: tuple[ModuleType, ...] = ()
    boot_sizes: Callable[[Machine], Sizes] = mmzone.boot_sizes
    pcp_lists: int = st.MIGRATE_PCPTYPES
    pcp_rows: int = st.PCP_ROWS
    boosts_kdump: bool = True
    up_lists: bool = True
    bulk_free: bool = False  #: has free_pages_bulk()
    entries: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def later(self) -> bool:
        """Return whether the lists have orders, a lock that is tried, and sizes that tune themselves."""
        return bool(self.modules)


SHARED = (
    run_ops,
    free_boot_range,
    init_cma_reserved_pageblocks,
    zone_watermark_ok,
    checks.check_zone,
    checks.count_list,
    checks.list_pages,
    checks.fill_free_list,
    checks.fill_pcp_list,
)
LATER = (
    free.free_pages_bulk,
    free.split_block,
    checks_6_18.read_pcp,
    checks_6_18.write_pcp,
    checks_6_18.fill_deferred,
)


def made(row: Rules) -> Rules:
    """Give a row its entries."""
    if row.later:
        jit.FORMS[row.name] = forms(row.modules)
    used = (*SHARED, *LATER) if row.later else SHARED
    entries = {one.__name__: jit.of_kernel(one, row.name if row.later else "") for one in used}
    object.__setattr__(row, "entries", entries)
    return row


LISTS = {"pcp_lists": st.NR_PCP_LISTS, "pcp_rows": st.LIST_ROWS}
ROWS = {
    row.name: made(row)
    for row in (
        Rules(FIRST),
        Rules("v6.18", V6_18, mmzone_6_18.boot_sizes, **LISTS),  # type: ignore[arg-type]
        Rules("v7.1", (*V6_18, v7_1), mmzone_6_18.boot_sizes, up_lists=False, **LISTS),  # type: ignore[arg-type]
        Rules(
            "v7.3",
            (*V6_18, v7_1, v7_3),
            mmzone_6_18.boot_sizes,
            boosts_kdump=False,
            up_lists=False,
            bulk_free=True,
            **LISTS,  # type: ignore[arg-type]
        ),
    )
}


#: What a machine can be given, with what it is otherwise, that only v5.8 or only later kernels have.
FIRST_ALONE = {"pcp": None, "percpu_pagelist_fraction": 0}
LATER_ALONE = {"thp": False, "defrag_mode": False, "kdump": False, "cache_slice": 0,
               "percpu_pagelist_high_fraction": 0, "pcp_sizes": None}  # fmt: skip


def check_machine(row: Rules, machine: Machine) -> None:
    """Raise GeometryError for a machine with something that this kernel does not have."""
    for name, otherwise in (FIRST_ALONE if row.later else LATER_ALONE).items():
        if getattr(machine, name) != otherwise:
            instead = f"; expected {', '.join(LATER_ALONE)}" if row.later else ""
            raise GeometryError(f"{name} is {shown(getattr(machine, name))}; {row.name} has no such thing{instead}")


def add_forms(module: ModuleType) -> None:
    """Let a file of a room above have the form of its functions on the lists of all later kernels."""
    for row in filter(lambda row: row.later, ROWS.values()):
        jit.FORMS[row.name].update(forms((module,)))


def on_each(function: Any) -> None:
    """Make an entry of a room above one of each later kernel, too: `jit.of_kernel` has it by the kernel's name."""
    for row in filter(lambda row: row.later, ROWS.values()):
        jit.of_kernel(function, row.name)


def room_on(room: str, kernel: str) -> str:
    """Return whose library has a room's entries with a kernel's rules."""
    return f"{room}@{kernel}" if ROWS[kernel].later else room


def rules_of(kernel: str) -> Rules:
    """Return a kernel's row; raises InputError that names the rows, for the nearest is never taken silently."""
    if not isinstance(kernel, str) or kernel not in ROWS:
        raise InputError(f"kernel {shown(kernel)} has no allocator here; expected {', '.join(ROWS)}")
    return ROWS[kernel]

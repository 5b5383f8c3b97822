"""Kernel configurations: which checks are on, what protects the pcp lists, and which kind each lock is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gfpmodel.errors import InputError, unknown
from gfpmodel.gfp import Layout, config_names, layout
from gfpmodel.gfp.layouts import release
from gfpmodel.locking.classes import Kind, LockClass
from gfpmodel.mm.kernels import FIRST, ROWS
from gfpmodel.mm.state import PAGE_ALLOC_COSTLY_ORDER

#: The options that a verdict knows beside those of the layout, and their defaults; None: follows another option.
OPTIONS: dict[str, bool | None] = {
    "LOCKDEP": True,
    "PROVE_LOCKING": None,
    "PROVE_RAW_LOCK_NESTING": None,
    "DEBUG_ATOMIC_SLEEP": True,
    "PREEMPT_RT": False,
    "PAGE_OWNER": False,
    "MEMCG": False,
    "CMA": False,
    "TRANSPARENT_HUGEPAGE": False,
}
WAIT_CONTEXT_SINCE, ALWAYS_CHECKED_SINCE = (5, 7), (5, 15)  # check_wait_context(); without its depth exception
NESTING_SINCE = (6, 18)  # PROVE_RAW_LOCK_NESTING is no choice any more on x86: it follows PROVE_LOCKING
LOCAL_LOCK_SINCE, PCP_TRYLOCK_SINCE = (5, 14), (6, 0)  # only from v6.2 and 6.1.y on with interrupts left on
RAW_DEPOT_SINCE, KSWAPD_GATED_SINCE, STACK_LIST_SINCE = (5, 15), (6, 6), (6, 8)
SPIN_BY_MASK_SINCE = (6, 15)  # gfpflags_allow_spinning(): a mask without reclaim does not wait for a lock of page_owner
PCP_ORDERS_SINCE = (5, 14)  # lists for orders 1 to 3, and for huge pages with TRANSPARENT_HUGEPAGE
HPAGE_PMD_ORDER = 9  # x86-64
# verify_lock_unused(): before v5.9 a typing error had it look at another bit of a class's usage
NMI_CHECK_SINCE, NMI_CHECK_WORKS_SINCE = (5, 8), (5, 9)
SLAB_SINCE = (5, 8)  # the oldest slab that was read
CPU_SLAB_LOCK_SINCE = (5, 15)  # a local lock of this CPU's slab, where interrupts were switched off
NOLOCK_SLAB_SINCE, SHEAVES_ONLY_SINCE = (6, 18), (7, 0)  # kmalloc_nolock(); slab without a slab for each cpu
RT_RCU_DEPTH_SINCE = (5, 16)  # __might_resched() of PREEMPT_RT looks at the RCU nesting, too
CHARGES_BH_OFF_SINCE = (5, 14)  # memcg_kmem_bypass() asks in_task(), no longer in_interrupt()
STOCK_LOCK_SINCE, STOCK_TRYLOCK_SINCE = (5, 18), (6, 15)  # memcg_stock.lock; the RT trees had it before
RT_MERGED_SINCE = (6, 12)  # before, PREEMPT_RT was a tree of its own; these stand for others, too:
RT_TREES: dict[tuple[int, ...], str] = {(5, 4): "5.4.84-rt47", (5, 8): "5.10.0-rt17", (5, 10): "5.10.0-rt17"}
#: What the request is called in the kernel, latest first: the function that lockdep's lines and the reports name.
ENTRIES = (
    ((6, 14), "__alloc_frozen_pages_noprof"),
    ((6, 10), "__alloc_pages_noprof"),
    ((5, 13), "__alloc_pages"),
    ((0, 0), "__alloc_pages_nodemask"),
)
IRQ_DISABLE_COUNT_SINCE = (7, 3)  # preempt_count counts spin_lock_irq_disable(), where hardirqs and NMIs were
RT_WAIT_TYPES_SINCE = (5, 11)  # __rt_spin_lock_init() gives its locks a wait type: not in 5.10-rt17

#: The locks of this cpu's slab in two caches.  Since v6.18 each cache has a class of its own, which lockdep numbers by
#: first use; so it did in a booted v6.18.
KMALLOC_64, KMALLOC_16 = "&s->lock_key#8", "&s->lock_key#15"

Pcp = Literal["irq", "local_lock", "trylock"]


@dataclass(frozen=True)
class Kernel:
    """A kernel of one version and configuration, as far as locks are concerned.

    ``name`` is a name of the layouts, or a release: its own version counts, not that of its flag table; ``config`` the
    options in force, ``zone_lock`` the kind of zone->lock under the proposal in question, ``prove`` is the sysctl
    kernel.prove_locking.
    """

    name: str
    config: tuple[tuple[str, bool], ...]
    zone_lock: Literal["spinlock_t", "raw_spinlock_t"] = "spinlock_t"
    prove: bool = True

    def on(self, option: str) -> bool:
        """Return whether an option is y."""
        return dict(self.config).get(option, False)

    @property
    def engine(self) -> str:
        """Return the row of the allocator whose events are this kernel's path: the last that is no newer, or the first.

        From v6.18 on that is the allocator of these lists; v5.8's stands for every kernel before v6.18.
        """
        return next((name for name in reversed(ROWS) if self.version >= Kernel(name, ()).version), FIRST)

    @property
    def has_engine(self) -> bool:
        """Return whether that row is this kernel's own, not that of an earlier one."""
        return self.version == Kernel(self.engine, ()).version

    @property
    def rt(self) -> bool:
        """Return whether this is PREEMPT_RT."""
        return self.on("PREEMPT_RT")

    @property
    def nesting(self) -> bool:
        """Return whether lockdep tells a spinlock_t from a raw_spinlock_t."""
        return self.on("PROVE_RAW_LOCK_NESTING")

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Return the version as numbers."""
        found = re.search(r"(\d+)\.(\d+)", self.name)
        return tuple(int(part) for part in found.groups()) if found else (0, 0)

    @property
    def release(self) -> str:
        """Return the release that a report's banner names: a kernel that there was.

        A release is named as it was asked for, a version by its first release, with ``+`` where a patch was applied
        (as scripts/setlocalversion has it).  PREEMPT_RT was a tree of its own before v6.12.  Where such a tree was
        read or booted, the banner has its release; there never was one of v5.8, so what is said of it is said by
        5.10.0-rt17, with the RFC applied if it is asked for.  Elsewhere the series is named without a number, as in
        5.15-rt.
        """
        if self.rt and self.version < RT_MERGED_SINCE and "-rt" not in self.name:
            return RT_TREES.get(self.version, f"{'.'.join(map(str, self.version))}-rt")
        found = re.fullmatch(r"v?(\d+\.\d+)(-rc\d+)?(\+.*)?", self.name)
        if not found:
            return self.name.split()[0].removeprefix("v")
        return f"{found[1]}.0{found[2] or ''}{'+' if found[3] else ''}"

    @property
    def entry(self) -> str:
        """Return the function that serves a request."""
        return next(name for since, name in ENTRIES if self.version >= since)

    @property
    def hardirq_offset(self) -> int:
        """Return what a hard interrupt adds to preempt_count.

        Models: include/linux/preempt.h:HARDIRQ_OFFSET (v5.8 and v7.3).
        """
        return 0x1000000 if self.version >= IRQ_DISABLE_COUNT_SINCE else 0x10000

    @property
    def nmi_offset(self) -> int:
        """Return what an NMI adds to preempt_count, a hard interrupt's share apart.

        Models: include/linux/preempt.h:NMI_OFFSET (v5.8 and v7.3).
        """
        return 0x10000000 if self.version >= IRQ_DISABLE_COUNT_SINCE else 0x100000

    @property
    def checks_wait_context(self) -> bool:
        """Return whether this kernel has check_wait_context()."""
        return self.on("PROVE_LOCKING") and self.version >= WAIT_CONTEXT_SINCE

    @property
    def first_lock_exempt(self) -> bool:
        """Return whether a lock taken while none is held is never checked: v5.7 to v5.14."""
        return self.version < ALWAYS_CHECKED_SINCE

    @property
    def pcp(self) -> Pcp:
        """Return what protects the pcp lists; on the RT trees before v5.14 "irq" is pa_lock."""
        if self.version >= PCP_TRYLOCK_SINCE:
            return "trylock"
        return "local_lock" if self.version >= LOCAL_LOCK_SINCE else "irq"

    @property
    def gates_boost_wakeup(self) -> bool:
        """Return whether the wakeup for a boosted watermark asks the caller's mask first."""
        return self.version >= KSWAPD_GATED_SINCE

    @property
    def counts_rcu_depth(self) -> bool:
        """Return whether the test for sleeping looks at RCU sections."""
        return not self.rt or self.version >= RT_RCU_DEPTH_SINCE

    @property
    def charges_bh_off(self) -> bool:
        """Return whether an accounted page is charged while softirqs are off."""
        return self.version >= CHARGES_BH_OFF_SINCE

    @property
    def memcg_stock(self) -> Literal["", "acquire", "try"]:
        """Return how the charge takes memcg_stock.lock, empty where there is no such lock."""
        if self.version >= STOCK_TRYLOCK_SINCE:
            return "try"
        return "acquire" if self.rt or self.version >= STOCK_LOCK_SINCE else ""

    def lists(self, order: int) -> bool:
        """Return whether the pcp lists serve an order.

        Models: mm/page_alloc.c:pcp_allowed_order (v5.14; v6.15 says HPAGE_PMD_ORDER for pageblock_order).
        """
        if self.version < PCP_ORDERS_SINCE:
            return order == 0
        huge = self.on("TRANSPARENT_HUGEPAGE") and order == HPAGE_PMD_ORDER
        return order <= PAGE_ALLOC_COSTLY_ORDER or huge

    @property
    def nmi_conflict(self) -> str:
        """Return the usage of a class that makes lockdep report it in an NMI: any, that of a typing error, or none.

        Models: kernel/locking/lockdep.c:verify_lock_unused (v5.8 as released; v5.9).  PREEMPT_RT of v5.8's time is
        5.10-rt17, which has it right.
        """
        if self.version < NMI_CHECK_SINCE:
            return "none"
        return "any" if self.version >= NMI_CHECK_WORKS_SINCE or self.rt else "HARDIRQ-ON-R"

    @property
    def spins_by_mask(self) -> bool:
        """Return whether a mask without a reclaim bit forbids waiting for page_owner's locks."""
        return self.version >= SPIN_BY_MASK_SINCE

    @property
    def has_cpu_slabs(self) -> bool:
        """Return whether kmalloc() takes from a slab of this cpu; later it takes from a sheaf."""
        return self.version < SHEAVES_ONLY_SINCE

    @property
    def models_slab(self) -> bool:
        """Return whether the model has this kernel's slab."""
        return self.version >= SLAB_SINCE

    def cpu_slab_lock(self, numbered: str = KMALLOC_64) -> str:
        """Return the name of the lock of this CPU's slab in a cache; all caches share it before v6.18.

        PREEMPT_RT prints the brackets of the macro that initialises a local lock there.
        """
        if self.version >= NOLOCK_SLAB_SINCE:
            return numbered
        return "(&c->lock)" if self.rt else "&c->lock"

    @property
    def lists_stacks(self) -> bool:
        """Return whether page_owner lists the stacks that it remembers, under stack_list_lock."""
        return self.version >= STACK_LIST_SINCE

    @property
    def layout(self) -> Layout:
        """Return the gfp layout of this kernel and configuration."""
        return layout(self.name, {name: self.on(name) for name in config_names(self.name)})

    def lock(self, name: str) -> LockClass:
        """Return a lock class by name; raises InputError."""
        kinds = lock_kinds(self)
        if name not in kinds:
            raise unknown("lock", name, kinds)
        kind, run_time = kinds[name]
        # The RT trees of 2020 initialise a spinlock_t at run time with lockdep_init_map(), that is without a type.
        unchecked = self.rt and run_time and kind == "spinlock_t" and self.version < RT_WAIT_TYPES_SINCE
        return LockClass(name, kind, run_time, unchecked)


#: Locks of slab where the model has it; earlier ones may be of another kind.
SLAB_LOCKS: dict[str, tuple[Kind, bool]] = {
    "&n->list_lock": ("spinlock_t", True),
    "&c->lock": ("local_lock_t", True),
    "(&c->lock)": ("local_lock_t", True),
    "&krcp->lock": ("spinlock_t", True),  # v5.8's krc.lock
    "&pcs->lock": ("local_lock_t", True),
    "&barn->lock": ("spinlock_t", True),
    "kfree_rcu_sheaf_map": ("wait_override", False),
}


def lock_kinds(kernel: Kernel) -> dict[str, tuple[Kind, bool]]:
    """Return the kind of every lock near the request path, and whether it is initialised at run time.

    The kinds were read in the sources of v5.8, 5.4.84-rt47 and 5.10-rt17; what later kernels changed is a test below.
    """
    raw_depot = kernel.version >= RAW_DEPOT_SINCE
    return {
        "fs_reclaim": ("map", False),
        "pa_lock": ("spinlock_t", False),  # inside a local lock, which is all that the RT trees' local_lock is
        "pagesets.lock": ("local_lock_t", False),
        "&pcp->lock": ("spinlock_t", True),
        "&zone->lock": (kernel.zone_lock, True),
        "&pgdat->kswapd_wait": ("spinlock_t", True),
        "&pgdat->kcompactd_wait": ("spinlock_t", True),
        "depot_lock": ("raw_spinlock_t" if raw_depot else "spinlock_t", False),
        "stack_list_lock": ("spinlock_t", False),
        "memcg_stock.lock": ("local_lock_t", False),
        "&lock->wait_lock": ("raw_spinlock_t", True),
        "rcu_read_lock": ("rcu", False),
        "rcu_read_lock_sched": ("rcu_sched", False),
        "softirq_ctrl.lock": ("local_lock_t", False),
        KMALLOC_64: ("local_lock_t", True),
        KMALLOC_16: ("local_lock_t", True),
        "krc.lock": ("raw_spinlock_t", False),  # since v5.9; a row with a cache brings it to an earlier kernel
        **(SLAB_LOCKS if kernel.models_slab else {}),
        # read in 5.4.84-rt47 and 5.10-rt17
        **({"&n->list_lock": ("raw_spinlock_t", True)} if kernel.rt and kernel.version < CPU_SLAB_LOCK_SINCE else {}),
    }


def make_kernel(name: str, config: Mapping[str, bool] | None = None) -> Kernel:
    """Return a kernel by name with options by name (without CONFIG_); raises InputError for what cannot be.

    PROVE_LOCKING follows LOCKDEP, and PROVE_RAW_LOCK_NESTING follows PREEMPT_RT (from v6.18 on PROVE_LOCKING alone),
    unless given.
    """
    full = release(name).name
    known = {**OPTIONS, **dict.fromkeys(n for n in config_names(full) if n not in OPTIONS)}
    given = dict(config or {})
    for option in given:
        if option not in known:
            raise unknown("config", option, known)
    version = Kernel(full, ()).version
    checks, nesting = version >= WAIT_CONTEXT_SINCE, version >= NESTING_SINCE
    if given.get("PROVE_RAW_LOCK_NESTING") and not checks:
        raise InputError(f"{full} has no config PROVE_RAW_LOCK_NESTING, which came with v5.7")
    options = {option: bool(default) for option, default in known.items()} | given
    options["PROVE_LOCKING"] = given.get("PROVE_LOCKING", options["LOCKDEP"])
    options["PROVE_RAW_LOCK_NESTING"] = given.get(
        "PROVE_RAW_LOCK_NESTING", checks and options["PROVE_LOCKING"] and (options["PREEMPT_RT"] or nesting)
    )
    for option, needed in (("PROVE_LOCKING", "LOCKDEP"), ("PROVE_RAW_LOCK_NESTING", "PROVE_LOCKING")):
        if options[option] and not options[needed]:
            raise InputError(f"config {option}=y needs {needed}=y")
    return Kernel(full, tuple(options.items()))

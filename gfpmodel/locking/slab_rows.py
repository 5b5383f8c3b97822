"""The locks of slab and of kfree_rcu() as a table: by kernel, by call, and by where the object is or comes from.

A row says which locks are taken in which order, whether they are waited for or tried, and where this is known from.
What no row says is not known here, and is refused with the states that are.  The rows are for SLUB on an SMP kernel and
a cache of small objects without debugging, of the caller's own node; memcg is left out.  The kinds of the locks, and so
their wait types, are those of `kernels.lock_kinds`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple, cast, get_args

from gfpmodel.errors import NotModelledError, unknown
from gfpmodel.locking.kernels import Kernel

Call = Literal[
    "kmalloc",
    "kfree",
    "kmalloc_nolock",
    "kfree_nolock",
    "kfree_rcu",
    "kfree_rcu_sheaf",
    "kfree_rcu_nolock",
    "kfree_rcu_mightsleep",
]
How = Literal["acquire", "try"]
SINCE = {"kmalloc_nolock": (6, 18), "kfree_nolock": (6, 18), "kfree_rcu_sheaf": (6, 18), "kfree_rcu_nolock": (7, 3)}
SINCE["kfree_rcu_mightsleep"] = (5, 9)  # as kvfree_rcu(ptr), the form with one argument
FIRST = (5, 8)  #: the oldest kernel of the table
LAST = (99, 0)

#: What a state says of an allocation, and of a free; kfree_rcu() has words of its own.
OF_ALLOCATION = {
    "cpu": "this CPU's slab has a free object on the CPU's own list",
    "refill": "the CPU's own list is used up, but others have freed objects of its slab",
    "cpu_partial": "this CPU's slab is used up, and the CPU has another one that is partly used",
    "used_up": "this CPU's slab is used up, and the node has one that is partly used",
    "partial": "this CPU has nothing, the barn neither, and the node has a partly used slab",
    "empty": "no slab has a free object: pages are needed",
    "sheaf": "this CPU's sheaf has an object",
    "barn": "this CPU's sheaves are empty, and the node's barn has a full one",
}
OF_FREE = {
    "cpu": "the object is of this CPU's slab",
    "remote": "the object is of another CPU's slab",
    "partial": "the object is of a partly used slab, and others of it stay in use",
    "full": "the object is the first to be freed of a full slab",
    "drain": "the object is the first to be freed of a full slab, and this CPU's list of partly used ones is full",
    "empty": "the object is the last of its slab, and the node has enough without it: its pages go back",
    "sheaf": "this CPU's sheaf has room",
    "barn": "this CPU's sheaves are full, and the node's barn has an empty one",
}
OF_RCU = {
    "block": "this CPU's block has room, or the cache has a page for another",
    "page": "a new block is needed, and the cache has no page for it",
    "fallback": "there is no block, and the caller waits for a grace period itself",
    "sheaf": "this CPU's sheaf for RCU has room",
    "barn": "this CPU has no sheaf for RCU, and the node's barn has an empty one",
    "partial": "this CPU and the barn have no sheaf: one is allocated, from a slab that is partly used",
}
STATES = tuple(dict.fromkeys([*OF_ALLOCATION, *OF_FREE, *OF_RCU]))
GIVES, FREES = ("kmalloc", "kmalloc_nolock"), ("kfree", "kfree_nolock")
#: Which state is meant where none is asked for, first of those that a kernel has: as in the recorded guests, whose
#: cache was just used or (``SHRUNK``) shrunk; kfree_rcu() of a sheaf is asked for its first object.
WARM = ("cpu", "sheaf")
SHRUNK = ("partial",)
RCU_WARM = ("barn", "block")
RCU_SHRUNK = ("partial", "barn", "block")

LIST, SHEAVES, BARN, BLOCKS = "&n->list_lock", "&pcs->lock", "&barn->lock", "krc.lock"
CPU_SLAB = "c->lock"  #: that of this CPU's slab, whose name is the kernel's: `Kernel.cpu_slab_lock`
OVERRIDE = "kfree_rcu_sheaf_map"


class Take(NamedTuple):
    """A lock: its name, whether it is waited for, in which function, what happens while it is held.

    ``plain`` says that interrupts are left as they are.
    """

    lock: str
    how: How
    where: str
    inside: tuple[Action, ...] = ()
    plain: bool = False


class Pages(NamedTuple):
    """An allocation of a page: by a mask, by the call's own if it is empty, or by the row `trylock`; or a free."""

    mask: str = ""
    row: str | None = None
    free: bool = False


class Sleeps(NamedTuple):
    """A place that may sleep, or, with ``now``, that does."""

    where: str
    now: bool = False


Action = Take | Pages | Sleeps


@dataclass(frozen=True)
class Row:
    """What a call does on kernels ``since`` up to, but without, ``before``; ``rt`` None is with and without PREEMPT_RT.

    ``refused`` says where kmalloc_nolock() gives up at once; ``untried`` what happens where a local lock cannot be
    tried, that is in hard interrupts and NMIs of PREEMPT_RT, and None that it is not known.
    """

    calls: tuple[Call, ...]
    states: tuple[str, ...]
    actions: tuple[Action, ...]
    since: tuple[int, int]
    before: tuple[int, int]
    source: str
    rt: bool | None = None
    untried: tuple[Action, ...] | None = None
    refused: Literal["", "atomic", "hardirq"] = ""

    def on(self, kernel: Kernel) -> bool:
        """Return whether the row is a kernel's."""
        return self.since <= kernel.version < self.before and self.rt in (None, kernel.rt)


def node(how: How = "acquire", where: str = "___slab_alloc") -> Take:
    """Return taking the lock of a node's lists; get_partial_node() is inlined in the kernels that were booted."""
    return Take(LIST, how, where)


WAITS, TRIES = Take(CPU_SLAB, "acquire", "___slab_alloc"), Take(CPU_SLAB, "try", "___slab_alloc")
NEW, NEW_NOLOCK, GIVEN_BACK = Pages(), Pages(row="trylock"), Pages(free=True)
PUT, PUT_TRIES = Take(CPU_SLAB, "acquire", "put_cpu_partial"), Take(CPU_SLAB, "try", "put_cpu_partial")
BEFORE_LOCAL_LOCK = "mm/slub.c, read in v5.10.228"
LOCAL_LOCK = "mm/slub.c, read in v5.15.100, v6.1.192 and v6.12.117"
BOOTED = "v6.18.26, booted and read"
READ_618 = "mm/slub.c, read in the series that became v6.18"
READ_70 = "mm/slub.c, read in v7.0 and v7.3"
READ_72 = "mm/slub.c, read in v7.2.13 and v7.3.4"
READ_RCU = "kernel/rcu/tree.c, read in v5.8 to v6.12"
BOOTED_RCU = "v5.9.1 and v5.11.4, booted and read"


def allocation(state: str, slab: Take, how: How = "acquire", new: Pages = NEW) -> tuple[Action, ...]:
    """Return what ___slab_alloc() takes in a state, ``slab`` being how it takes the lock of this CPU's slab."""
    return {
        "refill": (slab,),
        "cpu_partial": (slab,),
        "partial": (node(how), slab),
        "used_up": (slab, node(how), slab),
        "empty": (new, slab),
    }[state]


SLOW = ("refill", "cpu_partial", "partial", "used_up", "empty")


def sheaf_of_rcu(*inside: Action) -> tuple[Action, ...]:
    """Return kfree_rcu() into a sheaf: a map that overrides the wait type is held all the while."""
    return (Take(OVERRIDE, "try", "__kfree_rcu_sheaf", inside, plain=True),)


def sheaves(where: str, *inside: Action) -> Take:
    """Return trying the lock of this CPU's sheaves."""
    return Take(SHEAVES, "try", where, inside, plain=True)


def barn(how: How) -> Take:
    """Return an empty sheaf out of the node's barn."""
    return sheaves("__kfree_rcu_sheaf", Take(BARN, how, "barn_get_empty_sheaf"))


def try_barn(it: Take) -> Take:
    """Return a take with the barn's lock tried under it."""
    (inner,) = it.inside
    if not isinstance(inner, Take):
        raise AssertionError("the barn's lock is no lock")
    return it._replace(inside=(inner._replace(how="try"),))


def new_sheaf(how: How) -> tuple[Action, ...]:
    """Return a new sheaf: the lock is left for an allocation, and tried again."""
    sheaf = sheaves("__kfree_rcu_sheaf")
    return (sheaf, sheaves("alloc_from_pcs"), node(how), sheaf)


#: Up to v5.14: this CPU's slab has no lock, only interrupts off; PREEMPT_RT was a tree of its own, and not read.
ROWS = [
    Row(("kmalloc",), ("cpu", "refill", "cpu_partial"), (), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
    Row(("kmalloc",), ("partial", "used_up"), (node(),), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
    Row(("kmalloc",), ("empty",), (NEW,), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
    Row(("kfree",), ("cpu", "remote", "partial", "full"), (), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
    Row(("kfree",), ("drain",), (node(where="unfreeze_partials"),), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
    Row(("kfree",), ("empty",), (node(where="__slab_free"), GIVEN_BACK), FIRST, (5, 15), BEFORE_LOCAL_LOCK, rt=False),
]
#: v5.15 to v6.17: a local lock. The way without a lock is not PREEMPT_RT's.
ROWS += [
    Row(("kmalloc",), ("cpu",), (), (5, 15), (6, 18), LOCAL_LOCK, rt=False),
    Row(("kmalloc",), ("cpu",), (WAITS,), (5, 15), (6, 18), LOCAL_LOCK, rt=True),
    *(Row(("kmalloc",), (state,), allocation(state, WAITS), (5, 15), (6, 18), LOCAL_LOCK) for state in SLOW),
    Row(("kfree",), ("cpu",), (), (5, 15), (6, 18), LOCAL_LOCK, rt=False),
    Row(("kfree",), ("cpu",), (Take(CPU_SLAB, "acquire", "kfree", plain=True),), (5, 15), (6, 18), LOCAL_LOCK, rt=True),
    Row(("kfree",), ("remote", "partial"), (), (5, 15), (6, 18), LOCAL_LOCK),
    Row(("kfree",), ("full",), (PUT,), (5, 15), (6, 18), LOCAL_LOCK),
    Row(("kfree",), ("drain",), (PUT, node(where="put_cpu_partial")), (5, 15), (6, 18), LOCAL_LOCK),
    Row(("kfree",), ("empty",), (node(where="__slab_free"), GIVEN_BACK), (5, 15), (6, 18), LOCAL_LOCK),
]
#: v6.18: with LOCKDEP the lock is only tried, as nobody else can hold it; PREEMPT_RT waits for it.
ROWS += [
    Row(("kmalloc",), ("cpu",), (), (6, 18), (7, 0), BOOTED, rt=False),
    Row(("kmalloc",), ("cpu",), (WAITS,), (6, 18), (7, 0), BOOTED, rt=True),
    Row(("kmalloc_nolock",), ("cpu",), (), (6, 18), (7, 0), BOOTED, rt=False),
    Row(("kmalloc_nolock",), ("cpu",), (WAITS,), (6, 18), (7, 0), BOOTED, rt=True, refused="atomic"),
    Row(("kfree",), ("cpu",), (), (6, 18), (7, 0), READ_618, rt=False),
    Row(("kfree",), ("cpu",), (Take(CPU_SLAB, "acquire", "kfree", plain=True),), (6, 18), (7, 0), READ_618, rt=True),
    Row(("kfree_nolock",), ("cpu",), (), (6, 18), (7, 0), BOOTED, rt=False),
    Row(("kfree_nolock",), ("cpu",), (Take(CPU_SLAB, "acquire", "kfree_nolock"),), (6, 18), (7, 0), BOOTED, rt=True),
    Row(("kfree_nolock",), ("remote", "partial", "full", "empty"), (), (6, 18), (7, 0), READ_618),
    Row(("kfree",), ("remote", "partial"), (), (6, 18), (7, 0), READ_618),
    Row(("kfree",), ("full",), (PUT_TRIES,), (6, 18), (7, 0), READ_618, rt=False),
    Row(("kfree",), ("full",), (PUT,), (6, 18), (7, 0), READ_618, rt=True),
    Row(("kfree",), ("drain",), (PUT_TRIES, node(where="put_cpu_partial")), (6, 18), (7, 0), READ_618, rt=False),
    Row(("kfree",), ("drain",), (PUT, node(where="put_cpu_partial")), (6, 18), (7, 0), READ_618, rt=True),
    Row(("kfree",), ("empty",), (node(where="__slab_free"), GIVEN_BACK), (6, 18), (7, 0), READ_618),
]
for _rt, _slab in ((False, TRIES), (True, WAITS)):
    for _state in SLOW:
        _source = BOOTED if _state == "partial" else READ_618
        _row = Row(("kmalloc",), (_state,), allocation(_state, _slab), (6, 18), (7, 0), _source, rt=_rt)
        _tried = allocation(_state, _slab, "try", NEW_NOLOCK)
        ROWS += [_row, replace(_row, calls=("kmalloc_nolock",), actions=_tried, refused="atomic" if _rt else "")]
#: v7.0 and later: sheaves, and no slab of this CPU's own.
_FROM_SHEAF, _TO_SHEAF = sheaves("alloc_from_pcs"), sheaves("free_to_pcs")
_FROM_BARN = sheaves("alloc_from_pcs", Take(BARN, "acquire", "barn_replace_empty_sheaf"))
_TO_BARN = sheaves("free_to_pcs", Take(BARN, "acquire", "barn_replace_full_sheaf"))
_FREED = node(where="__slab_free")
ROWS += [
    Row(("kmalloc",), ("sheaf",), (_FROM_SHEAF,), (7, 0), LAST, READ_70, untried=(node(),)),
    Row(("kmalloc",), ("partial",), (_FROM_SHEAF, node()), (7, 0), LAST, READ_70, untried=(node(),)),
    Row(("kmalloc_nolock",), ("sheaf",), (_FROM_SHEAF,), (7, 0), LAST, READ_70, refused="hardirq"),
    Row(("kmalloc_nolock",), ("partial",), (_FROM_SHEAF, node("try")), (7, 0), LAST, READ_70, refused="hardirq"),
    Row(("kmalloc",), ("barn",), (_FROM_BARN,), (7, 2), LAST, READ_72, untried=(node(),)),
    Row(("kmalloc_nolock",), ("barn",), (try_barn(_FROM_BARN),), (7, 2), LAST, READ_72, refused="hardirq"),
    Row(("kfree",), ("sheaf",), (_TO_SHEAF,), (7, 0), LAST, READ_70),
    Row(("kfree",), ("barn",), (_TO_BARN,), (7, 2), LAST, READ_72),
    Row(("kfree_nolock",), ("sheaf",), (_TO_SHEAF,), (7, 0), LAST, READ_70, untried=()),
    Row(("kfree_nolock",), ("barn",), (try_barn(_TO_BARN),), (7, 2), LAST, READ_72, untried=()),
]
#: A free finds its slab only where it cannot try: else the sheaf takes the object, whatever its slab.
ROWS += [
    Row(("kfree",), (_state,), (_TO_SHEAF,), (7, 2), LAST, READ_72, rt=True, untried=_untried)
    for _state, _untried in (("partial", ()), ("full", (_FREED,)), ("empty", (_FREED, GIVEN_BACK)))
]
#: kfree_rcu(): sheaves first where there are any, never on PREEMPT_RT; then the blocks of 2020.
_RCU: tuple[Call, ...] = ("kfree_rcu", "kfree_rcu_sheaf")
_IN_BLOCK = Take(BLOCKS, "acquire", "kvfree_call_rcu")
_NOWAIT = Pages("GFP_NOWAIT|__GFP_NOWARN")
_ASKS = Take(BLOCKS, "acquire", "kvfree_call_rcu", (_NOWAIT,))
_OF_2020 = Take("&krcp->lock", "acquire", "kfree_call_rcu")
_RCU_70 = "mm/slub.c and mm/slab_common.c, read in v7.0 and v7.3"
ROWS += [
    Row(("kfree_rcu",), ("block",), (_OF_2020,), FIRST, (5, 9), READ_RCU, rt=False),
    Row(("kfree_rcu",), ("page",), (_OF_2020._replace(inside=(_NOWAIT,)),), FIRST, (5, 9), READ_RCU, rt=False),
    Row(("kfree_rcu",), ("block", "page"), (_IN_BLOCK,), FIRST, (5, 11), READ_RCU, rt=True),
    Row(("kfree_rcu",), ("block",), (_IN_BLOCK,), (5, 9), (5, 11), BOOTED_RCU, rt=False),
    Row(("kfree_rcu",), ("page",), (_ASKS,), (5, 9), (5, 11), BOOTED_RCU, rt=False),
    Row(("kfree_rcu",), ("block", "page"), (_IN_BLOCK,), (5, 11), (6, 18), BOOTED_RCU),
    Row(("kfree_rcu",), ("block", "page"), (_IN_BLOCK,), (6, 18), (7, 0), BOOTED),
    Row(("kfree_rcu",), ("block", "page"), (_IN_BLOCK,), (7, 0), LAST, _RCU_70, rt=True),
    Row(("kfree_rcu_sheaf",), ("block", "page"), (_IN_BLOCK,), (6, 18), LAST, BOOTED, rt=True),
    Row(
        ("kfree_rcu_sheaf",),
        ("sheaf",),
        sheaf_of_rcu(sheaves("__kfree_rcu_sheaf")),
        (6, 18),
        (7, 0),
        READ_618,
        rt=False,
    ),
    Row(("kfree_rcu_sheaf",), ("barn",), sheaf_of_rcu(barn("acquire")), (6, 18), (7, 0), BOOTED, rt=False),
    Row(_RCU, ("sheaf",), sheaf_of_rcu(sheaves("__kfree_rcu_sheaf")), (7, 0), LAST, _RCU_70, rt=False),
    Row(_RCU, ("barn",), sheaf_of_rcu(barn("acquire")), (7, 0), LAST, _RCU_70, rt=False),
    Row(_RCU, ("partial",), sheaf_of_rcu(*new_sheaf("acquire")), (7, 0), LAST, _RCU_70, rt=False),
]
_OF_NOLOCK: dict[str, tuple[Action, ...]] = {
    "sheaf": (sheaves("__kfree_rcu_sheaf"),),
    "barn": (barn("try"),),
    "partial": new_sheaf("try"),
}
ROWS += [
    Row(
        ("kfree_rcu_nolock",),
        (_state,),
        _actions if _rt else sheaf_of_rcu(*_actions),
        (7, 3),
        LAST,
        "mm/slub.c, read in v7.3",
        rt=_rt,
        untried=(),
    )
    for _state, _actions in _OF_NOLOCK.items()
    for _rt in (False, True)
]
#: The form with one argument may sleep, and says so first.
_MAY, _WAITS = Sleeps("kvfree_call_rcu"), Sleeps("synchronize_rcu", now=True)
_BLOCKING = Pages("GFP_KERNEL|__GFP_NORETRY|__GFP_NOMEMALLOC|__GFP_NOWARN")
_ONE: tuple[Call, ...] = ("kfree_rcu_mightsleep",)
ROWS += [
    Row(_ONE, ("block",), (_MAY, _IN_BLOCK), (5, 9), (7, 0), BOOTED_RCU),
    Row(_ONE, ("page",), (_MAY, _ASKS), (5, 9), (5, 11), BOOTED_RCU, rt=False),
    Row(_ONE, ("fallback",), (_MAY, _ASKS, _WAITS), (5, 9), (5, 11), BOOTED_RCU, rt=False),
    Row(_ONE, ("fallback",), (_MAY, _IN_BLOCK, _WAITS), (5, 9), (5, 11), READ_RCU, rt=True),
    Row(_ONE, ("fallback",), (_MAY, _IN_BLOCK, _WAITS), (5, 11), (5, 13), BOOTED_RCU),
    Row(_ONE, ("page",), (_MAY, _IN_BLOCK, _BLOCKING, _IN_BLOCK), (5, 15), (7, 0), READ_RCU),
    Row(_ONE, ("fallback",), (_MAY, _IN_BLOCK, _BLOCKING, _IN_BLOCK, _WAITS), (5, 15), (7, 0), READ_RCU),
]


def means(call: Call, state: str) -> str:
    """Return what a state says of a call."""
    return (OF_ALLOCATION if call in GIVES else OF_FREE if call in FREES else OF_RCU)[state]


@lru_cache(maxsize=1 << 10)
def rows_of(call: str, kernel: Kernel) -> tuple[Row, ...]:
    """Return the rows of a call on a kernel."""
    return tuple(row for row in ROWS if call in row.calls and row.on(kernel))


def missing(call: str, kernel: Kernel) -> str:
    """Return why the table does not have a call on a kernel, empty if it has it."""
    if kernel.version < SINCE.get(call, (0, 0)):
        return f"{call}() came with v{'.'.join(map(str, SINCE[call]))}: {kernel.name} has none"
    if rows_of(call, kernel):
        return ""
    rt = " with PREEMPT_RT" if kernel.rt else ""
    known = [row.since for row in ROWS if call in row.calls and row.rt in (None, kernel.rt)]
    return f"{call}() is not modelled on {kernel.name}{rt}: known from v{'.'.join(map(str, min(known)))} on"


def calls(kernel: Kernel) -> list[Call]:
    """Return the calls that the table has on a kernel."""
    return [call for call in get_args(Call) if not missing(call, kernel)]


def states(call: str, kernel: Kernel) -> list[str]:
    """Return the states of a call that are known on a kernel."""
    return [state for row in rows_of(call, kernel) for state in row.states]


def read_call(text: str) -> Call:
    """Return a call by name; raises InputError."""
    for call in get_args(Call):
        if text.strip().removesuffix("()") == call:
            return cast(Call, call)
    raise unknown("request", text, get_args(Call))


def check_call(call: str, kernel: Kernel) -> None:
    """Raise NotModelledError unless the table has a call on a kernel."""
    if reason := missing(call, kernel):
        raise NotModelledError(reason)


def default_state(call: str, kernel: Kernel, shrunk: bool) -> str:
    """Return the state that is meant where none is asked for: of a cache just used, or shrunk."""
    known = states(call, kernel)
    wanted: tuple[str, ...]
    if call in (*GIVES, *FREES):
        wanted = SHRUNK if shrunk and call in GIVES else WARM
    else:
        wanted = RCU_SHRUNK if shrunk else RCU_WARM
    return next(state for state in wanted if state in known)


def row_of(call: str, state: str, kernel: Kernel) -> Row:
    """Return the row of a call in a state; raises InputError, and NotModelledError for what is not known."""
    check_call(call, kernel)
    if state not in STATES:
        raise unknown("slab state", state, STATES)
    for row in rows_of(call, kernel):
        if state in row.states:
            return row
    known = ", ".join(states(call, kernel))
    rt = " with PREEMPT_RT" if kernel.rt else ""
    raise NotModelledError(f"{call}() in the state {state!r} is not known on {kernel.name}{rt}; known: {known}")

"""Whose allocator a trace is replayed on: of the model's the nearest to its kernel, by the rules that held then.

A change of the allocator is a row: from which release on it holds, and whether it decides what is on the per-cpu lists.
How far a kernel is from one of the model's is how many such changes lie between them, those of the lists before all
others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gfpmodel.gfp.releases import release, table_version, version_text
from gfpmodel.mm.kernels import ROWS, rules_of

Version = tuple[int, int]


@dataclass(frozen=True)
class Change:
    """What the allocator does from a release on; ``lists``: it decides what is on the lists, and who refills them.

    ``unseen``: no replay has it, on whichever row, because the events of a trace do not show it.
    """

    since: Version
    what: str
    lists: bool = False
    unseen: bool = False


TUNES = (6, 7)  #: the first release whose refills grow, and whose lists tune what they may hold
#: Read off the trees of the fact sheet: the release is the first of them in which the change is.
CHANGES = (
    Change((5, 8), "what changed up to v5.8, which was not compared"),
    Change((5, 11), "boosting says whether it applied, and what moves goes to the tail"),
    Change((5, 14), "lists for orders 1 to 3, and a high from the low watermark", lists=True),
    Change((5, 18), "a bulk free that begins with the list just freed to", lists=True),
    Change((5, 18), "pageblocks whose types may merge"),
    Change((6, 0), "a lock of the lists that is tried", lists=True),
    Change((6, 2), "lists with interrupts on"),
    Change((6, 3), "the reserves of requests that do not block, without __GFP_ATOMIC"),
    Change(TUNES, "lists that tune what they may hold, and refills that double", lists=True),
    Change((6, 11), "free blocks that are always on the list of their pageblock's type"),
    Change((6, 11), "HIGHATOMIC pages as the last resort of requests that do not block"),
    Change((6, 13), "watermarks without the free HIGHATOMIC pages"),
    Change((6, 18), "claiming a pageblock or stealing a block, and alloc_pages_nolock()"),
    Change((6, 19), "long lists that are freed a batch at a time", lists=True),
    Change((7, 0), "a slow path of one loop"),
    Change((7, 1), "atomic requests of order 1 and up that leave an empty list empty", lists=True),
    Change((7, 1), "reserving HIGHATOMIC for blocks from the buddy lists alone"),
    Change(
        (7, 2),
        "vfree() and free_contig_range() free neighbouring pages as whole blocks, where a trace shows single pages",
        lists=True,
        unseen=True,
    ),
    Change((7, 3), "HIGHATOMIC blocks for atomic requests of order 1 and up at once"),
)


@dataclass(frozen=True)
class Distance:
    """How a kernel differs from a row of the model: the changes that it has and the row lacks, and the other way.

    ``fixed``: the row's lists would tune themselves and the kernel's do not, so they are held.
    """

    row: str
    more: tuple[Change, ...]
    less: tuple[Change, ...]
    fixed: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """Return how far that is: changes of the lists, then all."""
        both = self.more + self.less
        return sum(change.lists for change in both), len(both)

    def facts(self, kernel: str) -> list[dict[str, object]]:
        """Return the differences: who alone has what, since when, and whether it decides what is on the lists."""
        both = [(kernel, change) for change in self.more] + [(self.row, change) for change in self.less]
        return [
            {"only": who, "what": one.what, "since": f"v{version_text(one.since)}", "lists": one.lists}
            for who, one in both
        ]

    def lines(self, kernel: str) -> list[str]:
        """Return the differences of the lists in words, and how many others there are."""
        facts = self.facts(kernel)
        unseen = [change.what for change in self.more if change.unseen]
        lines = [
            f"only {one['only']} has {one['what']} (since {one['since']})"
            for one in facts
            if one["lists"] and one["what"] not in unseen
        ]
        lines += [f"in {kernel} {what}: here those go to the lists one by one" for what in unseen]
        if self.fixed:
            lines.append(f"so here, as in {kernel}, what lists may hold is fixed, and a refill is one batch")
        others = len(facts) - self.key[0]
        return [*lines, *([f"changes between them besides those of the lists: {others}"] if others else [])]


def distance(kernel: str, row: str) -> Distance:
    """Return how a kernel, a release or a name of the layouts, differs from a row; raises InputError."""
    theirs, ours = release(kernel).version, table_version(rules_of(row).name)
    more = tuple(change for change in CHANGES if change.since <= theirs and (ours < change.since or change.unseen))
    less = tuple(change for change in CHANGES if theirs < change.since <= ours and not change.unseen)
    return Distance(row, more, less)


def nearest(kernel: str) -> Distance:
    """Return the row that is the nearest to a kernel, the older one of two that are as near; raises InputError."""
    found = min((distance(kernel, row) for row in ROWS), key=lambda one: one.key)
    return replace(found, fixed=any(change.since == TUNES for change in found.less))


def chosen(kernel: str, row: str | None) -> Distance:
    """Return the row to replay a kernel's trace on: the one asked for, else the nearest; raises InputError."""
    return nearest(kernel) if row is None else distance(kernel, row)

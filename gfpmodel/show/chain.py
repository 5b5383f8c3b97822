"""The block chain drawn: blocks as the RFC draws them, the same at true scale, and a run event by event.

A block is a drawing of its own, so that a chain reflows on a phone.  Nothing is told by colour alone: a record has its
number or fills its cell, a header has a cross, an empty slot is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from gfpmodel.mm import Machine, PageAllocator, Rule, Zone
from gfpmodel.mm.state import MIGRATE_UNMOVABLE
from gfpmodel.rcu import VERSIONS, Block, KfreeRcu, Krc, RcuEvent, Timing
from gfpmodel.rcu.cache import ALLOCATED, CACHED
from gfpmodel.rcu.clock import next_event
from gfpmodel.rcu.state import NEVER
from gfpmodel.rcu.versions import CHANNELS, PAGE_SIZE, POINTER_SIZE, Version
from gfpmodel.show.drawn import (
    EDGE,
    LEFT,
    NO_ORDER,
    OBJECT,
    PANEL,
    RIGHT,
    Box,
    captioned,
    count_of_hidden,
    lane,
    moved,
    panels,
    placed,
    time_line,
    width_of,
    word,
)
from gfpmodel.show.pictures import Picture

SLOTS = 4  # records of a block as the RFC draws it
WORDS_PER_LINE, CELL = 32, 5  # a page at true scale
#: Where a block came from, as the events number it.
SOURCES = {CACHED: "from this CPU's cache", ALLOCATED: "from the allocator: a page of this CPU's list"}


def svg(width: int, height: int, alt: str, body: str) -> str:
    """Return a drawing in the colour of the text around it."""
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'fill="none" stroke="currentColor" font-size="11" style="max-width: 100%">{body}</svg>'
    )


def block_text(block: Block, capacity: int = SLOTS) -> str:
    """Return a block in words."""
    records = " ".join(map(str, block.records)) if len(block.records) <= SLOTS else ""
    return f"page {block.pfn}: {len(block.records)} of {capacity} {records}".rstrip()


def page(block: Block, version: Version) -> str:
    """Draw a block at true scale: each cell is a pointer's room, the page 4096 bytes."""
    capacity, used = version.capacity(), len(block.records)
    first = 1 if version.name == "v5.8" else version.header_words  # v5.8 has two words of its header at the end
    words = PAGE_SIZE // POINTER_SIZE
    header = [at for at in range(words) if not first <= at < first + capacity]
    width, height = WORDS_PER_LINE * CELL, words // WORDS_PER_LINE * CELL
    body = [f'<path fill="#e69f00" fill-opacity=".6" stroke="none" d="{runs(range(first, first + used))}"/>']
    body.append(f'<path fill="currentColor" stroke="none" d="{runs(header)}"/>')
    lines = [f"M{x} 0v{height}" for x in range(0, width + 1, CELL)]
    lines += [f"M0 {y}h{width}" for y in range(0, height + 1, CELL)]
    body.append(f'<path stroke-opacity=".45" stroke-width=".5" d="{"".join(lines)}"/>')
    alt = f"{block_text(block, capacity)} records, {len(header)} words of header"
    return svg(width, height, alt, "".join(body))


def runs(cells: Iterable[int]) -> str:
    """Return cells of a page as a path, one rectangle for neighbours in a line."""
    spans: list[list[int]] = []
    for at in cells:
        if spans and at == spans[-1][1] and at % WORDS_PER_LINE:
            spans[-1][1] += 1
        else:
            spans.append([at, at + 1])
    return "".join(
        f"M{a % WORDS_PER_LINE * CELL} {a // WORDS_PER_LINE * CELL}h{(b - a) * CELL}v{CELL}h-{(b - a) * CELL}z"
        for a, b in spans
    )


def true_scale(rcu: KfreeRcu, cpu: int = 0) -> Picture:
    """Draw what a cpu has queued at true scale: every block a page of 512 cells, then the head list."""
    krc, v = rcu.krc(cpu), rcu.version
    html = [f'<p class="gfp-title">{v.name}: {rcu.capacity} records in a block</p>', '<dl class="gfp-facts gfp-chain">']
    lines = [f"{v.name}: {rcu.capacity} records in a block"]
    for name, blocks in zip(CHANNELS, krc.channels, strict=True):
        if blocks:
            html.append(f"<dt>{name}</dt><dd>{' → '.join(page(block, v) for block in blocks)}</dd>")
            lines += [f"  {name:<9}{' -> '.join(block_text(block, rcu.capacity) for block in blocks)}"]
    html.append(f"<dt>head list</dt><dd>{len(krc.head)} objects</dd></dl>")
    lines.append(f"  head list {len(krc.head)} objects")
    return Picture("".join(html), "\n".join(lines))


Row = tuple[str, tuple[Block, ...], tuple[int, ...]]  #: label, blocks, objects linked through their rcu_head


def rows(krc: Krc) -> Iterator[Row]:
    """Yield what a cpu holds: its own lists, its batches, and what a work has taken; empty ones of the last two not."""
    yield "queued", sum(krc.channels, ()), krc.head
    for name, batches in (("batch", krc.batches), ("in work", krc.in_work)):
        for number, batch in enumerate(batches):
            blocks = sum(batch.channels, ())
            if blocks or batch.head:
                yield f"{name} {number}", blocks, batch.head


def tell(event: RcuEvent) -> str | None:
    """Return an event in words, or None for one that says nothing new."""
    a = event.a
    moved = "what has room" if event.name == "H" and a[3] >> 2 else "all of it"
    told = {
        "B": f"a block is wanted: {SOURCES.get(a[2], 'the list is empty, NULL')}",
        "Q": f"object {a[1] + 1} goes to {'the head list' if a[2] == 2 else 'the newest block'}",
        "T": "the drain timer is armed",
        "M": f"the timer's work, kfree_rcu_monitor(): {a[1]} objects wait",
        "H": f"queue_kfree_rcu_work(): {moved} to batch {a[1]}, a grace period is asked for",
        "GPstart": "a grace period begins",
        "GPend": "the grace period ends",
        "W": "kfree_rcu_work() takes the batch",
        "K": f"kfree_bulk() of the {a[4]} objects of page {a[3]}",
        "C": f"page {a[3]} goes to the cache",
        "F": f"the cache is full: free_page() of page {a[3]}",
        "L": f"kfree() of object {a[2] + 1}, found through the list: a cache miss",
        "E": "the work is done",
    }
    return told.get(event.name)


def drawn_machine(proposal: Rule, pages: int = 1) -> KfreeRcu:
    """Return a chain with SLOTS records in a block, one block cached, and few pages on the cpu's UNMOVABLE list.

    The row is v5.9's but for a header that leaves SLOTS words of a page of 128 bytes; blocks are asked for by a
    proposal, of which FAST_TRY's does not refill the list.
    """
    allocator = PageAllocator(Machine((Zone(2, 4096, 1024),), pcp=(4, 8)), proposal)
    row = replace(VERSIONS["v5.9"], header_words=128 // POINTER_SIZE - SLOTS)
    timing = Timing(free_ns=1000)
    rcu = KfreeRcu(row, allocator, proposal=proposal, page_size=128, min_cached=1, events=1 << 10, timing=timing)
    allocator.drain()
    taken = [allocator.alloc_pages("GFP_KERNEL") or 0 for _ in range(pages)]
    allocator.drain()
    for pfn in taken:
        allocator.free_pages(pfn)
    return rcu


@dataclass(frozen=True)
class Moment:
    """One moment of a story: its title, what happened, a cpu's chain, and the pages of its list in the allocator."""

    title: str
    events: tuple[RcuEvent, ...]
    krc: Krc
    listed: tuple[int, ...]

    @property
    def refused(self) -> bool:
        """Return whether a block was wanted and there was no page."""
        return any(event.name == "B" and event.a[2] not in SOURCES for event in self.events)


def story(rcu: KfreeRcu, objects: int) -> Iterator[Moment]:
    """Queue objects one by one, then let everything happen, moment by moment."""

    def now(title: str, *events: RcuEvent) -> Moment:
        pages = rcu.allocator.pcp_list(0, max(rcu.allocator.sizes.zones), MIGRATE_UNMOVABLE)
        return Moment(title, events, rcu.krc(), tuple(pages.tolist()))

    yield now("before")
    for number in range(1, objects + 1):
        rcu.queue(1)
        yield now(f"kfree_rcu(object {number})", *rcu.events())
    while (at := next_event(rcu.arrays.krc)[0]) < NEVER:
        rcu.advance(at - rcu.now)
        events = rcu.events()
        if said(events):
            yield now(f"after {at / 1e6:.3f} ms", *events)


def said(events: Sequence[RcuEvent]) -> str:
    """Return events in words, in their order."""
    return "; ".join(text for event in events if (text := tell(event)))


#: What a moment shows, by the name of an event in it; the first that fits.
SHOWS = {
    "M": "The timer hands everything over: it waits for a grace period",
    "GPend": "The grace period is over: nobody can still read the objects",
    "K": "A whole block is freed with one call, and its page is free again",
    "L": "Without a block each object is freed alone, and each costs a cache miss",
    "Q": "The object goes in the newest block",
}
BLOCK_SHOWS = {
    CACHED: "The block comes from kfree_rcu()'s own cache: the allocator is not asked",
    ALLOCATED: "The block is a page of this CPU's list",
}


def shows(moment: Moment) -> str:
    """Return what a moment shows, in a sentence."""
    if moment.refused:
        return "No page: the object is linked through its own rcu_head"
    wanted = [BLOCK_SHOWS[event.a[2]] for event in moment.events if event.name == "B"]
    names = {event.name for event in moment.events}
    return next(iter([*wanted, *(text for name, text in SHOWS.items() if name in names)]), "Before the first object")


MOST = 60  #: moments on a time line
BLOCKS, LINE, LABEL = 4, 30, 22  #: blocks of a place that are drawn; px of a line and of a label
AT = EDGE + 2  #: where a line begins
CELL_WIDE = 30
PLACES = {"queued": "queued", "batch": "waits for a grace period", "in work": "being freed"}


@dataclass(frozen=True)
class Place:
    """Room for a part of the chain in a run's drawings: its label, where it begins, its most blocks, its head list."""

    label: str
    y: float
    blocks: int
    head: bool

    @property
    def height(self) -> float:
        """Return its height."""
        return LABEL + LINE * (max(self.blocks, 1) + self.head) + 6


def places(moments: Sequence[Moment]) -> list[Place]:
    """Return the room that a run's drawings need: nothing jumps from one to the next."""
    most: dict[str, tuple[int, bool]] = {}
    for moment in moments:
        for label, blocks, head in rows(moment.krc):
            count, any_head = most.get(label, (0, False))
            most[label] = (max(count, min(len(blocks), BLOCKS)), any_head or bool(head))
    found: list[Place] = []
    y = 34.0
    for label, (most_blocks, with_head) in most.items():
        found.append(Place(label, y, most_blocks, with_head))
        y += found[-1].height
    return found


def boxes_of(moment: Moment, rooms: Sequence[Place]) -> list[list[Box]]:
    """Return the boxes of every list of a moment: the allocator's, the cache, then blocks, their records, heads."""
    wide = PANEL - 2 * AT
    page_box = width_of([*moment.listed, *moment.krc.cache])
    lists = [
        placed([(pfn, 0, 0) for pfn in pfns], LEFT, (AT, 55 + 50 * at), wide, page_box)
        for at, pfns in enumerate((moment.listed, moment.krc.cache))
    ]
    held = {label: (blocks, head) for label, blocks, head in rows(moment.krc)}
    for room in rooms:
        blocks, head = held.get(room.label, ((), ()))
        for at, block in enumerate(blocks[:BLOCKS]):
            y = room.y + LABEL + LINE * at
            lists.append([Box(block.pfn, 0, 0, RIGHT, AT, y, page_box)])
            first = AT + page_box + 12
            lists.append([_object(obj, first + CELL_WIDE * n, y) for n, obj in enumerate(block.records[:SLOTS])])
        y = room.y + LABEL + LINE * max(room.blocks, 1)
        lists.append(placed([(obj, NO_ORDER, OBJECT) for obj in head], RIGHT, (AT + 74, y), wide - 74, CELL_WIDE - 6))
    return lists


def _object(number: int, x: float, y: float) -> Box:
    return Box(number, NO_ORDER, OBJECT, RIGHT, x + 2, y, CELL_WIDE - 6)


def draw(moment: Moment, rooms: Sequence[Place], before: Moment | None = None) -> str:
    """Draw a moment as HTML; what has moved since the one before comes from where it was."""
    lists = boxes_of(moment, rooms)
    old = [box for one in boxes_of(before, rooms) for box in one] if before else None
    drawn = moved([box for one in lists for box in one], old)
    for one in lists:
        drawn[one[0].panel if one else LEFT] += count_of_hidden(one)
    height = max((rooms[-1].y + rooms[-1].height if rooms else 0), 150)
    left, right = (sources(moment), 150.0), (chain_panel(moment, rooms, height), height)
    return panels(left, right, drawn, "; ".join(line.strip() for line in words(moment))) + KEY


KEY = (
    '<p class="gfp-key">A square is a page, a circle an object that waits. A block is a page of pointers; here it has '
    f"room for {SLOTS} instead of some 500.</p>"
)


def sources(moment: Moment) -> str:
    """Draw where blocks come from: this CPU's list in the allocator, and the cache of kfree_rcu()."""
    wide = PANEL - 2 * EDGE
    names = ("UNMOVABLE list of this CPU", "kfree_rcu()'s cache of pages")
    drawn = [f'<path class="frame" d="M2 2h{PANEL - 4}v146h-{PANEL - 4}z"/>']
    drawn.append(word((AT, 24), "Where a page comes from", "title"))
    for at, name in enumerate(names):
        drawn.append(word((AT, 47 + 50 * at), name) + lane(AT, 55 + 50 * at, wide))
    drawn += [word((AT + 4, 71), "✕ empty: the request returns NULL", "title")] * moment.refused
    return "".join(drawn)


def chain_panel(moment: Moment, rooms: Sequence[Place], height: float) -> str:
    """Draw what a CPU has queued: each block a page with room for records, newest first, then the head list."""
    drawn = [f'<path class="frame" d="M2 2h{PANEL - 4}v{height - 4:g}h-{PANEL - 4}z"/>']
    drawn.append(word((AT, 24), "What waits to be freed", "title"))
    held = {label: (blocks, head) for label, blocks, head in rows(moment.krc)}
    for room in rooms:
        blocks, head = held.get(room.label, ((), ()))
        drawn.append(f'<path class="rule" d="M{EDGE} {room.y - 2:g}h{PANEL - 2 * EDGE}"/>')
        drawn.append(word((AT, room.y + 15), PLACES[room.label.rstrip(" 0123456789")]))
        for at, block in enumerate(blocks[:BLOCKS]):
            drawn.append(_slots(block, room.y + LABEL + LINE * at, last=at == len(blocks) - 1))
        more = len(blocks) - BLOCKS
        drawn += [word((AT + 200, room.y + 15), f"and {more} more blocks")] * (more > 0)
        if room.head:
            drawn += [word((AT, room.y + LABEL + LINE * max(room.blocks, 1) + 16), "rcu_head:")] * bool(head)
    return "".join(drawn)


def _slots(block: Block, y: float, last: bool) -> str:
    """Draw the room for records of a block, how full it is, and the link to the next one."""
    first = AT + width_of([block.pfn]) + 12
    cells = "".join(f"M{first + CELL_WIDE * n:g} {y - 1:g}h{CELL_WIDE - 2}v24h-{CELL_WIDE - 2}z" for n in range(SLOTS))
    link = "" if last else f'<path d="M{AT + 20} {y + 22:g}v8"/>'
    said = f"{len(block.records)} of {SLOTS}"
    return f'<path class="slot" d="{cells}"/>{link}{word((first + CELL_WIDE * SLOTS + 8, y + 16), said)}'


def words(moment: Moment) -> list[str]:
    """Return a moment's lists in words."""
    lines = [f"  list      {' '.join(map(str, moment.listed)) or 'empty'}"]
    lines.append(f"  cache     {' '.join(map(str, moment.krc.cache)) or 'empty'}")
    for label, blocks, head in rows(moment.krc):
        text = [block_text(block) for block in blocks] + [f"head {' '.join(map(str, head))}"] * bool(head)
        lines.append(f"  {label:<9} {' -> '.join(text) or 'nothing'}")
    return lines


def frames(rcu: KfreeRcu, objects: int) -> list[Picture]:
    """Draw the moments of a story: where pages come from, what waits to be freed, and what has moved.

    Arguments: a chain of which nothing is queued; how many objects are queued.
    """
    told = list(story(rcu, objects))
    rooms = places(told)
    names = [moment.title.removeprefix("kfree_rcu(object ").removeprefix("after ").removesuffix(")") for moment in told]
    drawn = []
    for at, moment in enumerate(told):
        text = said(moment.events)
        line = time_line(names, range(len(told)), at, "objects in their order, then the time")
        picture = draw(moment, rooms, told[at - 1] if at else None)
        spoken = escape(text[:1].upper() + text[1:]) or "Nothing yet"
        html = captioned(shows(moment), moment.title, spoken, picture, line if len(told) <= MOST else "")
        drawn.append(Picture(html, "\n".join([f"{moment.title}: {text}" if text else moment.title, *words(moment)])))
    return drawn

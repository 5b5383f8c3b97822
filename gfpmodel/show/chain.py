"""The block chain drawn: blocks as the RFC draws them, the same at true scale, and a run event by event.

A block is a drawing of its own, so that a chain reflows on a phone.  Nothing is told by colour alone: a record has its
number or fills its cell, a header has a cross, an empty slot is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape

from gfpmodel.mm import Machine, PageAllocator, Rule, Zone
from gfpmodel.rcu import VERSIONS, Block, KfreeRcu, Krc, RcuEvent, Timing
from gfpmodel.rcu.cache import ALLOCATED, CACHED
from gfpmodel.rcu.clock import next_event
from gfpmodel.rcu.state import NEVER
from gfpmodel.rcu.versions import CHANNELS, PAGE_SIZE, POINTER_SIZE, Version
from gfpmodel.show.pictures import Picture

SLOTS, SLOT, HEIGHT = 4, 26, 24  # records of a block as the RFC draws it; px
WORDS_PER_LINE, CELL = 32, 5  # a page at true scale
HEADER = ("nr", "next")
#: Where a block came from, as the events number it.
SOURCES = {CACHED: "from this cpu's cache", ALLOCATED: "from the allocator: a page of this cpu's list"}


def svg(width: int, height: int, alt: str, body: str) -> str:
    """Return a drawing in the colour of the text around it."""
    return (
        f'<svg role="img" aria-label="{escape(alt)}" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'fill="none" stroke="currentColor" font-size="11" style="max-width: 100%">{body}</svg>'
    )


def small_block(block: Block) -> str:
    """Draw a block with room for SLOTS records: count, link to the next block, records."""
    labels = (str(len(block.records)), "→", *map(str, block.records))
    cells = []
    for at in range(SLOTS + len(HEADER)):
        x, label = 1 + at * SLOT, labels[at] if at < len(labels) else ""
        fill = ' fill="currentColor" fill-opacity=".15"' if at < len(HEADER) else ""
        cells.append(f'<rect x="{x}" y="1" width="{SLOT}" height="{HEIGHT}"{fill}/>')
        middle = f'x="{x + SLOT // 2}" y="17" text-anchor="middle" fill="currentColor" stroke="none"'
        cells.append(f"<text {middle}>{label}</text>")
    return svg(2 + SLOT * (SLOTS + len(HEADER)), HEIGHT + 2, block_text(block), "".join(cells))


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


def lists(krc: Krc) -> Picture:
    """Draw a cpu's chain as it is now."""
    html, lines = [], []
    for label, blocks, head in rows(krc):
        parts = [f"{small_block(block)} page {block.pfn}" for block in blocks]
        chips = "".join(f"<b>{obj}</b>" for obj in head)
        parts += [f"head list: {chips}"] if head else []
        html.append(f"<dt>{label}</dt><dd>{'<br>'.join(parts) or 'nothing'}</dd>")
        text = [block_text(block) for block in blocks] + [f"head {' '.join(map(str, head))}"] * bool(head)
        lines.append(f"  {label:<9} {' -> '.join(text) or 'nothing'}")
    cache = " ".join(map(str, krc.cache))
    html.append(f"<dt>cache</dt><dd>{''.join(f'<b>{pfn}</b>' for pfn in krc.cache) or 'empty'}</dd>")
    lines.append(f"  cache     {cache or 'empty'}")
    return Picture(f'<dl class="gfp-facts gfp-lists gfp-chain">{"".join(html)}</dl>', "\n".join(lines))


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


def story(rcu: KfreeRcu, objects: int) -> Iterator[tuple[str, str, Krc]]:
    """Queue objects one by one, then let everything happen: a title, what was told, and the lists, step by step."""
    yield "before", "", rcu.krc()
    for number in range(1, objects + 1):
        rcu.queue(1)
        yield f"kfree_rcu(object {number})", said(rcu.events()), rcu.krc()
    while (at := next_event(rcu.arrays.krc)[0]) < NEVER:
        rcu.advance(at - rcu.now)
        if text := said(rcu.events()):
            yield f"after {at / 1e6:.3f} ms", text, rcu.krc()


def said(events: Sequence[RcuEvent]) -> str:
    """Return events in words, in their order."""
    return "; ".join(text for event in events if (text := tell(event)))


def frames(rcu: KfreeRcu, objects: int) -> list[Picture]:
    """Draw the steps of a story, each with its title, what happened, and the lists after it."""
    drawn = []
    for title, text, krc in story(rcu, objects):
        html = f'<p class="gfp-title">{escape(title)}</p><p class="gfp-key">{escape(text) or "nothing yet"}</p>'
        drawn.append(Picture(html, f"{title}: {text}" if text else title) + lists(krc))
    return drawn

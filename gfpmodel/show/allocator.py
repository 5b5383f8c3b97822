"""The drawing of the allocator: this CPU's lists on one side, the zone's free blocks behind their lock on the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gfpmodel.mm import ZoneState
from gfpmodel.mm.script import list_of
from gfpmodel.mm.state import MAX_ORDER, MIGRATE_NAMES, MIGRATE_PCPTYPES, ZONE_NAMES
from gfpmodel.show.drawn import (
    EDGE,
    LEFT,
    PANEL,
    RIGHT,
    Box,
    count_of_hidden,
    key_of_kinds,
    lane,
    moved,
    padlock,
    panels,
    placed,
    strays,
    width_of,
    word,
)

TOP, LANE, ROW, ORDERS = 34, 50, 26, 52  #: a panel's title; the pitch of lists and of orders; the column of orders
SHOWN = 8  #: pages of a list that are named in words


@dataclass(frozen=True)
class Scene:
    """What is to be seen of a machine at one moment.

    ``cpu`` is the one whose lists are drawn; ``irqs_off``, ``locked`` and ``pcp_locked`` what it has off and holds;
    ``elsewhere`` whether another CPU holds zone->lock; ``used`` what callers have: pfn and order; ``first_block`` the
    number of the zone's first pageblock, if it is known, and ``block_order`` the order of all; ``limits`` says how
    large the lists may grow; ``seen`` are the lists at which a request looks just now, in its order.
    """

    state: ZoneState
    cpu: int = 0
    irqs_off: bool = False
    locked: bool = False
    pcp_locked: bool = False
    elsewhere: bool = False
    used: tuple[tuple[int, int], ...] = ()
    first_block: int | None = None
    block_order: int = 9
    limits: str = ""
    seen: tuple[int, ...] = ()

    def type_of(self, pfn: int) -> int | None:
        """Return the type of a pfn's pageblock, if it is known."""
        if self.first_block is None:
            return None
        at = (pfn >> self.block_order) - self.first_block
        return self.state.blocks[at] if 0 <= at < len(self.state.blocks) else None


@dataclass(frozen=True)
class Plan:
    """What the drawings of a run have room for, so that nothing jumps: lists, orders, types, and a box's width."""

    lists: tuple[int, ...]
    orders: tuple[int, ...]
    types: tuple[int, ...]
    box: int
    used: bool

    @property
    def column(self) -> float:
        """Return the width of a type's column."""
        return (PANEL - ORDERS - EDGE) / len(self.types)

    @property
    def left(self) -> int:
        """Return the height of the CPU's panel."""
        return TOP + LANE * (len(self.lists) + self.used) + 30

    @property
    def right(self) -> int:
        """Return the height of the zone's panel."""
        return TOP + 52 + ROW * len(self.orders)


def plan_of(scenes: Sequence[Scene]) -> Plan:
    """Return the plan that fits all scenes of a run."""
    states = [scene.state for scene in scenes]
    lists = {n for one in states for cpu in one.pcp_lists for n, pfns in enumerate(cpu) if pfns}
    free = [(order, t, pfns) for one in states for order, t, pfns in free_lists(one)]
    pfns = [pfn for _, _, one in free for pfn in one] + [pfn for one in states for _, n in lists_of(one) for pfn in n]
    return Plan(
        tuple(sorted(lists | set(range(MIGRATE_PCPTYPES)))),
        tuple(sorted({order for order, _, _ in free}, reverse=True)) or (MAX_ORDER - 1,),
        tuple(sorted({t for _, t, _ in free} | set(range(MIGRATE_PCPTYPES)))),
        width_of(pfns + [pfn for scene in scenes for pfn, _ in scene.used]),
        any(scene.used for scene in scenes),
    )


def free_lists(state: ZoneState) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Yield the free lists that hold a block: order, type, first pfns."""
    for order, areas in enumerate(state.free_lists):
        for migratetype, pfns in enumerate(areas):
            if pfns:
                yield order, migratetype, pfns


def lists_of(state: ZoneState) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
    """Yield the lists of every CPU: CPU and number, and first pfns."""
    for cpu, lists in enumerate(state.pcp_lists):
        for number, pfns in enumerate(lists):
            yield (cpu, number), pfns


def list_name(number: int) -> str:
    """Return what a CPU's list is called."""
    kind, order = list_of(number)
    return f"order {order} " * bool(order) + MIGRATE_NAMES[kind]


def boxes_of(scene: Scene, plan: Plan) -> list[list[Box]]:
    """Return the boxes of each list of a scene: what callers have, this CPU's lists, the zone's free blocks."""
    state, wide = scene.state, PANEL - 2 * EDGE - 4
    used = [(pfn, order, scene.type_of(pfn) or 0) for pfn, order in scene.used]
    lists = [placed(used, LEFT, (EDGE + 2, TOP + 21), wide, plan.box)]
    for row, number in enumerate(plan.lists, plan.used):
        kind, order = list_of(number)
        own = [(pfn, order, kind) for pfn in state.pcp_lists[scene.cpu][number]]
        lists.append(placed(own, LEFT, (EDGE + 2, TOP + LANE * row + 21), wide, plan.box))
    for order, kind, pfns in free_lists(state):
        at = ORDERS + plan.column * plan.types.index(kind), TOP + 46.0 + ROW * plan.orders.index(order)
        room = plan.column - 3
        box = plan.box if len(pfns) > 1 else plan.box + int((room - plan.box) * order / (MAX_ORDER - 1))
        lists.append(placed([(pfn, order, kind) for pfn in pfns], RIGHT, at, room, box))
    types = {box.pfn: scene.type_of(box.pfn) for one in lists for box in one}
    return [strays(one, types) for one in lists]


def cpu_panel(scene: Scene, plan: Plan) -> str:
    """Draw the frame of a CPU's lists: interrupts that are off stand around it."""
    state, height = scene.state, plan.left
    drawn = [f'<path class="frame{" off" * scene.irqs_off}" d="M2 2h{PANEL - 4}v{height - 4}h-{PANEL - 4}z"/>']
    drawn.append(word((EDGE + 2, 24), f"CPU {scene.cpu}", "title"))
    if scene.irqs_off:
        drawn.append(f'<path class="tab" d="M{PANEL - 116} 2h114v24h-114z"/>')
        drawn.append(word((PANEL - 108, 19), "interrupts off", "on"))
    if len(state.pcp_lists[0]) > MIGRATE_PCPTYPES:
        drawn.append(padlock(72, 8, scene.pcp_locked))
        drawn.append(word((96, 24), "pcp->lock"))
    names = ["in use by callers"] * plan.used + [f"{list_name(n)} list{looked_at(scene, n)}" for n in plan.lists]
    for at, name in enumerate(names):
        y = TOP + LANE * at
        drawn.append(word((EDGE + 2, y + 13), name, "title" if "looked" in name else ""))
        drawn.append(lane(EDGE + 2, y + 21, PANEL - 2 * EDGE))
    count = state.pcp_count[scene.cpu]
    others = sum(state.pcp_count) - count
    said = f"{pages(count)} on these lists" + f", {others} on other CPUs'" * bool(others)
    said += f"; {scene.limits}" * bool(scene.limits)
    drawn.append(word((EDGE + 2, height - 10), said))
    return "".join(drawn)


def looked_at(scene: Scene, number: int) -> str:
    """Return whether a request looks at a list just now, and as the how-manieth."""
    if number not in scene.seen:
        return ""
    turn = ("first", "second", "third")[scene.seen.index(number)]
    return f": looked at {turn}" if len(scene.seen) > 1 else ": looked at"


def zone_panel(scene: Scene, plan: Plan, before: Scene | None) -> str:
    """Draw the frame of a zone, shut by its lock or open."""
    shut = scene.locked or scene.elsewhere
    was_shut = before is not None and (before.locked or before.elsewhere)
    holder = f"held by CPU {scene.cpu}" if scene.locked else "held by another CPU" if scene.elsewhere else "free"
    size = f"h{PANEL - 4}v{plan.right - 4}h-{PANEL - 4}z"
    drawn = [f'<path class="frame{" held" * shut}" d="M2 2{size}"/>']
    drawn.append(padlock(EDGE + 2, 6, shut, moved=before is not None and shut != was_shut))
    drawn.append(word((EDGE + 26, 24), f"zone->lock: {holder}", "title"))
    drawn.append(word((EDGE + 2, 48), f"zone {ZONE_NAMES[scene.state.index]}: {pages(scene.state.free)} free"))
    drawn.append(word((EDGE + 2, TOP + 38), "order"))
    for at, kind in enumerate(plan.types):
        drawn.append(word((ORDERS + plan.column * at, TOP + 38), MIGRATE_NAMES[kind].lower()))
    for at, order in enumerate(plan.orders):
        y = TOP + 46 + ROW * at
        drawn.append(word((EDGE + 2, y + 16), f"{order}"))
        drawn.append(f'<path class="rule" d="M{EDGE} {y + ROW - 2}h{PANEL - 2 * EDGE}"/>')
    return "".join(drawn)


def pages(count: int) -> str:
    """Return a number of pages in words."""
    return "1 page" if count == 1 else f"{count} pages"


def draw(scene: Scene, plan: Plan, before: Scene | None = None) -> str:
    """Draw a scene as HTML; what has moved since the scene before comes from where it was."""
    rows = boxes_of(scene, plan)
    old = [box for row in boxes_of(before, plan) for box in row] if before else None
    pages_drawn = moved([box for row in rows for box in row], old)
    for row in rows:
        if row:
            pages_drawn[row[0].panel] += count_of_hidden(row)
    cpu = (cpu_panel(scene, plan), plan.left)
    zone = (zone_panel(scene, plan, before), plan.right)
    alt = "; ".join(line.strip() for line in words(scene, before))
    return panels(cpu, zone, pages_drawn, alt) + key_of_kinds(plan.types)


def words(scene: Scene, before: Scene | None = None) -> list[str]:
    """Return a scene in words: counts, what is held, then each list, head first; what is new on a list has a plus."""
    state = scene.state
    held = [f"interrupts off on CPU {scene.cpu}"] * scene.irqs_off + ["zone->lock held"] * scene.locked
    held += ["pcp->lock held"] * scene.pcp_locked + ["zone->lock held by another CPU"] * scene.elsewhere
    lists = ", ".join(f"{count} on the lists of CPU {cpu}" for cpu, count in enumerate(state.pcp_count))
    lines = [f"zone {ZONE_NAMES[state.index]}: {pages(state.free)} free, {lists}"]
    lines += [f"  held: {', '.join(held)}"] * bool(held)
    old = dict(named_lists(before.state)) if before else {}
    for label, pfns in named_lists(state):
        new = set(pfns) - set(old.get(label, ())) if before else set()
        text = " ".join(f"{'+' * (pfn in new)}{pfn}" for pfn in pfns[:SHOWN])
        more = f" … {len(pfns) - SHOWN} more" if len(pfns) > SHOWN else ""
        lines.append(f"  {label:<20}  {text or 'empty'}{more}")
    return lines


def named_lists(state: ZoneState) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the lists of a zone with a label: each CPU's, of higher orders if filled; then the free lists."""
    for (cpu, number), pfns in lists_of(state):
        if pfns or number < MIGRATE_PCPTYPES:
            yield f"CPU {cpu} {list_name(number)}", pfns
    for order, migratetype, pfns in free_lists(state):
        yield f"order {order} {MIGRATE_NAMES[migratetype]}", pfns

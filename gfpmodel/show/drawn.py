"""The marks that every drawing of the book shares: a page, a list, a lock, and what moves from one place to another.

A drawing has two panels, which stand side by side where there is room and one above the other on a phone.  Lengths are
CSS pixels, so that its letters are as large as those of a figure should be on every screen.  What moved since the
drawing before begins where it was: style.css lets it travel, and leaves it in its place on paper and where the reader
asks for less motion.  Nothing is told by colour alone: a migratetype has its outline, a held lock is shut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from gfpmodel.mm.state import MIGRATE_NAMES

PANEL, BETWEEN = 322, 12  #: of a panel, and between two that stand one above the other
EDGE, BOX_HEIGHT, SPACE = 8, 22, 4
DIGIT = 8.3  #: the widest digit of a common font at 13 px
OBJECT = 5  #: the kind of what is no page, and a Box of order NO_ORDER
NO_ORDER = -1
KINDS = "umrhco"  #: classes of style.css by migratetype, then an object's
LEFT, RIGHT = "a", "b"  #: panels
AFTER_SPLIT = 3  #: turns that what changes its panel waits for blocks to be split
LOCK_BODY, SHUT, OPEN = "M0 9h16v11h-16z", "M3 9v-4a5 5 0 0 1 10 0v4", "M3 9v-7a5 5 0 0 1 10 0v2"


@dataclass(frozen=True)
class Box:
    """A page or a block: what it is (first pfn and order), and where it is drawn.

    ``kind`` is the migratetype that its outline tells; ``hidden`` says that only the count behind its list has it.
    """

    pfn: int
    order: int
    kind: int
    panel: str
    x: float
    y: float
    width: float
    hidden: bool = False
    stray: bool = False

    def holds(self, other: Box) -> bool:
        """Return whether another block lies in this one."""
        if OBJECT in (self.kind, other.kind):
            return self == other
        return self.pfn <= other.pfn and other.pfn + (1 << other.order) <= self.pfn + (1 << self.order)


def word(at: tuple[float, float], text: str, kind: str = "") -> str:
    """Draw a word, its first letter at a place."""
    return f'<text class="{kind}" x="{at[0]:g}" y="{at[1]:g}">{escape(text)}</text>'


def padlock(x: float, y: float, shut: bool, moved: bool = False) -> str:
    """Draw a padlock, shut or open; one that has just been shut or opened moves."""
    kind = ("shut" if shut else "open") + " moved" * moved
    return (
        f'<g class="lock {kind}"><path d="M{x:g} {y + 9:g}{LOCK_BODY[4:]}"/>'
        f'<path class="bow" d="M{x + 3:g} {y + 9:g}{(SHUT if shut else OPEN)[4:]}"/></g>'
    )


def width_of(pfns: Iterable[int]) -> int:
    """Return the width of a box that the longest of some page frame numbers fits."""
    return max(40, round(DIGIT * len(str(max(pfns, default=0))) + 7))


def placed(
    blocks: Sequence[tuple[int, int, int]], panel: str, at: tuple[float, float], room: float, box: int
) -> list[Box]:
    """Return the boxes of a list, its head at a place; those for which there is no room share the place of a count.

    Arguments: pfn, order and kind of each; the panel; the head's place; the width that there is; that of a box.
    """
    pitch = box + SPACE
    fits = int((room + SPACE) // pitch)
    shown = len(blocks) if len(blocks) <= fits else max(int((room - 34) // pitch), 0)
    return [
        Box(pfn, order, kind, panel, at[0] + pitch * min(n, shown), at[1], box, hidden=n >= shown)
        for n, (pfn, order, kind) in enumerate(blocks)
    ]


def count_of_hidden(boxes: Sequence[Box]) -> str:
    """Draw how many more blocks a list has than are shown."""
    hidden = [box for box in boxes if box.hidden]
    said = f"+{len(hidden)}" if len(hidden) < len(boxes) else f"{len(hidden)} blocks"
    return word((hidden[0].x, hidden[0].y + 16), said, "more") if hidden else ""


def origin(box: Box, before: Mapping[tuple[int, int], Box]) -> Box | None:
    """Return where a block was: its own place, that of the block it was split from, or that of a part of it."""
    if same := before.get((box.pfn, box.order)):
        return same
    parents = [other for other in before.values() if other.holds(box)]
    parts = [other for other in before.values() if box.holds(other)]
    return next(iter(sorted(parents, key=lambda one: one.order) or sorted(parts, key=lambda one: one.panel)), None)


def travel(here: Box, there: Box, turn: float) -> str:
    """Return the style that says how far off a place is, and after how many others the journey begins."""
    crossing = (there.panel == RIGHT) - (here.panel == RIGHT)
    parts = {"x": there.x - here.x, "y": there.y - here.y, "s": crossing, "d": turn}
    return ";".join(f"--{name}:{value:g}" for name, value in parts.items() if value)


def drawn_box(box: Box, journey: str = "", also: str = "") -> str:
    """Draw a block with its first page frame number."""
    kinds = " ".join(filter(None, (KINDS[box.kind], also, "stray" * box.stray)))
    style = f' style="{journey}"' if journey else ""
    text = f'<text x="{box.x + box.width / 2:g}" y="{box.y + 16:g}">{box.pfn}</text></g>'
    if box.kind == OBJECT:
        ring = f'<circle cx="{box.x + box.width / 2:g}" cy="{box.y + 11:g}" r="11.5"/>'
        return f'<g class="p {kinds}" data-object="{box.pfn}"{style}>{ring}{text}'
    mark = f'<path class="x" d="M{box.x + box.width - 9:g} {box.y:g}h9v9z"/>' if box.stray else ""
    return (
        f'<g class="p {kinds}" data-page="{box.pfn}/{box.order}"{style}>'
        f'<path d="M{box.x:g} {box.y:g}h{box.width:g}v{BOX_HEIGHT}h-{box.width:g}z"/>{mark}{text}'
    )


def moved(boxes: Sequence[Box], old: Sequence[Box] | None) -> dict[str, str]:
    """Draw the boxes of each panel; what was elsewhere before comes from there, one after the other.

    A block that has become part of a larger one follows it, and is gone then.
    """
    drawn = {LEFT: "", RIGHT: ""}
    before = {(box.pfn, box.order): box for box in old or ()}
    turns = AFTER_SPLIT
    for box in boxes:
        was = origin(box, before) if old else box
        if was is None:
            drawn[box.panel] += "" if box.hidden else drawn_box(box, also="new")
            continue
        far = (was.panel, was.x, was.y) != (box.panel, box.x, box.y)
        turns += was.panel != box.panel
        if not box.hidden:
            style = travel(box, was, turns if was.panel != box.panel else 0) if far else ""
            drawn[box.panel] += drawn_box(box, style, "v" if far else "")
    now = {(box.pfn, box.order) for box in boxes}
    for was in old or ():
        into = next((box for box in boxes if box.holds(was)), None)
        if into and not was.hidden and (was.pfn, was.order) not in now:
            drawn[was.panel] += drawn_box(was, travel(was, into, 0), "gone")
    return drawn


def strays(boxes: Iterable[Box], type_of: Mapping[int, int | None]) -> list[Box]:
    """Mark the boxes that lie in a pageblock of another type than their list's, if its type is known."""
    return [replace(box, stray=type_of[box.pfn] not in (None, box.kind)) for box in boxes]


def panels(left: tuple[str, float], right: tuple[str, float], pages: Mapping[str, str], alt: str) -> str:
    """Draw two panels, each of a frame and a height, and the pages on them; ``alt`` says what the picture says."""
    return (
        f'<div class="gfp-drawn" role="img" aria-label="{escape(alt)}">'
        f'<svg aria-hidden="true" style="--a:{left[1]:g};--b:{right[1]:g}">'
        f'<g class="a">{left[0]}</g><g class="b">{right[0]}{pages[RIGHT]}</g><g class="a">{pages[LEFT]}</g></svg></div>'
    )


def lane(x: float, y: float, width: float) -> str:
    """Draw the ground on which the boxes of a list lie, at the place of its first box."""
    return f'<path class="lane" d="M{x - 2:g} {y - 2:g}h{width:g}v{BOX_HEIGHT + 4}h-{width:g}z"/>'


def captioned(finding: str, call: str, spoken: str, drawn: str, line: str) -> str:
    """Return a moment of a story: what it shows, what is called, what happens in HTML, the drawing, the time line."""
    return (
        f'<p class="gfp-finding">{escape(finding)}</p><p class="gfp-call">{escape(call)}</p>'
        f'<p class="gfp-now step" role="status">{spoken}</p>{drawn}{line}'
    )


def time_line(names: Sequence[str], owners: Sequence[int], at: int, label: str) -> str:
    """Draw what happens in its order, and the moments of what is shown.

    Arguments: the names; to which of them each moment belongs; the moment shown; what they are.
    """
    shown = []
    for number, name in enumerate(names):
        own = [moment for moment, owner in enumerate(owners) if owner == number]
        marks = "".join("<b>▼</b>" if moment == at else "●○"[moment > at] for moment in own)
        dots = f'<span aria-hidden="true">{marks}</span>' if at in own and len(own) > 1 else ""
        shown.append(f"<li{' aria-current=step' if at in own else ''}>{escape(name)}{dots}</li>")
    return f'<ol class="gfp-time" aria-label="{escape(label)}">{"".join(shown)}</ol>'


def key_of_kinds(kinds: Iterable[int]) -> str:
    """Draw what the outlines stand for."""
    marks = (f'<i class="{KINDS[kind]}"></i>{MIGRATE_NAMES[kind].lower()}' for kind in kinds)
    return f'<p class="gfp-kinds">{" ".join(marks)}</p>'

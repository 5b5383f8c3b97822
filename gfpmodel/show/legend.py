"""The key to the book's pictures: one sample of each mark beside what it means, and a line of signs taken apart.

The samples are drawn by the functions that draw the pictures, so that the key cannot differ from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gfpmodel.locking import context, make_kernel
from gfpmodel.mm.state import MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE
from gfpmodel.show.charts import Scale
from gfpmodel.show.drawn import EDGE, LEFT, OBJECT, SPACE, Box, drawn_box, key_of_kinds, lane, padlock, width_of
from gfpmodel.show.path import KEY_OF_BARS
from gfpmodel.show.pictures import SIGNS as OF_DIFF
from gfpmodel.show.pictures import Picture
from gfpmodel.show.places import SIGNS
from gfpmodel.show.plots import Dot, track
from gfpmodel.show.shares import bar
from gfpmodel.show.stacks import Ask, drawn_stack, levels, wanted

SHEET = "legend.css"
WIDTH, HIGH = 150, 30  #: of a drawn sample, px
#: The samples of a bit of the gfp word: class, mark, label, what it means.
BITS = (
    ("f", "9", "ZERO", "a flag that the mask does not have"),
    ("f s", "9 ●", "ZERO", "a flag that is set in the mask"),
    ("f c", "9 + new", "ZERO", "a flag that this kernel did not have before"),
    ("f c", "9 → moved", "ZERO", "a flag that had another bit before"),
    ("h", "9", "hole", "a bit below the shift that no flag uses"),
    ("t", "9", "ROOT", "a bit above the shift, where the radix tree keeps a tag"),
    ("t x", "9 ✕", "ZERO", "a flag that lies on such a tag"),
)


def apart(parts: Sequence[tuple[str, str]], whole: str = "") -> Picture:
    """Show a line of signs taken apart: each part with what it means below it.

    Arguments: the parts with their meanings; what stands between them and belongs to none is not given.
    """
    body = "".join(f"<div><code>{escape(part)}</code><span>{escape(means)}</span></div>" for part, means in parts)
    head = f'<p class="gfp-call">{escape(whole)}</p>' if whole else ""
    lines = [whole] * bool(whole) + [f"  {part:<12} {means}" for part, means in parts]
    return Picture(f'{head}<div class="gfp-apart">{body}</div>', "\n".join(lines), SHEET)


def samples(title: str, rows: Sequence[tuple[str, str]], sheet: str = SHEET) -> Picture:
    """Show samples, each beside what it means: the title; the samples as HTML with their words; their style sheet."""
    body = "".join(f"<dt>{sample}</dt><dd>{escape(means)}</dd>" for sample, means in rows)
    text = "\n".join([title, *(f"  {means}" for _, means in rows)])
    return Picture(f'<p class="gfp-finding">{escape(title)}</p><dl class="gfp-legend">{body}</dl>', text, sheet)


def drawn(body: str) -> str:
    """Return a small drawing of lists, pages or locks; its words stand beside it."""
    return f'<span class="gfp-drawn"><svg aria-hidden="true" style="--a:{HIGH};--b:-12">{body}</svg></span>'


def page(number: int, kind: int, at: int = 0, stray: bool = False) -> str:
    """Draw one page of a list."""
    width = width_of([number])
    return drawn_box(Box(number, 0, kind, LEFT, EDGE + at * (width + SPACE), 4, width, stray=stray))


def bits() -> Picture:
    """Show what the boxes of the gfp word mean."""
    rows = [
        (f'<span class="gfp-word"><i class="{kind}"><u>{mark}</u>{label}</i></span>', means)
        for kind, mark, label, means in BITS
    ]
    return samples("Bits of a gfp mask", rows)


def lists() -> Picture:
    """Show what pages, lists, locks and interrupts are drawn as."""
    line = lane(EDGE, 4, WIDTH - EDGE) + page(17, MIGRATE_UNMOVABLE) + page(42, MIGRATE_UNMOVABLE, 1)
    kinds = [MIGRATE_UNMOVABLE, MIGRATE_MOVABLE, MIGRATE_RECLAIMABLE]
    off, held = KEY_OF_BARS.values()
    return samples(
        "Pages, lists and locks",
        [
            (drawn(line), "a list; the head, which is taken next, is on the left; the number is the page frame number"),
            (
                "".join(key_of_kinds([kind]) for kind in kinds),
                "the outline says for which type of pages a list or a page is",
            ),
            (drawn(page(17, MIGRATE_UNMOVABLE, stray=True)), "a page that lies in a pageblock of another type"),
            (drawn(page(3, OBJECT)), "an object that waits to be freed, in pictures of kfree_rcu()"),
            (
                drawn(padlock(EDGE, 4, shut=True) + padlock(EDGE + 40, 4, shut=False)),
                "a closed padlock is a lock that is held; an open one is free",
            ),
            (f'<p class="gfp-kinds">{off}</p>', "a dashed line beside, or around, what happens with interrupts off"),
            (f'<p class="gfp-kinds">{held}</p>', "a solid line beside, or around, what happens under the lock"),
        ],
    )


ENDS = {
    "page": "the request gets a page, and no report is printed",
    "NULL": "the request gets NULL, and no report is printed",
    "reported": "the kernel prints a report; the request may still get its page",
    "deadlock": "the request waits for a lock that its own CPU holds, and never returns",
    "unsafe": "the request may corrupt a list or wait for ever, and nothing is printed",
    "moot": "the caller's own locks were reported before the request, so nothing can be said of it",
}


def verdicts() -> Picture:
    """Show the marks of what becomes of a request."""
    rows = [(f'<span class="sign">{mark} {word}</span>', ENDS[name]) for name, (mark, word) in SIGNS.items()]
    return samples("What becomes of a request", rows)


def stack() -> Picture:
    """Show a stack of locks on which the wanted one does not fit, and one that is only tried."""
    kernel = make_kernel("v5.8", {"PROVE_RAW_LOCK_NESTING": True})
    where = context("mutex>hardirq>raw")
    held = list(levels(where, kernel))
    (takes,) = wanted(Ask("GFP_NOWAIT")("raw", kernel))
    (tries,) = wanted(Ask(row="trylock")("raw", kernel))
    rows = [
        (drawn_stack(held[:1], "the task"), "the task, at the bottom: any lock may be taken on top of it"),
        (
            drawn_stack(held[1:2], "a lock that is held"),
            "a lock that is held; the narrower it is, the fewer locks fit on top of it",
        ),
        (
            drawn_stack([takes], "a lock that does not fit"),
            "a lock that is wanted and needs more than is left: a report",
        ),
        (drawn_stack([tries], "a lock that is only tried"), "a lock that is only tried, which lockdep does not check"),
    ]
    return samples("A stack of locks, the first at the bottom", rows)


def results() -> Picture:
    """Show how what was measured, or counted, is drawn."""
    scale = Scale(0, 100, "%")
    one, other = Dot(40, 25, 60, "40"), Dot(70, 65, 80, "70")
    points = {
        "a mean, and the 95 % interval around it": track(0, one, scale, {}, "a mean"),
        "the same of a second series": track(1, other, scale, {}, "a second series"),
        "an upright line: a value to compare with": track(0, one, scale, {"": 50}, "a mark"),
    }
    parts = bar({"a": 3, "b": 1}, 0.6)
    rows = [(f'<span class="gfp-dots">{drawing}</span>', means) for means, drawing in points.items()] + [
        (
            f'<span class="gfp-shares"><span class="bar" role="img" aria-label="two parts">{parts}</span></span>',
            "parts of a whole; the line across is what somebody else said of the first part",
        )
    ]
    return samples("Results of experiments", rows)


def patch() -> Picture:
    """Show how a patch is drawn."""
    words = {"+": "a line that the patch adds", "-": "a line that it removes", " ": "a line that it leaves"}
    rows = [
        (f'<span class="gfp-diff"><code class="{kind}"><b>{sign}</b>code</code></span>', words[sign])
        for sign, kind in OF_DIFF.items()
    ]
    return samples("A patch", rows, "diff.css")


#: The parts of the key, in the order of the chapters.
LEGEND = {one.__name__: one for one in (bits, lists, stack, verdicts, results, patch)}

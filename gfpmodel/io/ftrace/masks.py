"""The masks of a trace: whose names they are, and what they are in another kernel's bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gfpmodel.errors import InputError
from gfpmodel.gfp import Layout, decode, encode, layout
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, kernels, variants

ENOUGH = 200  #: texts that decide whose names they are


@dataclass(frozen=True)
class Choice:
    """The layout under which a trace's masks are read, all kernels that its names fit, and the texts that do not."""

    layout: Layout
    fits: tuple[str, ...]
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        others = [name for name in self.fits if name != self.layout.kernel]
        return f"{self.layout}" + (f" (its names fit {', '.join(others)}, too)" if others else "")


def parse(text: str, names: Layout) -> int | None:
    """Return the mask that a trace printed, None if the layout has not all of its names."""
    if not text.isascii() or text.startswith(("~", "-")):
        return None
    try:
        return encode(text, names)
    except InputError:
        return None


def score(texts: Iterable[str], names: Layout) -> tuple[int, int]:
    """Return how many texts a layout can read, and how many it would print in the same words."""
    masks = {text: parse(text, names) for text in texts}
    known = {text: mask for text, mask in masks.items() if mask is not None}
    same = sum(decode(mask, names).text == text for text, mask in known.items())
    return len(known), same


def candidates(since: str | None) -> Iterator[list[Layout]]:
    """Yield the layouts of kernels not older than ``since``: those without any option, then the others."""
    names = list(kernels())
    young = names[names.index(since) :] if since else names
    yield [layout(name) for name in young]
    yield [one for name in young for one in list(variants(name))[1:]]


def choose(texts: Iterable[str], since: str | None = None) -> Choice:
    """Deduce whose names the masks of a trace have: the kernel that prints them all in these very words.

    Of several, v5.8-rc3 if it is among them, else the oldest.  Arguments: the texts; the kernel before which, to
    judge by the trace's header, it cannot be.
    """
    known = sorted(set(texts))
    asked = known[:ENOUGH]
    best: list[tuple[tuple[int, int], Layout]] = []
    for group in candidates(since):
        best += [(score(asked, one), one) for one in group]
        top = max(points for points, _ in best)
        if top == (len(asked), len(asked)):
            break
    fitting = [one for points, one in best if points == top]
    chosen = next((one for one in fitting if one.kernel == DEFAULT_KERNEL), fitting[0])
    return choice(chosen, known, tuple(dict.fromkeys(one.kernel for one in fitting)))


def choice(names: Layout, texts: Iterable[str], fits: tuple[str, ...] = ()) -> Choice:
    """Return the choice of a layout that is given, with the texts that it cannot read."""
    return Choice(names, fits or (names.kernel,), tuple(text for text in texts if parse(text, names) is None))


def translate(mask: int, theirs: Layout, ours: Layout) -> tuple[int, tuple[str, ...]]:
    """Return a mask in another kernel's bits, flag by flag, and the flags which that kernel does not have."""
    flags = decode(mask, theirs).flags
    lost = tuple(name for name in flags if name not in ours.bits)
    return sum(ours.bits[name] for name in flags if name in ours.bits), lost

"""The masks of a trace: whose names they are, and what they are in another kernel's bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby

from gfpmodel.errors import InputError
from gfpmodel.gfp import Layout, decode, encode, layout
from gfpmodel.gfp.layouts import DEFAULT_KERNEL, kernel_name, kernels, variants
from gfpmodel.gfp.releases import spans

RAW_KERNEL = "v6.12"  #: of 6.10 and its followers tools could not print names: the flags had become an enum
ENOUGH = 200  #: texts that decide whose names they are


@dataclass(frozen=True)
class Choice:
    """The layout under which a trace's masks are read, all kernels that its names fit, and the texts that do not.

    ``differing`` has, for each text that names other flags in another kernel that fits, the masks by kernel;
    ``numbers`` says that the masks are numbers, so names tell nothing; ``told`` is the kernel that the trace names,
    ``untold`` the one it names when there is no layout of it.
    """

    layout: Layout
    fits: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    differing: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    numbers: bool = False
    told: str | None = None
    untold: str | None = None

    def __str__(self) -> str:
        if self.told:
            return f"{self.layout} (the trace names {self.told})"
        others = [name for name in self.fits if name != self.layout.kernel]
        what = "numbers" if self.numbers else "names"
        return f"{self.layout}" + (f" (its {what} fit {spans(others)}, too)" if others else "")

    def remarks(self) -> Iterator[tuple[str | None, str]]:
        """Yield what should be said of the choice, each with the text that it is about, if it is about one."""
        if self.untold:
            yield None, f"the trace names kernel {self.untold}, of which no flags are known: {self.layout} is taken"
        if self.numbers:
            why = "the masks are numbers, no names (perf and trace-cmd print them so for 6.10 and later, and with -R)"
            yield None, f"{why}: read with the bits of {self.layout}; name the kernel with --kernel"
        for text in self.unknown[:5]:
            yield text, f"a mask that {self.layout} does not have"
        for text, masks in self.differing.items():
            which = ", ".join(f"{mask:#x} in {names}" for names, mask in runs(masks))
            yield text, f"{text} is not the same mask in all kernels that fit ({which}); name the kernel with --kernel"


def runs(masks: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """Yield the kernels, oldest first, that follow each other with one mask, as first and last."""
    for mask, group in groupby(masks.items(), key=lambda item: item[1]):
        names = [name for name, _ in group]
        yield (names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"), mask


def parse(text: str, names: Layout) -> int | None:
    """Return the mask that a trace printed, None if the layout has not all of its names or bits."""
    if not text.isascii() or text.startswith(("~", "-")):
        return None
    try:
        mask = encode(text, names)
    except InputError:
        return None
    return None if is_number(text) and mask & ~names.bits_mask else mask


def is_number(text: str) -> bool:
    """Return whether a mask was printed as a number."""
    return text.isascii() and (text.isdigit() or text.startswith("0x"))


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


def choose(texts: Iterable[str], since: str | None = None, release: str | None = None) -> Choice:
    """Deduce whose names the masks of a trace have: the kernel it names, or the one that prints them in these words.

    Of several, v5.8-rc3 if it is among them, else the oldest; of numbers, the first kernel whose names tools could not
    print.  Arguments: the texts; the kernel before which, to judge by the trace's header, it cannot be; its release.
    """
    known = sorted(set(texts))
    if release and (told := of_release(known, release)):
        return told
    asked = known[:ENOUGH]
    numbers = bool(known) and all(map(is_number, known))
    best: list[tuple[tuple[int, int], Layout]] = []
    for group in candidates(since):
        best += [(score(asked, one), one) for one in group]
        top = max(points for points, _ in best)
        if top == (len(asked), len(asked)) and not numbers:
            break
    fitting = [one for points, one in best if (points[0] == top[0] if numbers else points == top)]
    wanted = RAW_KERNEL if numbers else DEFAULT_KERNEL
    chosen = next((one for one in fitting if one.kernel == wanted), fitting[0])
    fits = tuple(dict.fromkeys(one.kernel for one in fitting))
    differing = {} if numbers else differences(known, chosen, fitting)
    return replace(choice(chosen, known, fits), differing=differing, numbers=numbers, untold=release)


def of_release(texts: list[str], release: str) -> Choice | None:
    """Return the choice of the kernel that a trace names, None if there is no layout of it."""
    try:
        name = kernel_name(release)
    except InputError:
        return None
    chosen = max(variants(name), key=lambda one: score(texts[:ENOUGH], one))
    return replace(choice(chosen, texts), told=release)


def differences(texts: Iterable[str], chosen: Layout, fitting: list[Layout]) -> dict[str, dict[str, int]]:
    """Return the texts that stand for other flags in other kernels that fit: for each, the mask by kernel."""
    found = {}
    for text in texts:
        masks = {one.kernel: mask for one in reversed(fitting) if (mask := parse(text, one)) is not None}
        flags = {one.kernel: meaning(masks[one.kernel], one) for one in fitting if one.kernel in masks}
        if any(one != flags.get(chosen.kernel) for one in flags.values()):
            found[text] = {one.kernel: masks[one.kernel] for one in fitting if one.kernel in masks}
    return found


def meaning(mask: int, names: Layout) -> frozenset[str]:
    """Return the flags of a mask that the engine's kernel has, too: those are what a replay goes by."""
    ours = layout(DEFAULT_KERNEL).bits
    return frozenset(flag for flag in decode(mask, names).flags if flag in ours)


def choice(names: Layout, texts: Iterable[str], fits: tuple[str, ...] = ()) -> Choice:
    """Return the choice of a layout that is given, with the texts that it cannot read."""
    return Choice(names, fits or (names.kernel,), tuple(text for text in texts if parse(text, names) is None))


def translate(mask: int, theirs: Layout, ours: Layout) -> tuple[int, tuple[str, ...]]:
    """Return a mask in another kernel's bits, flag by flag, and the flags which that kernel does not have."""
    flags = decode(mask, theirs).flags
    lost = tuple(name for name in flags if name not in ours.bits)
    return sum(ours.bits[name] for name in flags if name in ours.bits), lost

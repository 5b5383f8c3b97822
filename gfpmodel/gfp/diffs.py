"""Compare two layouts: what moved, and what a number from an old log means on a new kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import Layout, config_names, layout
from gfpmodel.gfp.names import Decoded, decode, encode


@dataclass(frozen=True)
class LayoutDiff:
    """What differs from layout ``old`` to layout ``new``; values are masks."""

    old: Layout
    new: Layout
    moved: tuple[tuple[str, int, int], ...]
    added: tuple[tuple[str, int], ...]
    removed: tuple[tuple[str, int], ...]
    composites: tuple[tuple[str, int | None, int | None], ...]
    reused: tuple[tuple[int, str, str], ...]

    @property
    def same(self) -> bool:
        """Return whether every number means the same under both layouts."""
        return not (self.moved or self.added or self.removed or self.composites) and self.old.shift == self.new.shift

    def to_json(self) -> dict[str, object]:
        """Return plain data for ``--json``; masks are numbers."""
        return {
            "old": {"kernel": self.old.kernel, "config": dict(self.old.config), "shift": self.old.shift},
            "new": {"kernel": self.new.kernel, "config": dict(self.new.config), "shift": self.new.shift},
            "same": self.same,
            "moved": [{"flag": f, "old": a, "new": b} for f, a, b in self.moved],
            "added": [{"flag": f, "new": b} for f, b in self.added],
            "removed": [{"flag": f, "old": a} for f, a in self.removed],
            "composites": [{"name": n, "old": a, "new": b} for n, a, b in self.composites],
            "reused": [{"mask": m, "old": was, "new": now} for m, was, now in self.reused],
            "bits_left": {"old": self.old.bits_left, "new": self.new.bits_left},
        }

    def to_text(self) -> str:
        """Return the difference as lines a reviewer can read."""

        def shown(value: int | None) -> str:
            return "none" if value is None else f"{value:#x}"

        lines = [f"{self.old} -> {self.new}"]
        lines += [f"  moved      {f} {a:#x} -> {b:#x}" for f, a, b in self.moved]
        lines += [f"  added      {f} {b:#x}" for f, b in self.added]
        lines += [f"  removed    {f} {a:#x}" for f, a in self.removed]
        lines += [f"  composite  {n} {shown(a)} -> {shown(b)}" for n, a, b in self.composites]
        lines += [f"  reused     {m:#x} in an old log is {was}, now {now}" for m, was, now in self.reused]
        lines.append(
            f"  shift      {self.old.shift} -> {self.new.shift}"
            f" (room for the tags: {self.old.bits_left} -> {self.new.bits_left} bits)"
        )
        return "\n".join(lines + (["  the same"] if self.same else []))


def pair(old: str, new: str, config: Mapping[str, bool]) -> tuple[Layout, Layout]:
    """Return the layouts of two kernels in one configuration; each takes the options it knows.

    Raises InputError for an option that neither of them knows.
    """
    known = {*config_names(old), *config_names(new)}
    for option in config:
        if option not in known:
            expected = f"; expected one of {', '.join(sorted(known))}" if known else ""
            raise InputError(f"unknown config {option!r} of {old} and {new}{expected}")

    def one(kernel: str) -> Layout:
        return layout(kernel, {name: on for name, on in config.items() if name in config_names(kernel)})

    return one(old), one(new)


def diff(old: Layout, new: Layout) -> LayoutDiff:
    """Compare two layouts flag by flag, composite by composite and bit by bit."""
    names = [n for n in dict.fromkeys([*old.composites, *new.composites]) if n.startswith("GFP_")]
    bits = [(1 << bit, old.flag_at(bit), new.flag_at(bit)) for bit in range(max(old.shift, new.shift))]
    return LayoutDiff(
        old=old,
        new=new,
        moved=tuple((f, v, new.bits[f]) for f, v in old.bits.items() if new.bits.get(f, v) != v),
        added=tuple((f, v) for f, v in new.bits.items() if f not in old.bits),
        removed=tuple((f, v) for f, v in old.bits.items() if f not in new.bits),
        composites=tuple(
            (n, old.composites.get(n), new.composites.get(n))
            for n in names
            if old.composites.get(n) != new.composites.get(n)
        ),
        reused=tuple((mask, was, now) for mask, was, now in bits if was and now and was != now),
    )


@dataclass(frozen=True)
class Reading:
    """A number from one kernel's log, read on another kernel: what it meant, what it says now, what it should be."""

    mask: int
    then: Decoded
    now: Decoded
    correct: int | None


def reread(mask: int, old: Layout, new: Layout) -> Reading:
    """Read a mask logged under ``old`` with the eyes of ``new``; ``correct`` is None if ``new`` lacks a name of it."""
    then = decode(mask, old)
    try:
        correct = encode("|".join(then.flags), new) if not mask & ~old.defined else None
    except InputError:
        correct = None
    return Reading(mask, then, decode(mask, new), correct)

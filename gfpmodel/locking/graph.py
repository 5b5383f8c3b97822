"""The graph of locks taken while others were held, built from what was observed, and its cycles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class LockGraph:
    """Edges from a held lock to one taken under it, each with the function that took it first.

    Models: what kernel/locking/lockdep.c:check_prevs_add (v5.8) remembers.
    """

    edges: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, held: Iterable[str], taken: str, where: str) -> None:
        """Remember that a lock was taken under others.

        Arguments: the names of the locks held, the name of the one taken, the function that took it.
        """
        for name in held:
            self.edges.setdefault(name, {}).setdefault(taken, where)

    def path(self, start: str, goal: str) -> list[str]:
        """Return the locks on a shortest way of edges from one to another, empty if there is none."""
        ways = [[start]]
        seen: set[str] = set()
        for way in ways:
            for name in self.edges.get(way[-1], {}):
                if name == goal:
                    return [*way, name]
                if name not in seen:
                    seen.add(name)
                    ways.append([*way, name])
        return []

    def cycle(self) -> list[str]:
        """Return a shortest cycle, first and last lock the same, empty if there is none: a possible deadlock."""
        found = [way for name in self.edges if (way := self.path(name, name))]
        return min(found, key=len, default=[])

    def merged(self, other: LockGraph | None = None) -> LockGraph:
        """Return a graph of its own with the edges of this one and of another."""
        both = LockGraph({name: dict(taken) for name, taken in self.edges.items()})
        for name, taken in (other.edges if other else {}).items():
            both.edges.setdefault(name, {}).update(taken)
        return both

    def __str__(self) -> str:
        return "\n".join(
            f"{name} -> {taken} ({where})" for name, under in self.edges.items() for taken, where in under.items()
        )

"""Which zones a request may use: its highest zone, the nodes of nodemask= and mems_allowed=, and one node alone.

Models: mm/page_alloc.c:get_page_from_freelist and kernel/cgroup/cpuset.c:__cpuset_node_allowed (v4.4 to v7.3); leaves
out OOM victims and tasks that exit, which no cpuset binds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gfpmodel.explain.request import Asks, Context
from gfpmodel.io.meminfo import ORDER_OF_ZONES, Zone

_NODES = re.compile(r"nodemask=([\d,-]+)")
_MEMS = re.compile(r"mems_allowed=([\d,-]+)")
_OOM = "oom-kill:constraint="  #: since v5.0 this line of an OOM names the nodes, at its end
MOST_NODES = 1 << 12


@dataclass(frozen=True)
class Nodes:
    """The nodes that a report names, as it writes them; empty where it names none."""

    nodemask: str = ""
    mems_allowed: str = ""

    def __str__(self) -> str:
        named = (("nodemask", self.nodemask or "(null)"), ("mems_allowed", self.mems_allowed or "not printed"))
        return ", ".join(f"{name}={value}" for name, value in named)


def nodes_of(lines: list[str]) -> Nodes:
    """Return the nodes that a report names: in its first lines, or an OOM's at its end."""
    last = next((line for line in reversed(lines) if _OOM in line), "")
    first = "".join(lines[:3])  # wherever a terminal or a mailer broke them
    mask, mems = (it.search(first) or it.search(last) for it in (_NODES, _MEMS))
    return Nodes(mask[1].strip(",") if mask else "", mems[1].strip(",") if mems else "")


def numbers(text: str) -> set[int]:
    """Return the numbers of a list such as 0-1,4."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found |= set(range(int(first), min(int(last) if last.isdigit() else int(first), MOST_NODES) + 1))
    return found


def left_out(zone: Zone, asks: Asks, nodes: Nodes, context: Context) -> set[str]:
    """Return why a zone is not eligible for a request: an empty reason if it is, this one besides where it may be.

    A cpuset does not bind who may use the reserves without waiting, nor an interrupt; without __GFP_HARDWALL what binds
    is the nearest cpuset above that is exclusive or has a hard wall, which is not printed.  Where a mask of nodes is
    printed, the slow path went by it.
    """
    if ORDER_OF_ZONES.index(zone.name) > ORDER_OF_ZONES.index(asks.highest):
        return {f"above {asks.highest}, the highest zone that the request allows"}
    if nodes.nodemask and zone.node not in numbers(nodes.nodemask):
        return {f"nodemask={nodes.nodemask} leaves its node out"}
    bound = asks.cpuset and not context.interrupt
    if bound and nodes.mems_allowed and zone.node not in numbers(nodes.mems_allowed):
        out = f"mems_allowed={nodes.mems_allowed} leaves its node out"
        unless = ", unless a cpuset above the task's has it, as there is no __GFP_HARDWALL"
        return {out} if asks.hardwall else {"", out + unless}
    return {""}

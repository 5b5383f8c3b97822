"""Reports on areas of virtual memory: what vmalloc says of the bytes that it was asked for, and of why it failed.

The forms (RELEASES.md, section 3, of the project's notes): with what was got of all up to v4.17, then with all alone;
later ones begin with ``vmalloc error``.
"""

from __future__ import annotations

import re

KINDS = ("vmalloc failure", "vmalloc error")
_SAID = re.compile(r"vmalloc(?:: allocation failure| error: size)[:, ]+(?:allocated (\d+) of )?(\d+)(?: bytes)?(.*)")
_ORDER = re.compile(r"\bpage order (\d{1,3})\b")
_NO_ROOM = re.compile(r"vm_struct allocation failed|vm_area|vmap_area|exceeds total pages")


def order_of(line: str) -> int:
    """Return the order of the pages that an area is made of."""
    found = _ORDER.search(line)
    return int(found[1]) if found else 0


def lacked_room(line: str) -> bool:
    """Return whether an area failed before any page was asked for."""
    return bool(_NO_ROOM.search(line))


def asked(line: str) -> str:
    """Return what was asked for, in words."""
    found = _SAID.search(line)
    return f"{found[2]} bytes of virtual memory (vmalloc)" if found else "virtual memory (vmalloc)"


def why(line: str) -> str:
    """Return what a line says of why it failed, in words."""
    found = _SAID.search(line)
    if found and found[1]:
        return f"vmalloc had got pages for {found[1]} of {found[2]} bytes, and the next page was refused"
    reason = found[3].partition("mode:")[0].strip(" ,") if found else ""
    if lacked_room(line):
        return f"vmalloc got no area, before its pages were asked for ({reason})"
    if reason:
        return f"vmalloc was refused pages ({reason})"
    return "whether vmalloc lacked pages or room in the virtual address space is not printed"

"""What slab says when it gets no page for a cache: its mask, the cache, and the order that it would have made do with.

Models: mm/slub.c:slab_out_of_memory (v4.4 to v7.3).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

KIND = "slab failure"
_CACHE = re.compile(r"cache: (\S+), object size: (\d+),(?: buffer size: \d+, default order: \d+, min)? order: (\d+)")


def cache_of(lines: Sequence[str]) -> re.Match[str] | None:
    """Return the line that names the cache, None if it is lost."""
    return next(filter(None, map(_CACHE.search, lines)), None)


def order_of(lines: Sequence[str]) -> int | None:
    """Return the order of the last request: the least that holds an object, asked for with the mask that is printed."""
    found = cache_of(lines)
    return int(found[3]) if found else None


def asked(lines: Sequence[str]) -> str:
    """Return what was asked for, in words."""
    found = cache_of(lines)
    return f"an object of {found[2]} bytes of the cache {found[1]}" if found else "an object of slab"

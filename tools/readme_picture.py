"""Draw the picture of the README's first screen from the package's own tables.

Usage: python tools/readme_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from gfpmodel.show.figures import room_figure, svg

PICTURE = Path(__file__).resolve().parent.parent / "book/assets/room.svg"
ALT = "__GFP_BITS_SHIFT of 12 kernels, as a range over their configurations, against the limit of 29"


def main(argv: list[str]) -> int:
    """Write the picture; tests/test_readme.py says whether it is stale."""
    if argv:
        print(__doc__, file=sys.stderr)
        return 2
    PICTURE.write_text(svg(room_figure(), ALT, "white") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

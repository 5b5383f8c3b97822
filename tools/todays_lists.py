"""Run the days of gfpmodel.sim.today on each kernel's lists, and write what they came to.

python tools/todays_lists.py > book/data/todays-lists.csv      some minutes
"""

from __future__ import annotations

from gfpmodel.sim.today import COLUMNS, line, points


def main() -> None:
    """Print a line for each run."""
    print(",".join(COLUMNS))
    for point in points():
        print(line(point), flush=True)


if __name__ == "__main__":
    main()

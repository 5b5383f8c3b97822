"""Check that traces are read whole: ``python tools/check_traces.py FILE...``.

For each file: no line is left unexplained, and the events counted by name are those that a search for `` NAME: `` in
the same text finds.  Exit status 1 if any differs.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

from gfpmodel.io.ftrace import open_trace
from gfpmodel.io.streams import open_bytes

#: A time and then an event, or the name of a page event at the line's begin or in a comment: on purpose not how the
#: scanner reads it.
EVENT = re.compile(
    rb"^(?:.*?[\d.]{6,}(?:us.)?(?: \(\+.*?\))?: +(?:\d+ +)?(?:\(\+\d+\) *)?(?:\w+:)?|(?:.*/\* )?(?=mm_page_))"
    rb"(?!PERF_RECORD_)(\w+): ",
    re.MULTILINE,
)


def check(name: str) -> list[str]:
    """Return what is wrong with the reading of a file."""
    with open_bytes(name) as stream:
        found = Counter(match.decode() for match in EVENT.findall(stream.read()))
    with open_trace(name) as reader:
        for _ in reader:
            pass
    wrong = [str(problem) for problem in reader.problems]
    if reader.events != dict(sorted(found.items())):
        wrong.append(f"counted {reader.events}, a search finds {dict(sorted(found.items()))}")
    return wrong


def main(names: list[str]) -> int:
    """Check all files and print a line for each; returns the exit status."""
    status = 0
    for name in names:
        wrong = check(name)
        print(f"{name}: {'; '.join(wrong) or 'ok'}")
        status = max(status, int(bool(wrong)))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

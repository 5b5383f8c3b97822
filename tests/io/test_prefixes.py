"""One table says what mail and logs put before a line: the scanner of traces and the readers of text agree on it."""

from __future__ import annotations

import re

import pytest

from gfpmodel.io.text import AROUND, PREFIXES, as_regex, split
from tests.io.test_ftrace_forms import LINE, read

STAMP = "[  100.000008] "
BEFORE = {
    "a byte order mark": "\ufeff",
    "quoted": "> ",
    "quoted twice": ">> ",
    "a level": "<4>" + STAMP,
    "a caller": "[  100.000008][   T11] ",
    "a caller, RT": "[  100.000008][    C2] ",
    "dmesg -T": "[Sat Nov 28 18:27:03 2026] ",
    "syslog": "Nov 28 18:27:03 host kernel: " + STAMP,
    "syslog without a host": "Nov 28 18:27:03 kernel: " + STAMP,
    "syslog of a program": "Nov  8 18:27:03 host monitor.sh[4711]: ",
    "syslog of logger": "Nov  8 18:27:03 host root: ",
    "short-precise": "Nov 28 18:27:03.123456 host kernel: ",
    "syslog with microseconds": "Nov 28 18:27:03.123456 host kernel: ",
    "syslog with a day of the week": "Sat Nov 28 18:27:03 host kernel: ",
    "a date and a time": "2026-11-28 18:27:03 host kernel: ",
    "a time alone": "18:27:03 host kernel: ",
    "short-monotonic of a program": "[  100.000008] host monitor.sh[4711]: ",
    "short-iso": "2026-11-28T18:27:03+0000 host kernel: ",
    "short-iso-precise": "2026-11-28T18:27:03.123456+0000 host kernel: ",
    "short-full": "Sat 2026-11-28 18:27:03 CET host kernel: ",
    "short-monotonic": "[  100.000008] host kernel: ",
    "dmesg --time-format iso": "2026-11-28T18:27:03,123456+00:00 ",
    "a continuous integration's log": "2026-11-28T18:27:03.1234567Z " + STAMP,
    "quoted, with a stamp": "> > " + STAMP,
}


@pytest.mark.parametrize("form", BEFORE)
def test_the_same_is_cut_off_everywhere(form: str) -> None:
    reader, rows = read(f"{BEFORE[form]}{LINE}\n")
    assert (reader.unreadable, len(rows)) == (0, 1)
    for text in (LINE.strip(), "DMA free:15908kB min:32kB", "Node 0 Normal free:600kB", "Mem-Info:"):
        assert AROUND.sub("", BEFORE[form] + text) == text
        assert split(BEFORE[form] + text)[1] == text


@pytest.mark.parametrize("line", ["DMA free:15908kB min:32kB", "DMA32: 3*4kB (UM) = 12kB", "? func+0x1/0x2", "<IRQ>"])
def test_what_the_kernel_prints_behind_its_stamp_stays(line: str) -> None:
    """An older table took ``DMA free:`` for a host and a program, and left a zone without its name."""
    for before in ("", STAMP, "> " + STAMP, "<4>" + STAMP, "[    1.000000][ T1] "):
        assert AROUND.sub("", before + line) == line


def rows_of(before: str) -> set[str]:
    """Return the rows that take away what is before a line, as the readers take them: the first that fits."""
    found = set()
    while before.strip():
        row = next(row for row in PREFIXES if re.match(as_regex(row), before.lstrip()))
        before = before.lstrip()[re.match(as_regex(row), before.lstrip()).end() :]  # type: ignore[union-attr]
        found.add(row)
    return found


def test_every_row_is_of_a_form_above() -> None:
    assert set.union(*map(rows_of, BEFORE.values())) == set(PREFIXES)

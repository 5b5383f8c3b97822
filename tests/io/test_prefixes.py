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
    "rsyslog's ISO form": "2026-11-28T18:27:03.123456+00:00 host monitor[17]: ",
    "short-iso of logger": "2026-11-28T18:27:03+0000 host root: ",
    "a continuous integration's log of what has no stamp": "2026-11-28T18:27:03.1234567Z ",
    "a laboratory's console": "2026-11-28T18:27:03.123456  <4>" + STAMP,
    "quoted, with a stamp": "> > " + STAMP,
    "syslog with a day of the week, of a program": "Sat Nov 28 18:27:03 host monitor[17]: ",
    "short-precise of a program": "Nov 28 18:27:03.123456 host monitor[17]: ",
    "a date and a time, of a program": "2026-11-28 18:27:03 host monitor[17]: ",
    "a date and a time before a stamp": "2026-11-28 18:27:03 " + STAMP,
    "a terminal's time": "[18:27:03.123] ",
    "a terminal's date and time": "[2026-11-28 18:27:03.123] ",
    "dmesg -d": "[  100.000008 <    0.000010>] ",
    "dmesg -H": "[  +0.000010] ",
    "dmesg -H, its first line": "[Nov28 18:27] ",
    "dmesg -x": "kern  :warn  : " + STAMP,
}
#: What a kernel says of locks and of sleeping, and what looks like a program or a host behind a stamp.
SAID = (
    "worker/71 [HC0[0]:SC1[1]:HE1:SE0] takes:",
    "kworker/0:1/7 [HC0[0]:SC0[2]:HE1:SE0] is trying to acquire:",
    "worker/71 is trying to lock:",
    "{SOFTIRQ-ON-W} state was registered at:",
    "#0: ffff888012340678 (ft_raw){....}-{2:2}, at: example+0x10/0x40",
    "1 lock held by worker/71:",
    "no locks held by worker/71.",
    "context-{5:5}",
    "in_atomic(): 1, irqs_disabled(): 1, non_block: 0, pid: 71, name: worker",
    "preempt_count: 10001, expected: 0",
    "RCU nest depth: 0, expected: 0",
    "INFO: lockdep is turned off.",
    "Preemption disabled at:",
    "[<ffffffff81000000>] example+0x10/0x40",
    "Call Trace:",
    "RIP: 0010:example+0x10/0x40",
    "Node 0, zone      DMA",
    "Node 0 DMA free:15908kB min:32kB",
    "DMA free:15908kB min:32kB",
)


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


@pytest.mark.parametrize("form", BEFORE)
@pytest.mark.parametrize("line", SAID)
def test_what_a_report_says_stays_behind_every_form(line: str, form: str) -> None:
    """An older table took ``worker/71 [HC0[0]:`` behind a stamp for a host and a program with its pid."""
    assert split(BEFORE[form] + line)[1] == line


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

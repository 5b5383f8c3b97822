"""Booted kernels' logs: replayed event by event, and limitation (a) row by row."""

import lzma
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gfpmodel.errors import InputError
from gfpmodel.evidence import boot59
from gfpmodel.evidence.golden import DifferenceFound
from gfpmodel.evidence.raw_rows import LONGEST, read_rows, run_of, said_by_model, words_of
from gfpmodel.evidence.verify import verify_file
from gfpmodel.locking.reports import Report
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.rcu import KfreeRcu, Timing
from gfpmodel.rcu import state as st
from gfpmodel.rcu.limitation import Run, first_report
from tests.conftest import bulk_but

BOOK = Path(__file__).parents[2] / "book" / "data"
TABLE = BOOK / "kfree-rcu-raw.csv"
DATA = Path(__file__).parents[1] / "data" / "boot59"
LOGS = sorted([*DATA.glob("*.events.txt.xz"), *BOOK.glob("*.events.txt.xz")])
BY_HAND = "v5.9.1-gpbug-mode1-0.events.txt.xz"
#: Rows in which the drain timer's work ran between two objects; after which one, no column says.
DRAINED = {42: 1, 46: 2519}
QUEUE_NS = 11_600  #: from the recorded flood of 100,000 objects: 1.16 s


@pytest.mark.parametrize("path", bulk_but(4, LOGS), ids=lambda path: path.name.removesuffix(".events.txt.xz"))
def test_the_model_does_what_the_kernel_did(path: Path) -> None:
    verdict = verify_file(str(path))
    assert verdict.ok, str(verdict)
    assert verdict.ops == len(boot59.read_log(path).lines)
    assert bool(verdict.notes) == (path.name == BY_HAND)


def test_a_cache_emptied_by_hand_is_named() -> None:
    (note,) = verify_file(str(DATA / BY_HAND)).notes
    assert note == "line 16: the test had emptied the cache by hand (1 block), as mode 1 does"


# a changed log is found out

SMALL = BOOK / "v5.9.1-gpbug-mode2-0.events.txt.xz"
FLOOD = DATA / "v5.9.1-flood-smp1-100k-p05.events.txt.xz"
MIXED = DATA / "v5.9.1-flood-smp2-20k-mixed-p0.events.txt.xz"
ONE_BY_ONE = DATA / "v5.9.1-ev-smp1-2000-slab-p05.events.txt.xz"
TOO_EARLY = DATA / "v5.11.4-flood-smp2-100k-p0.events.txt.xz"


def text_of(path: Path) -> list[str]:
    return lzma.decompress(path.read_bytes()).decode().splitlines()


def written(tmp_path: Path, rows: list[str], name: str = "v5.9.1-changed.events.txt") -> str:
    file = tmp_path / name
    file.write_text("\n".join(rows) + "\n")
    return str(file)


#: event, field (0 to 7), change
CHANGES = [
    ("B", 2, 1),
    ("B", 4, 1),
    ("B", 7, 1),
    ("M", 1, 3),
    ("M", 2, 1),
    ("M", 6, 1),
    ("H", 1, 1),
    ("H", 2, 4),
    ("H", 4, 1),
    ("H", 7, 1),
    ("R", 1, 1),
    ("W", 2, 1),
    ("W", 6, 1),
    ("K", 3, 1),
    ("K", 4, -1),
    ("C", 3, 1),
    ("C", 4, 1),
    ("F", 3, 1),
    ("E", 1, 1),
]


def lines_of(rows: list[str], name: str) -> list[int]:
    return [number for number, row in enumerate(rows) if row.split()[3:4] == [name]]


def changed(row: str, column: int, change: int) -> str:
    """Return a line with a figure changed: column -3 is the cpu, -1 gp_seq, 0 to 7 are a0 to a7."""
    words = row.split()
    words[5 + column] = str(int(words[5 + column]) + change)
    return " ".join(words)


@pytest.mark.parametrize("path", bulk_but(3, [MIXED, FLOOD, ONE_BY_ONE]), ids=["mixed flood", "flood", "each object"])
@pytest.mark.parametrize(("name", "column", "change"), CHANGES)
def test_a_changed_figure_is_a_difference(tmp_path: Path, path: Path, name: str, column: int, change: int) -> None:
    rows = text_of(path)
    at = lines_of(rows, name)
    rows[at[len(at) // 2]] = changed(rows[at[len(at) // 2]], column, change)
    assert not verify_file(written(tmp_path, rows)).ok


@pytest.mark.parametrize(("name", "column", "change"), [("Q", 4, -4), ("Q", 4, 4), ("D", 1, 1)])
def test_a_changed_snapshot_or_early_free_is_a_difference(tmp_path: Path, name: str, column: int, change: int) -> None:
    rows = text_of(ONE_BY_ONE)
    at = lines_of(rows, name)[700]
    rows[at] = changed(rows[at], column, change)
    assert not verify_file(written(tmp_path, rows)).ok


MISSING = ["B", "M", "H", "R", "W", "K", "C", "E", "RCUCB"]
EACH = DATA / "v5.9.1-ev-smp1-6000-mixed-burst-p05-readers60.events.txt.xz"


@pytest.mark.parametrize(
    ("path", "name"),
    bulk_but(
        4, [*((EACH, name) for name in [*MISSING, "Q", "D", "L"]), *((MIXED, name) for name in [*MISSING, "T", "F"])]
    ),
    ids=lambda value: value if isinstance(value, str) else value.name.split("-")[1],
)
def test_a_missing_line_is_a_difference(tmp_path: Path, path: Path, name: str) -> None:
    rows = text_of(path)
    at = lines_of(rows, name)
    del rows[at[len(at) // 2]]
    rows[2] = re.sub(r"n=(\d+)", lambda m: f"n={int(m[1]) - 1}", rows[2])
    assert not verify_file(written(tmp_path, rows)).ok


def test_an_early_free_that_was_none_is_a_difference(tmp_path: Path) -> None:
    rows = [row.replace(" D -312 1 1", " D -312 1 0") for row in text_of(SMALL)]
    rows = [re.sub(r"( D -?\d+ 1) 1 ", r"\1 0 ", row) for row in rows]
    assert not verify_file(written(tmp_path, rows)).ok


def test_an_early_free_is_told_before_its_line_reads_gp_seq(tmp_path: Path) -> None:
    """A grace period that ends between the two is no difference; one that had ended by the work's last line is."""
    rows = text_of(SMALL)
    at = lines_of(rows, "D")[1]
    assert rows[at].split()[3:8] == ["D", "-803", "1", "1", "-800"]
    rows[at] = changed(rows[at], -1, 3)
    assert verify_file(written(tmp_path, rows)).ok
    rows[at - 1] = changed(rows[at - 1], -1, 3)
    verdict = verify_file(written(tmp_path, rows))
    assert verdict.difference is not None
    assert (verdict.difference.line, verdict.difference.field) == (at + 1, "D a1")


# what may be logged later than it was decided, and no more


def test_a_callback_runs_when_its_node_knows_and_not_a_period_before(tmp_path: Path) -> None:
    """Line 469 waits for the end of the period that still runs by its gp_seq; before that period began, it may not."""
    rows = text_of(TOO_EARLY)
    at, begins = 468, 422
    assert rows[at].split()[2:7] == ["0", "RCUCB", "-967", "0", "1"]
    assert rows[begins].split()[2:6] == ["1", "GPstart", "-967", "-967"]
    rows.insert(begins, changed(rows.pop(at), -1, -1))
    verdict = verify_file(written(tmp_path, rows, "v5.11.4-changed.events.txt"))
    assert verdict.difference is not None
    assert (verdict.difference.line, verdict.difference.got) == (begins + 1, "it waits for -964")


def test_a_flood_bounds_its_early_frees() -> None:
    """95 and 734 linked objects, and of a batch's 1104 all but those queued before the period began: 1633 recorded."""
    log = boot59.read_log(TOO_EARLY)
    replay = boot59.Replay(log)
    replay.run()
    assert log.summary["early"] == 1633
    assert (replay.early.least, replay.early.most) == (95 + 734 + 1104 - 511, 95 + 734 + 1104)
    for wrong in (0, replay.early.least - 1, replay.early.most + 1):
        log.summary["early"] = wrong
        with pytest.raises(DifferenceFound, match="early"):
            replay.compare_early()


def test_a_flood_without_early_frees_bounds_them_exactly(tmp_path: Path) -> None:
    rows = text_of(MIXED)
    rows[1] = rows[1].replace("early=0", "early=1")
    verdict = verify_file(written(tmp_path, rows))
    assert verdict.difference is not None
    assert (verdict.difference.field, verdict.difference.expected, verdict.difference.got) == ("early", 1, 0)


def test_the_kernel_is_told_by_what_it_does(tmp_path: Path) -> None:
    for path, kernel in ((SMALL, "v5.9"), (DATA / "v5.11.4-gpbug-mode2-0.events.txt.xz", "v5.11"), (FLOOD, "v5.9")):
        log = boot59.read_log(Path(written(tmp_path, text_of(path), "unnamed.txt")))
        assert boot59.kernel_of(log) == kernel


@pytest.mark.parametrize(
    ("spoil", "line", "expected"),
    [
        (lambda rows: rows[:-1], 43, "expected 41 events, found 40"),
        (lambda rows: [*rows[:9], rows[9][:20], *rows[10:]], 10, "expected E and 12 columns"),
        (lambda rows: [*rows[:9], rows[9].replace("E", "E x", 1), *rows[10:]], 10, "expected E and 12 columns"),
        (lambda rows: [*rows[:9], re.sub(r"^E \S+", "E soon", rows[9]), *rows[10:]], 10, "expected numbers"),
        (lambda rows: rows[:1], 1, "expected the lines FLOOD or GPBUG, SUM and EVENTS"),
        (lambda rows: [*rows[:2], rows[2].replace("overrun=0", "overrun=9"), *rows[3:]], 3, "lost 9 events"),
        (lambda rows: [*rows[:9], rows[9].replace(" B ", " BB "), *rows[10:]], 5, ""),
    ],
)
def test_a_torn_log_names_its_line(tmp_path: Path, spoil, line: int, expected: str) -> None:
    rows = spoil(text_of(SMALL))
    if not expected:
        rows = [row.replace(" B ", " BB ") for row in text_of(SMALL)]
        expected = "unknown event 'BB'"
    verdict = verify_file(written(tmp_path, rows))
    assert verdict.unusable is not None
    assert (verdict.unusable.line, expected in verdict.unusable.message) == (line, True)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "cut.events.txt.xz"
    file.write_bytes(SMALL.read_bytes()[:-40])
    with pytest.raises(InputError, match="torn or damaged"):
        boot59.read_log(file)


# limitation (a): what was held, for which lock and at which object; raw_rows has the reading and the kinds of report


def names(report: Report | None) -> tuple[str, str, str]:
    if report is None or report.lock is None:
        return ("", "", "")
    held = "; ".join(one.lock.name for one in report.held)
    return (report.lock.name, held, f"{report.context_base}:{report.context_base}")


@pytest.mark.parametrize(("line", "row"), bulk_but(9, enumerate(read_rows(TABLE), 2)), ids=lambda value: str(value)[:3])
def test_limitation_a_row_by_row(line: int, row: dict[str, str]) -> None:
    run = run_of(row, DRAINED.get(line))
    if run.count > LONGEST:  # its drains come by the clock; interpreted, a part of it has to do
        run = replace(run, count=12_000, every_ns=QUEUE_NS)
    outcome = first_report(run)
    assert str(outcome.at_object or "") == row["report_at_object"]
    held = re.sub(r" \{.*?\} at [\w.]+", "", row["locks_held"])
    assert names(outcome.lockdep) == (row["lock_tried"].split(" ")[0], held, row["context_base"])
    assert said_by_model(outcome)[0] == words_of(row["report"])


def test_a_raw_lock_held_v5_9_splats_and_v5_11_does_not() -> None:
    """The point of the whole thing: limitation (a), and that v5.11 has it no more."""
    outcome = first_report(Run("v5.9", held="raw"))
    assert outcome.lockdep is not None
    assert outcome.lockdep.kind == "invalid_wait_context"
    assert outcome.lockdep.lock is not None
    assert outcome.lockdep.lock.name == "&zone->lock"
    clean = first_report(Run("v5.11", held="raw"))
    assert clean.reports == ()
    assert clean.head_objects > 0  # the price


def test_v5_8_is_told_off_for_its_own_lock() -> None:
    outcome = first_report(Run("v5.8", held="raw"))
    assert outcome.at_object == 1
    assert outcome.lockdep is not None
    assert outcome.lockdep.lock is not None
    assert outcome.lockdep.lock.name == "&krcp->lock"
    assert first_report(Run("v5.8", held="none")).reports == ()


# the model's own runs, written as logs, replay as well: also for versions and cpus of which no log is here


def as_log(rcu: KfreeRcu, cached: int, each: bool, form: str = "c") -> list[str]:
    """Return a run as a log; without each object, as the floods are logged."""
    c = rcu.counters
    events = [e for e in rcu.events() if each or e.name not in ("Q", "D", "L")]
    if not each:
        events = [e for e in events if e.name != "B" or e.a[2] in (1, 2)]
    rows = [f"E 0 0 S {events[0].gp_seq} 0 {c.queued} 0 0 {cached} 0 0 0", *map(str, events)]
    return [
        f"FLOOD form={form} reader_ms=0",
        f"SUM flood freed={c.freed} early={c.early} cache_hits={c.cache_hits} pages_alloc={c.pages_alloc} "
        f"alloc_failed={c.alloc_failed} pages_freed={c.pages_freed} to_cache={c.to_cache} fallbacks={c.head_objects} "
        f"capacity={rcu.capacity} min_cached={rcu.version.cache_limit}",
        f"EVENTS n={len(rows)} overrun=0 t0=0",
        *rows,
    ]


@pytest.mark.parametrize("each", [True, False], ids=["each object", "flood"])
@pytest.mark.parametrize("fail", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", bulk_but(4, ["v5.9", "v5.8", "v5.11", "v5.12"]))
def test_a_run_of_the_model_replays(tmp_path: Path, name: str, fail: float, each: bool) -> None:
    timing = Timing(gp_ns=9_000_000, free_ns=500)
    rcu = KfreeRcu(name, fail=fail, seed=9, events=1 << 15, timing=timing)
    cached = len(rcu.krc().cache)
    rcu.queue(6000, every_ns=9_000)
    rcu.settle()
    assert rcu.counters.pending == 0
    verdict = verify_file(written(tmp_path, as_log(rcu, cached, each), f"{name}-model.events.txt"))
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("name", ["v5.9", "v5.11"])
def test_a_run_on_two_cpus_replays(tmp_path: Path, name: str) -> None:
    allocator = PageAllocator(Machine((Zone(2, 4096, 1 << 14),), cpus=2))
    rcu = KfreeRcu(name, allocator, fail=0.3, seed=4, events=1 << 15, timing=Timing(gp_ns=9_000_000, free_ns=500))
    cached = len(rcu.krc().cache)
    numbers = np.arange(1, 5001, dtype=np.int64)
    rcu.kmalloc(len(numbers))
    rcu.schedule(numbers * 9_000, numbers // 7 % 2, numbers, numbers % 3 // 2 * st.VMALLOC)
    rcu.settle()
    verdict = verify_file(written(tmp_path, as_log(rcu, cached, True), f"{name}-model.events.txt"))
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize(("name", "put", "free_ns"), [("v5.8", "C", 9000), ("v5.8", "F", 3000), ("v5.9", "F", 3000)])
def test_a_block_put_away_outside_the_lock_may_have_its_line_later(
    tmp_path: Path, name: str, put: str, free_ns: int
) -> None:
    """The queueing task comes in between the decision and the line, as it did in recorded floods."""
    rcu = KfreeRcu(name, seed=9, events=1 << 15, timing=Timing(gp_ns=9_000_000, free_ns=free_ns))
    cached = len(rcu.krc().cache)
    rcu.queue(6000, every_ns=9_000)
    rcu.settle()
    rows = as_log(rcu, cached, True)
    kinds = [row.split()[3] if row.startswith("E ") else "" for row in rows]
    late = 0
    for at in [number for number, kind in enumerate(kinds) if kind == put]:
        want = next((n for n in range(at + 1, len(rows)) if kinds[n] in ("B", "K", "L", "E", "M")), len(rows) - 1)
        if kinds[want] == "B" and kinds[want + 1] == "Q":  # nothing of the work in between: the line moves behind both
            rows.insert(want + 2, rows[at])
            del rows[at]
            kinds.insert(want + 2, kinds[at])
            del kinds[at]
            late += 1
    verdict = verify_file(written(tmp_path, rows, f"{name}-late.events.txt"))
    assert verdict.ok, str(verdict)
    assert late


EARLY = ("v5.12", 0.5, Timing(gp_ns=60_000_000, fill_delay_ns=30_000_000))


@pytest.mark.parametrize("mixed", [False, True], ids=["one channel", "mixed"])
@pytest.mark.parametrize(
    ("name", "fail", "timing"),
    [
        ("v5.9", 0.0, Timing(gp_ns=9_000_000, free_ns=500)),
        ("v5.9", 0.5, Timing(gp_ns=9_000_000, free_ns=3_000)),
        ("v5.9", 1.0, Timing(gp_ns=60_000_000)),
        ("v5.11", 0.3, Timing(gp_ns=20_000_000, fill_delay_ns=3_000_000)),
        EARLY,
    ],
)
def test_a_flood_is_queued_in_its_order(tmp_path: Path, name: str, fail: float, timing: Timing, mixed: bool) -> None:
    """Which objects are in which block follows from the order alone, and how many go early from the lines around."""
    rcu = KfreeRcu(name, fail=fail, seed=146, events=1 << 16, timing=timing)
    cached = len(rcu.krc().cache)
    numbers = np.arange(1, 9001, dtype=np.int64)
    rcu.kmalloc(len(numbers))
    rcu.schedule(numbers * 9_000, numbers * 0, numbers, (numbers - 1) % 2 * mixed * st.VMALLOC)
    rcu.settle()
    rows = as_log(rcu, cached, False, "m" if mixed else "c")
    verdict = verify_file(written(tmp_path, rows, f"{name}-model.events.txt"))
    assert verdict.ok, str(verdict)
    assert rcu.counters.early or (name, fail, timing) != EARLY


@pytest.fixture(scope="module")
def two_cpus() -> list[str]:
    """Return a log of single objects; its grace periods are another cpu's, as with two cpus."""
    rcu = KfreeRcu("v5.9", events=1 << 15, timing=Timing(gp_ns=9_000_000, free_ns=500))
    cached = len(rcu.krc().cache)
    rcu.queue(4000, every_ns=9_000)
    rcu.settle()
    rows = as_log(rcu, cached, True)
    for at in lines_of(rows, "GPstart") + lines_of(rows, "GPend"):
        rows[at] = changed(rows[at], -3, 1)
    return rows


def test_a_snapshot_is_older_than_its_line_and_no_older_than_the_line_before(
    tmp_path: Path, two_cpus: list[str]
) -> None:
    """GPstart came between the snapshot and the line only if another cpu logged it, and for one object only."""
    rows = two_cpus
    begins = lines_of(rows, "GPstart")[0]
    first, second = [at for at in lines_of(rows, "Q") if at > begins][:2]

    def verdict(*changes: tuple[int, int, int]) -> bool:
        log = list(rows)
        for at, column, change in changes:
            log[at] = changed(log[at], column, change)
        return verify_file(written(tmp_path, log, "v5.9-model.events.txt")).ok

    assert verdict()
    assert verdict((first, 4, -4))
    assert not verdict((first, 4, -4), (begins, -3, -1))
    assert not verdict((first, 4, -4), (second, 4, -4))
    assert not verdict((first, 4, -8))
    assert not verdict((first, 4, 4))


def test_a_callback_comes_before_the_end_is_logged_but_not_before_the_beginning(
    tmp_path: Path, two_cpus: list[str]
) -> None:
    rows = two_cpus
    ends = next(at for at in lines_of(rows, "GPend") if rows[at + 1].split()[3] == "RCUCB")
    begins = next(at for at in reversed(lines_of(rows, "GPstart")) if at < ends)
    for to, seq, ok in ((ends, -3, True), (begins + 1, -3, True), (begins, -4, False)):
        log = list(rows)
        log.insert(to, changed(log.pop(ends + 1), -1, seq))
        assert verify_file(written(tmp_path, log, "v5.9-model.events.txt")).ok == ok

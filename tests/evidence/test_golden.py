"""The recorded truth: the kernel's own code ran these scripts; nothing may differ."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from gfpmodel.errors import InputError
from gfpmodel.evidence.golden import is_golden, verify
from gfpmodel.evidence.verify import verify_file
from tests.conftest import bulk_but
from tests.vectors import agree_interpreted, cut_at_the_end, mutated, torn, unknown_field, unknown_operation

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
FILES = sorted(GOLDEN.glob("*.jsonl.gz"))
SMALL = GOLDEN / "d20_patched_ft_lists_c4.jsonl.gz"


@pytest.mark.parametrize("file", bulk_but(9, FILES), ids=lambda file: file.name.partition(".")[0])
def test_nothing_differs(file: Path) -> None:
    ops, difference = verify(file)
    assert difference is None
    assert ops > 0


def test_the_whole_set_is_here() -> None:
    assert len(FILES) == 89


def test_a_tenth_passes_interpreted() -> None:
    agree_interpreted(FILES[::9])


def first(lines: list[dict[str, Any]], **wanted: Any) -> int:
    """Return the index of the first line with these fields."""
    return next(i for i, line in enumerate(lines) if all(line.get(k) == v for k, v in wanted.items()))


def with_events(lines: list[dict[str, Any]]) -> int:
    return next(i for i, line in enumerate(lines) if "ev" in line)


def last_snap(lines: list[dict[str, Any]]) -> int:
    return max(i for i, line in enumerate(lines) if line.get("t") == "snap")


def change_result(lines: Any) -> None:
    lines[first(lines, op="alloc", order=0, q=1)]["r"] += 1


def change_to_null(lines: Any) -> None:
    lines[first(lines, op="alloc", order=0, q=1)]["r"] = None


def change_q(lines: Any) -> None:
    lines[first(lines, op="free")]["q"] = 2


def drop_an_event(lines: Any) -> None:
    lines[with_events(lines)]["ev"].pop()


def swap_events(lines: Any) -> None:
    lines[with_events(lines)]["ev"].reverse()


def change_a_mask(lines: Any) -> None:
    lines[with_events(lines)]["gfp"] = 0x800000


def free_another(lines: Any) -> None:
    lines[first(lines, op="free")]["pfn"] += 1


def free_twice(lines: Any) -> None:
    at = first(lines, op="free")
    lines.insert(at, dict(lines[at]))


def drop_a_line(lines: Any) -> None:
    del lines[first(lines, op="free")]


def change_nr(lines: Any) -> None:
    lines[last_snap(lines)]["zones"][0]["nr"][10][1] += 1


def change_crc(lines: Any) -> None:
    lines[last_snap(lines)]["zones"][0]["flcrc"] = "00000000"


def change_block_type(lines: Any) -> None:
    lines[last_snap(lines)]["zones"][0]["pb"][0] = 2


def change_pcp(lines: Any) -> None:
    lines[last_snap(lines)]["zones"][0]["pcp"][3]["c"] = 1


def change_watermark(lines: Any) -> None:
    lines[0]["zones"][0]["wmark"][1] += 1


def change_managed(lines: Any) -> None:
    lines[0]["zones"][0]["managed"] -= 1


def change_batch(lines: Any) -> None:
    lines[0]["config"][1] = "param pcp_batch 3"


def change_totals(lines: Any) -> None:
    lines[0]["event_counts"]["L"] += 1


def drop_a_snapshot(lines: Any) -> None:
    del lines[next(i for i, line in enumerate(lines) if line.get("after"))]


def change_source(lines: Any) -> None:
    lines[0]["source"]["gfp.h"] = "0" * 40


def change_kernel(lines: Any) -> None:
    lines[0]["kernel"] = "base"


@pytest.mark.parametrize(
    "change",
    [
        change_result,
        change_to_null,
        change_q,
        drop_an_event,
        swap_events,
        change_a_mask,
        free_another,
        free_twice,
        drop_a_line,
        change_nr,
        change_crc,
        change_block_type,
        change_pcp,
        change_watermark,
        change_managed,
        change_batch,
        change_totals,
        change_kernel,
        change_source,
        drop_a_snapshot,
    ],
)
def test_an_edited_file_is_noticed(change: Any, tmp_path: Path) -> None:
    _, difference = verify(mutated(tmp_path, change, SMALL))
    assert difference is not None
    assert difference.line >= 1
    assert difference.expected != difference.got


def test_the_difference_names_line_field_and_values(tmp_path: Path) -> None:
    path = mutated(tmp_path, change_result, SMALL)
    _, difference = verify(path)
    assert difference is not None
    assert difference.field == "r"
    assert difference.expected == difference.got + 1
    assert str(verify_file(str(path))) == (
        f"DIFFERS   {path}:{difference.line}: r: expected {difference.expected}, got {difference.got}"
    )


def no_zone_field(lines: Any) -> None:
    del lines[0]["zones"]


def unknown_cpu(lines: Any) -> None:
    lines[5]["cpu"] = 4


def bad_mask(lines: Any) -> None:
    lines[first(lines, op="alloc")]["gfp"] = 0x18


def overlapping_zones(lines: Any) -> None:
    lines[0]["config"].append("zone 3 40000 1000")


@pytest.mark.parametrize(
    "change",
    [no_zone_field, unknown_operation, unknown_field, cut_at_the_end, unknown_cpu, bad_mask, overlapping_zones],
)
def test_a_file_that_cannot_be_used_says_where(change: Any, tmp_path: Path) -> None:
    path = mutated(tmp_path, change, SMALL)
    with pytest.raises(InputError) as error:
        verify(path)
    assert error.value.file == str(path)
    assert error.value.line is not None


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_torn_file_says_where(keep: float, tmp_path: Path) -> None:
    path = torn(tmp_path, SMALL, keep)
    with pytest.raises(InputError) as error:
        verify(path)
    assert error.value.line is not None


@pytest.mark.parametrize("at", [0.2, 0.5, 0.8])
def test_a_flipped_bit_is_noticed(at: float, tmp_path: Path) -> None:
    data = bytearray(SMALL.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    path = tmp_path / "flipped.jsonl.gz"
    path.write_bytes(data)
    try:
        _, difference = verify(path)
    except InputError:
        return
    assert difference is not None


def test_other_files_are_no_golden_vectors(tmp_path: Path) -> None:
    other = tmp_path / "other.gz"
    other.write_bytes(gzip.compress(b"hello\n"))
    plain = tmp_path / "plain.txt"
    plain.write_text("hello\n")
    assert not is_golden(other)
    assert not is_golden(plain)
    for path in (other, plain, tmp_path / "none"):
        assert verify_file(str(path)).unusable is not None

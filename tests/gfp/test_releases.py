"""Any kernel release finds its flag table, says how near that is, and never another one in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gfpmodel.errors import InputError
from gfpmodel.gfp import decode, kernels, layout
from gfpmodel.gfp.layouts import kernel_name
from gfpmodel.gfp.releases import GRADES, release, reported_release, spans
from gfpmodel.gfp.tables import tables
from gfpmodel.locking import make_kernel


@pytest.mark.parametrize(
    ("name", "table", "version"),
    [
        ("6.8.0-1-generic", "v6.8", (6, 8)),
        ("5.4.19-100.fc30.x86_64", "v5.4", (5, 4)),
        ("v6.12.10", "v6.12", (6, 12)),
        ("4.9", "v4.8", (4, 9)),
        ("6.1.0-rt13-amd64", "v6.1", (6, 1)),
        ("3.10.0-1160.el7.x86_64", "v3.10", (3, 10)),
        ("4.18.0-477.el8_8.x86_64", "v4.19", (4, 18)),
        ("4.14.158", "v4.14-lts", (4, 14)),
        ("4.14.0", "v4.14", (4, 14)),
        ("4.14.146-119.123.amzn2.x86_64", "v4.14-lts", (4, 14)),
        ("4.20.12", "v4.19", (4, 20)),
        ("5.8.0-rc4+", "v5.8-rc3", (5, 8)),
        ("v5.8-rc4", "v5.8-rc3", (5, 8)),
        ("5.14.0-427.13.1.el9_4.x86_64", "v5.15", (5, 14)),
        ("5.19.0", "v5.18", (5, 19)),
        ("6.2.0-39-generic", "v6.1", (6, 2)),
        ("6.10.0-rc1-00021-g0123456789ab", "v6.12", (6, 10)),
        ("6.15-rc3", "v6.18", (6, 15)),
        ("6.17.3", "v6.18", (6, 17)),
        ("7.3.4-1~bpo13+1", "v7.3", (7, 3)),
        ("v7.0-rc6", "v7.0-rc6", (7, 0)),
        ("7.0-rc6", "v7.0-rc6", (7, 0)),
        ("mm-dev", "mm-dev (7.3-rc cycle)", (7, 3)),
        ("linux-5.4", "v5.4", (5, 4)),
        ("Linux version 5.10.0-8-amd64", "v5.10", (5, 10)),
        (" 6.6 ", "v6.6", (6, 6)),
    ],
)
def test_a_release_finds_its_table(name: str, table: str, version: tuple[int, int]) -> None:
    found = release(name)
    assert (found.table, found.version) == (table, version)
    assert kernel_name(name) == layout(name).kernel == table
    assert layout(name).version == version
    assert found.grade in GRADES


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("6.20", "no flag table for 6.20; the nearest are v6.19 and v7.0"),
        ("v9.9", "the nearest is v7.3"),
        ("7.4.1", "the nearest is v7.3"),
        ("2.6.32-754.el6.x86_64", "no flag table for 2.6; the nearest is v3.10"),
        ("v3.9", "the nearest is v3.10"),
        ("4.21", "the nearest are v4.20 and v5.0"),
        ("5.100", "the nearest are v5.19 and v6.0"),
        ("v5,8", "did you mean"),
        ("6", "unknown kernel '6'"),
        ("", "unknown kernel ''"),
        ("6.8\n-1", "unknown kernel"),
        ("6.8" + "x" * 500, "unknown kernel"),
        ("6.8 -1", "unknown kernel"),
    ],
)
def test_none_is_refused_with_the_nearest_by_number(name: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        release(name)
    assert words in str(error.value)
    assert len(str(error.value)) < 400


def test_how_near_a_table_is() -> None:
    assert release("v6.12").grade == "A"
    assert release("6.8.0-31-generic").grade == "B"
    assert release("4.13").grade == "C"
    assert "5.8.3 prints these numbers" in release("5.8").nearness
    assert "vendor's own changes" in release("6.8.0-31-generic").note
    assert "RHEL 9" in release("5.14.0-1.el9").note
    assert release("5.14.0-1.el9").grade == "C"  # 5.14's own is B, but no header of RHEL 9 was read
    assert release("v6.6").note == ""


@pytest.mark.parametrize("name", [*kernels(), *tables()["releases"]])
def test_every_name_that_is_listed_can_be_asked_for(name: str) -> None:
    found = release(name)
    assert found.table == (name if name in kernels() else tables()["releases"][name]["table"])


@given(st.from_regex(r"v?[0-9]{1,2}\.[0-9]{1,2}(\.[0-9]{1,3})?([-+._~][a-z0-9.+_-]{0,20})?", fullmatch=True))
def test_a_table_is_of_the_same_version_or_stands_for_it(name: str) -> None:
    try:
        found = release(name)
    except InputError:
        return
    plain = f"v{found.version[0]}.{found.version[1]}"
    served = {alias for alias, it in tables()["releases"].items() if it["table"] == found.table}
    assert found.table.startswith(plain) or plain in served


@pytest.mark.parametrize(
    ("release_", "mask", "text"),
    [
        # masks and names that kernels of these releases printed together
        ("4.14.100", 0x1080020, "GFP_ATOMIC"),
        ("4.14.100", 0x14000C0, "GFP_KERNEL"),
        ("4.12", 0x14280CA, "GFP_HIGHUSER_MOVABLE|__GFP_ZERO"),
        ("4.9.100", 0x2084020, "GFP_ATOMIC|__GFP_COMP"),
        ("3.10.0-1160.el7.x86_64", 0x2040D0, "GFP_KERNEL|GFP_COMP|GFP_NOTRACK"),
        ("6.8.0", 0x40C00, "GFP_NOIO|__GFP_COMP"),
        ("6.17.3", 0xCC0, "GFP_KERNEL"),
        ("4.11.0-rc7", 0x14201CA, "GFP_HIGHUSER_MOVABLE|__GFP_COLD"),
        ("4.18.0-477.el8_8", 0x6280CA, "GFP_HIGHUSER_MOVABLE|__GFP_ZERO"),
        ("5.0.4", 0x6000C0, "GFP_KERNEL"),
        ("5.15.0-84-generic", 0x1100CCA, "GFP_HIGHUSER_MOVABLE"),
        ("5.19.0", 0x140CCA, "GFP_HIGHUSER_MOVABLE|__GFP_COMP"),
        ("6.4.0+", 0x400DC0, "GFP_KERNEL_ACCOUNT|__GFP_ZERO"),
        ("6.2", 0xA20, "GFP_ATOMIC"),
        ("6.3", 0x820, "GFP_ATOMIC"),
        ("6.8.0-31-generic", 0x820, "GFP_ATOMIC"),
    ],
)
def test_what_kernels_printed(release_: str, mask: int, text: str) -> None:
    assert decode(mask, layout(release_)).text == text


def test_a_release_keeps_its_own_version_for_the_rules_about_locks() -> None:
    assert make_kernel("6.8.0-31-generic").version == (6, 8)
    assert make_kernel("4.9.100").version == (4, 9)  # the table is v4.8's
    assert make_kernel("v5.11").version == (5, 11)  # v5.10's
    assert make_kernel("mm-dev").version == (7, 3)
    assert make_kernel("6.7.1").layout.kernel == "v6.6"
    assert make_kernel("6.7.1").name == "6.7.1"


def test_a_report_names_its_release() -> None:
    assert reported_release("CPU: 1 PID: 70 Comm: x Not tainted 6.8.0-1-generic #1") == "6.8.0-1-generic"
    assert reported_release("CPU: 1 PID: 70 Comm: x Tainted: G        W  O      4.19.0+ #3") == "4.19.0+"
    assert reported_release("Linux version 5.4.19 (root@build)") == "5.4.19"
    assert reported_release("order:0, mode:0x820(GFP_ATOMIC)") is None


def test_neighbours_are_drawn_together() -> None:
    assert spans(["v7.3", "v4.4", "v4.5", "v4.6"]) == "v4.4 to v4.6, v7.3"

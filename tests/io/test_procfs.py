"""/proc files as people paste them, of old and new kernels, and of machines that the model cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gfpmodel.cli import cli
from gfpmodel.errors import InputError
from gfpmodel.io.procfs import describe, machine_facts, machine_of, misfits, page_size, read_proc, start
from gfpmodel.io.procfs.geometry import threshold
from gfpmodel.io.text import read_lines

PROC = Path(__file__).parents[1] / "data" / "proc"
BOOT58 = PROC.parent / "boot58"

#: Guest: page size (KiB), MAX_ORDER, pageblock_order, zones of the kernel, and the guest's vm.min_free_kbytes (None:
#: it was not noted).
GUESTS: dict[str, tuple[int, int, int, str, int | None]] = {
    "amd64-6.1.0-50": (4, 11, 9, "DMA DMA32 Normal Movable Device", None),
    "amd64-6.12.117": (4, 11, 9, "DMA DMA32 Normal Movable Device", None),
    "amd64-7.2.13": (4, 11, 9, "DMA DMA32 Normal Movable Device", None),
    "arm64-6.1": (4, 11, 9, "DMA DMA32 Normal Movable", 22528),
    "arm64-6.12": (4, 11, 9, "DMA DMA32 Normal Movable Device", 22528),
    "armmp-6.1": (4, 12, 11, "DMA Normal HighMem Movable", 3475),
    "armmp-lpae-6.1": (4, 12, 9, "DMA Normal HighMem Movable", 22528),
    "i386-pae-6.1": (4, 11, 9, "DMA Normal HighMem Movable", 43312),
    "ppc64el-6.1-hash": (64, 9, 8, "Normal Movable", 4001),
    "ppc64el-6.1": (64, 9, 5, "Normal Movable", 22528),
    "riscv64-6.12": (4, 11, 9, "DMA32 Normal Movable Device", 22528),
    "s390x-6.1": (4, 11, 8, "DMA Normal Movable", 4015),
    "s390x-6.12": (4, 11, 8, "DMA Normal Movable", 4006),
}
THP = {"amd64-6.1.0-50", "amd64-6.12.117", "amd64-7.2.13", "arm64-6.1", "arm64-6.12", "armmp-lpae-6.1"} | {
    "i386-pae-6.1",
    "ppc64el-6.1",
    "riscv64-6.12",
}


def guest(name: str) -> str:
    """The file of a guest."""
    return str(PROC / f"{name}-proc.txt.xz")


def node_of(path: str | Path, asked: int | None = None) -> dict[str, Any]:
    """The facts of the first node."""
    return dict(machine_facts(read_proc([str(path)]), asked)["nodes"][0])


def zone(number: int, name: str, start: int, managed: int, **more: Any) -> str:
    """A zone as 4.x prints it, with one cpu."""
    marks = more.get("marks", (7, 10, 13))
    protection = ", ".join(map(str, more.get("protection", (0, 500, 500, 500))))
    return f"""Node {number}, zone {name:>8}
  per-node stats
      nr_inactive_anon 10
      nr_written   20
  pages free     {managed - 70}
        min      {marks[0]}
        low      {marks[1]}
        high     {marks[2]}
        spanned  {managed + 125}
        present  {managed + 125}
        managed  {managed}
        protection: ({protection})
      nr_free_pages 3900
  pagesets
    cpu: 0
              count: 0
              high:  0
              batch: 1
  vm stats threshold: {threshold(managed, 1, 12)}
  node_unreclaimable:  0
  start_pfn:           {start}
"""


GOOD = zone(0, "DMA", 1, 3970) + zone(
    0, "DMA32", 4096, 122000, marks=(1260, 1800, 2340), protection=(0, 0, 0, 0)
)  # case 13z
BUDDY = """Node 0, zone      DMA      1      0      1      0      2      1      1      0      1      1      3
Node 0, zone    DMA32   1146    527    128     63     11      3      2      1      1      0     50
"""


def each_line(change: Callable[[int, str], str]) -> Callable[[str], str]:
    """A change of every line."""
    return lambda text: "".join(f"{change(i, line)}\n" for i, line in enumerate(text.splitlines()))


#: Cases 13a, 13b and 13d, and what else happens to a text between a terminal and a mail.
PASTED: dict[str, Callable[[str], str]] = {
    "no last newline": lambda text: text.removesuffix("\n"),
    "carriage returns": lambda text: text.replace("\n", "\r\n"),
    "quoted": each_line(lambda _, line: f"> {line}"),
    "quoted twice": each_line(lambda _, line: f">> {line}"),
    "quoted twice with blanks": each_line(lambda _, line: f"> > {line}"),
    "quoted without a blank": each_line(lambda _, line: f">{line}"),
    "trailing blanks": each_line(lambda _, line: f"{line}   \t"),
    "indented": each_line(lambda _, line: f"    {line}"),
    "indented by a tab": each_line(lambda _, line: f"\t{line}"),
    "blanks made one": each_line(lambda _, line: " ".join(line.split())),
    "blanks of a web page": lambda text: text.replace("  ", "\xa0 "),
    "a byte order mark": lambda text: "\ufeff" + text,
    "time stamps": each_line(lambda i, line: f"[{1234.5 + i:13.6f}] {line}"),
    "time stamps and callers": each_line(lambda i, line: f"[{1234.5 + i:13.6f}][ T{i % 9 + 1}] {line}"),
    "levels": each_line(lambda i, line: f"<6>[{4.5 + i:12.6f}] {line}"),
    "a system log": each_line(lambda i, line: f"Nov  8 10:00:00 host kernel: [{4.5 + i:12.6f}] {line}"),
    "journalctl -o short-iso": each_line(lambda _, line: f"2025-11-08T10:00:00+0000 host.lan kernel: {line}"),
    "journalctl -o short-precise": each_line(lambda _, line: f"Nov 08 10:00:00.123456 host kernel: {line}"),
    "journalctl -o short-full": each_line(lambda _, line: f"Sat 2025-11-08 10:00:00 CET host kernel: {line}"),
    "journalctl -o short-monotonic": each_line(lambda i, line: f"[{4.5 + i:12.6f}] host kernel: {line}"),
    "a program's log": each_line(lambda _, line: f"Nov  8 10:00:00 host monitor.sh[4711]: {line}"),
    "rsyslog": each_line(lambda i, line: f"2025-11-08T10:00:00.123456+01:00 host kernel: [{4.5 + i:12.6f}] {line}"),
    "tabs for blanks": each_line(lambda _, line: "\t".join(line.split())),
    "between fences": lambda text: f"```text\n{text}```\n",
    "dmesg -T": each_line(lambda _, line: f"[Sat Nov  8 10:00:00 2025] {line}"),
    "quoted, with time stamps and carriage returns": each_line(lambda i, line: f"> [{4.5 + i:12.6f}] {line}\r"),
    "a prompt": lambda text: f"$ cat /proc/zoneinfo /proc/buddyinfo\n{text}$ \n",
    "a root prompt": lambda text: (
        f"root@host:~# cat /proc/zoneinfo /proc/buddyinfo\n{text}root@host:~# uname -a\nLinux\n"
    ),
    "a bracketed prompt": lambda text: f"[me@host ~]$ sudo cat /proc/zoneinfo /proc/buddyinfo\n{text}[me@host ~]$\n",
    "a mail": lambda text: (
        f"Hello,\nthis is what 100% of them have:\n\n{text}\nI hope that helps.\n-- \nA reader, Köln\n"
    ),
    "twice, under headings": lambda text: (
        f"==> zoneinfo and buddyinfo <==\n{text}\n==> zoneinfo later <==\n{GOOD}\n==> /proc/buddyinfo <==\n{BUDDY}"
    ),
}


@pytest.mark.parametrize("form", PASTED)
def test_a_pasted_file_says_what_the_file_said(form: str, tmp_path: Path) -> None:
    plain, pasted = tmp_path / "plain", tmp_path / "pasted"
    plain.write_text(GOOD + BUDDY)
    pasted.write_bytes(PASTED[form](GOOD + BUDDY).encode())
    assert node_of(pasted) == node_of(plain)
    assert node_of(plain)["zones"][1]["free_blocks"] == {"any type": [1146, 527, 128, 63, 11, 3, 2, 1, 1, 0, 50]}


def test_a_table_that_a_mailer_broke(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(GOOD + BUDDY.replace("  0      1      1      3\n", "  0\n1      1      3\n"))
    assert node_of(path)["zones"][0]["free_blocks"] == {"any type": [1, 0, 1, 0, 2, 1, 1, 0, 1, 1, 3]}


def test_a_whole_recording_pasted_into_a_mail(tmp_path: Path) -> None:
    lines = read_lines(Path(guest("amd64-7.2.13")))
    path = tmp_path / "mail"
    path.write_text("On Friday a reader wrote:\n" + "\r\n".join(f"> {line}" for line in lines))
    assert node_of(path) == node_of(guest("amd64-7.2.13"))


@pytest.mark.parametrize("line", ["pages fre", "junk", "present", "  what is this"])
def test_a_line_in_the_midst_that_no_file_has(line: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(GOOD.replace("        spanned  4095\n", f"{line}\n"))
    with pytest.raises(InputError, match=r"file:9: expected a line of /proc/zoneinfo"):
        read_proc([str(path)])


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\0\1\2", b"\xff\xfe junk", "Köln\n".encode()])
def test_what_is_no_text_of_these(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_proc([str(path)])


def test_a_report_without_zones_is_no_machine(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("[  100.000000] worker: page allocation failure: order:4\n[  100.000002] Mem-Info:\n")
    with pytest.raises(InputError, match=r"file:1: .*the report's Mem-Info has no zone"):
        read_proc([str(path)])


def test_the_line_without_a_name_of_4_17_to_4_19(tmp_path: Path) -> None:
    """Case 02."""
    path = tmp_path / "file"
    path.write_text(GOOD.replace("nr_written   20\n", "nr_written   20\n                   4096\n", 1))
    facts = machine_facts(read_proc([str(path)]))
    assert facts["nodes"][0]["unnamed"] == 4096
    assert "nr_indirectly_reclaimable 4096" in describe(facts)
    path.write_text(GOOD)
    assert node_of(path)["unnamed"] is None


def test_transparent_huge_pages_raise_the_marks(tmp_path: Path) -> None:
    """Case 12: a file without the third zone, whose share of the marks is not in it."""
    path = tmp_path / "file"
    low = zone(0, "DMA", 1, 3970, marks=(93, 116, 139))
    path.write_text(low + zone(0, "DMA32", 4096, 122000, marks=(16740, 20880, 25020), protection=(0, 0, 0, 0)))
    node = node_of(path)
    assert (node["min_marks_kbytes"], node["min_free_kbytes"], node["min_free_kbytes_v5.8"]) == (67332, 67584, 2839)
    assert "transparent huge pages" in node["min_free_kbytes_from"]
    assert [z["wmark_v5.8"][0] for z in node["zones"]] == [16896 * 3970 // 125970, 16896 * 122000 // 125970]


def test_marks_that_somebody_set(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(zone(0, "DMA32", 4096, 122000, marks=(25000, 31250, 37500), protection=(0, 0, 0, 0)))
    node = node_of(path)
    assert (node["min_free_kbytes"], node["zones"][0]["wmark_v5.8"]) == (100000, [25000, 31250, 37500])
    assert "set by hand" in node["min_free_kbytes_from"]


@pytest.mark.parametrize("name", GUESTS)
def test_the_machine_of_every_guest(name: str) -> None:
    kib, orders, block, zones, kbytes = GUESTS[name]
    node = node_of(guest(name))
    assert (node["page_size"], node["orders"], node["pageblock_order"]) == (kib << 10, orders, block)
    assert node["page_size_from"] == "as the vm stats thresholds say"
    assert node["kernel_zones"] == zones.split()
    assert ("transparent huge pages" in node["min_free_kbytes_from"]) == (name in THP)
    if kbytes:
        assert node["min_free_kbytes"] == pytest.approx(kbytes, rel=0.004)
        assert 0 <= kbytes - node["min_marks_kbytes"] < len(node["zones"]) * kib
    for found in node["zones"]:
        if found["wmark_v5.8"]:
            assert found["wmark_v5.8"] == pytest.approx(found["wmark"], rel=0.005, abs=4)


#: What is right where the file's list of zones is not the model's; None: a zone that the kernel does not have.
RESERVES = {
    ("i386-pae-6.1", "DMA"): [0, None, 838, 982],
    ("i386-pae-6.1", "Normal"): [0, None, 0, 1151],
    ("i386-pae-6.1", "HighMem"): [0, None, 0, 0],
    ("armmp-6.1", "DMA"): [0, None, 0, 256],
    ("s390x-6.1", "DMA"): [0, None, 0, 0],
    ("riscv64-6.12", "DMA32"): [None, 0, 0, 0],
    ("ppc64el-6.1", "Normal"): [None, None, 0, 0],
    ("amd64-6.1.0-50", "DMA"): [0, 935, 935, 935],
}


@pytest.mark.parametrize(("name", "of_zone"), RESERVES)
def test_protection_is_by_the_kernels_zones(name: str, of_zone: str) -> None:
    found = next(z for z in node_of(guest(name))["zones"] if z["zone"] == of_zone)
    assert found["lowmem_reserve"] == RESERVES[name, of_zone]


def edited(name: str, tmp_path: Path, *changes: tuple[str, str]) -> Path:
    """A guest's file with other numbers."""
    text = "\n".join(read_lines(Path(guest(name)))) + "\n"
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_reserve_that_a_movable_request_meets_on_larger_machines(tmp_path: Path) -> None:
    """What 3 GiB guests of the two architectures print: the model's reserve is for zone Movable, too."""
    s390 = edited("s390x-6.1", tmp_path, ("protection: (0, 0, 0)", "protection: (0, 963, 963)"))
    _, sizes = machine_of(read_proc([str(s390)]))
    assert sizes.zones[0].lowmem_reserve == (0, 963, 963, 963)
    riscv = edited("riscv64-6.12", tmp_path, ("protection: (0, 0, 0, 0)", "protection: (0, 934, 935, 936)"))
    _, sizes = machine_of(read_proc([str(riscv)]))
    assert sizes.zones[1].lowmem_reserve[1:] == (0, 934, 935)


@pytest.mark.parametrize(
    ("zones", "protection", "right"),
    [
        ([("DMA", 1, 3970), ("DMA32", 4096, 700000)], (0, 1, 2, 3), "DMA DMA32 Normal Movable"),
        ([("DMA", 1, 3970), ("DMA32", 4096, 700000)], (0, 1, 2, 3, 4), "DMA DMA32 Normal Movable Device"),
        (
            [("DMA", 1, 3970), ("Normal", 4096, 200000), ("HighMem", 225000, 9000)],
            (0, 1, 2, 3),
            "DMA Normal HighMem Movable",
        ),
        ([("DMA", 1, 3970), ("Normal", 4096, 100000)], (0, 1, 2, 3), "DMA Normal HighMem Movable"),
        ([("DMA", 1, 3970), ("Normal", 4096, 100000)], (0, 1, 2), "DMA Normal Movable"),
        ([("Normal", 1 << 20, 100000)], (0, 0, 0, 0), "DMA DMA32 Normal Movable"),
    ],
)
def test_before_4_12_only_zones_with_pages_are_printed(
    zones: list[tuple[str, int, int]], protection: tuple[int, ...], right: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("".join(zone(0, *one, protection=protection) for one in zones))
    node = node_of(path)
    assert node["kernel_zones"] == right.split()
    assert node["zones"][0]["protection"] == dict(zip(right.split(), protection, strict=True))


@pytest.mark.parametrize("protection", [(0,), (0, 0), (0,) * 7])
def test_a_protection_that_fits_no_list_of_zones(protection: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(zone(0, "DMA", 1, 3970, protection=protection))
    with pytest.raises(InputError, match="one for each zone of the kernel"):
        node_of(path)


def test_the_two_lines_of_7_0_are_read(tmp_path: Path) -> None:
    lines = ("reserved_highatomic: 0\n  free_highatomic:     0", "reserved_highatomic: 512\n  free_highatomic:     37")
    path = edited("amd64-7.2.13", tmp_path, lines)
    found = node_of(path)["zones"]
    assert [(z["reserved_highatomic"], z["free_highatomic"]) for z in found] == [(512, 37), (0, 0)]
    assert "high-atomic    512 reserved, 37 free" in describe(machine_facts(read_proc([str(path)])))
    assert start(read_proc([str(path)])).counters(0)["nr_reserved_highatomic"] == 512
    assert node_of(guest("amd64-6.12.117"))["zones"][0]["reserved_highatomic"] is None


OLD = """Node 0, zone      DMA
  pages free     3932
        min      32
        low      40
        high     48
        scanned  0
        spanned  4095
        present  3840
    nr_free_pages 3932
    nr_inactive_anon 0
    numa_other   0
        protection: (0, 2959, 3968, 3968)
  pagesets
    cpu: 0
              count: 0
              high:  0
              batch: 1
  vm stats threshold: 2
  all_unreclaimable: 1
  prev_priority:     12
  start_pfn:         16
  inactive_ratio:    1
"""
OLD_TYPES = """Page block order: 9
Pages per block:  512

Free pages count per migrate type at order       0      1      2      3      4      5      6      7      8      9     10
Node    0, zone      DMA, type    Unmovable      0      0      1      1      1      1      1      1      1      0      1
Node    0, zone      DMA, type  Reclaimable      0      0      0      0      0      0      0      0      0      0      0
Node    0, zone      DMA, type      Movable      0      0      0      0      0      0      0      0      0      0      1
Node    0, zone      DMA, type      Reserve      0      0      0      0      0      0      0      0      0      1      0
Node    0, zone      DMA, type      Isolate      0      0      0      0      0      0      0      0      0      0      0

Number of blocks type     Unmovable  Reclaimable      Movable      Reserve      Isolate
Node 0, zone      DMA            1            0            6            1            0

Number of mixed blocks    Unmovable  Reclaimable      Movable      Reserve      Isolate
Node 0, zone      DMA            9            9            9            9            9
"""


def test_before_3_9_there_are_no_managed_pages(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(OLD + OLD_TYPES)
    proc = read_proc([str(path)])
    node = machine_facts(proc)["nodes"][0]
    found = node["zones"][0]
    assert (found["managed"], found["present"], found["free"]) == (3840, 3840, 3932)
    assert found["protection"] == {"DMA": 0, "DMA32": 2959, "Normal": 3968, "Movable": 3968}
    assert found["pageblocks"] == {"Unmovable": 1, "Reclaimable": 0, "Movable": 6, "Reserve": 1, "Isolate": 0}
    assert any("before 3.9" in note for note in node["unknown"])
    assert any("type Reserve" in note for note in node["unknown"])


def test_memtotal_or_an_option_tells_the_page_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    text = zone(0, "Normal", 0, 15730, protection=(0, 0)).replace("vm stats threshold: 2", "vm stats threshold: 7")
    path.write_text(text)
    assert (node_of(path)["page_size"], node_of(path, 65536)["page_size"]) == (4096, 65536)
    assert any("page size" in note for note in node_of(path)["unknown"])
    meminfo = "MemTotal:        1006720 kB\nMemFree:          940000 kB\nHugePages_Total:       0\n"
    path.write_text(f"$ cat /proc/meminfo\n{meminfo}$ cat /proc/zoneinfo\n{text}")
    node = node_of(path)
    assert (node["page_size"], node["page_size_from"]) == (65536, "as MemTotal of meminfo says")
    assert node["zones"][0]["wmark_v5.8"] == [7, 22, 37]  # a thousandth of the zone apart
    assert not any("page size" in note for note in node["unknown"])


def test_a_balloon_does_not_change_the_page_size(tmp_path: Path) -> None:
    path = edited(
        "riscv64-6.12", tmp_path, ("managed  241224", "managed  61224"), ("pages free     234275", "pages free 54275")
    )
    assert node_of(path)["page_size"] == 4096


CANNOT = {
    "armmp-6.1": ["zone HighMem has pages", "MAX_ORDER of this machine is 12", "pageblock_order is 11"],
    "i386-pae-6.1": ["zone HighMem has pages"],
    "ppc64el-6.1": ["pages are 64 KiB", "MAX_ORDER of this machine is 9", "pageblock_order is 5"],
    "s390x-6.12": ["pageblock_order is 8"],
    "arm64-6.12": [],
    "amd64-7.2.13": [],
}


@pytest.mark.parametrize("name", CANNOT)
def test_why_the_model_cannot_be_a_machine(name: str) -> None:
    proc = read_proc([guest(name)])
    reasons = misfits(proc, 0, page_size(proc))
    assert len(reasons) == len(CANNOT[name])
    assert all(reason.startswith(words) for reason, words in zip(reasons, CANNOT[name], strict=True))
    if reasons:
        with pytest.raises(InputError, match="node 0 cannot be run"):
            start(proc)
    else:
        start(proc).check()


def test_lists_without_zones_are_asked_for_their_zoneinfo(tmp_path: Path) -> None:
    path = tmp_path / "buddyinfo"
    path.write_text("Node 0, zone   Normal      1      2      2      2      2      6      4      5     53\n")
    with pytest.raises(InputError, match=r"give /proc/zoneinfo too.*MAX_ORDER is 9, the model.s 11"):
        read_proc([str(path)])


def test_two_nodes_share_the_marks(tmp_path: Path) -> None:
    """A node's marks are its share of one min_free_kbytes for all."""
    path = tmp_path / "file"
    second = zone(1, "Normal", 1 << 20, 500000, marks=(8957, 11196, 13435), protection=(0, 0, 0, 0))
    first = zone(0, "Normal", 1 << 19, 443172, marks=(7938, 9922, 11906), protection=(0, 0, 0, 0))
    path.write_text(first + second)
    nodes = machine_facts(read_proc([str(path)]))["nodes"]
    assert {node["min_free_kbytes"] for node in nodes} == {67584}
    assert [node["zones"][0]["wmark_v5.8"] for node in nodes] == [[7938, 9922, 11906], [8957, 11196, 13435]]


def test_the_command_shows_what_it_cannot_run() -> None:
    result = CliRunner().invoke(cli, ["machine", guest("ppc64el-6.1-hash")], standalone_mode=False)
    assert result.return_value == 0
    assert "watermarks     [62, 77, 92]  v5.8 computes [62, 77, 92]" in result.stdout
    assert "cannot be run: pages are 64 KiB" in result.stdout
    assert "not known: the page size" not in result.stdout
    asked = CliRunner().invoke(cli, ["machine", "--json", "--page-size", "4096", guest("ppc64el-6.1-hash")])
    assert json.loads(asked.stdout)["nodes"][0]["zones"][0]["wmark_v5.8"][0] == 62  # of the sum
    assert json.loads(asked.stdout)["nodes"][0]["min_free_kbytes_v5.8"] == 1003


@pytest.mark.parametrize("count", [3, 40])
def test_counts_of_orders_that_are_no_line_of_buddyinfo(count: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(f"{GOOD}Node 0, zone DMA{' 1' * count}\n")
    with pytest.raises(InputError, match=f"{count} orders"):
        read_proc([str(path)])
    path.write_text(GOOD + BUDDY + "Node 0, zone Normal 1 1 1 1 1 1 1 1 1\n")
    with pytest.raises(InputError, match="9 orders; the lines before have 11"):
        read_proc([str(path)])

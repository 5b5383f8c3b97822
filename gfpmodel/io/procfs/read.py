"""The lines of /proc/zoneinfo, buddyinfo and pagetypeinfo, of kernels 2.6.30 to 7.x: what they say, by name.

Fields come and go between kernels, so every numeric field is kept by its name and only those needed are required.
A file may hold several of them, one after another, under headings or after the commands that printed them.  With
/proc/meminfo among them the page size is known.  Lines before and between them, after an empty line, may be anything.
Where there are none of them, a report's Mem-Info says some of it: ``report.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gfpmodel.errors import InputError
from gfpmodel.io.procfs.report import in_report, take_report
from gfpmodel.io.procfs.zone import Proc, ZoneInfo
from gfpmodel.io.text import read_pasted
from gfpmodel.mm.state import MAX_ORDER

N = r"\d{1,18}"
ZONE = re.compile(r"Node (\d{1,4}), zone\s+(\w+)")
FREE = re.compile(rf"Node (\d{{1,4}}), zone\s+(\w+)((?:\s+{N})+)")
BY_TYPE = re.compile(rf"Node\s+(\d{{1,4}}), zone\s+(\w+), type\s+(\w+)((?:\s+>?{N})+)")
BLOCK_ORDER = re.compile(r"Page block order:\s+(\d\d?)")
BLOCK_TYPES = re.compile(r"Number of (mixed )?blocks(?: type)?((?:\s+[A-Z]\w+)+)")
PAGES = re.compile(rf"pages free\s+({N})")
PROTECTION = re.compile(rf"protection: \(({N}(?:, *{N})*)\)")
CPU = re.compile(r"cpu: (\d{1,5})")
THRESHOLD = re.compile(r"vm stats threshold: (\d{1,9})")
FIELD = re.compile(rf"(\w+):?\s+(-?{N})")
NAMELESS = re.compile(rf"({N})")
MEM_TOTAL = re.compile(rf"MemTotal:\s+({N}) kB")
OTHER = re.compile(
    rf"pagesets|Pages per block:\s+\d+|Free pages count per .*|node_inactive_ratio: .*|Page owner .*|[\w()]+:\s+{N} kB"
)
LONG = re.compile(rf"Node .*\s{N}|Free pages count per .*")
REST = re.compile(rf"{N}(?:\s+>?{N})*")
KINDS = re.compile(r"zoneinfo|buddyinfo|pagetypeinfo|meminfo")
HEADING = re.compile(
    r"=+ .+ =+|==> .+ <==|--.*|```.*|.*/proc/.*|(?:\[?[\w.-]+@[\w.-]+[^$#%]{0,60}[$#%]|[\w.:~/-]*[$#])(?:\s.*)?"
)
NEEDED = ("min", "low", "high", "spanned", "present", "managed")
UNNAMED = "nr_indirectly_reclaimable"  #: what 4.17 to 4.19 print without its name


@dataclass
class Reader:
    """A file being read into a Proc."""

    proc: Proc
    file: str
    zone: ZoneInfo | None = None
    cpu: dict[str, int] | None = None
    types: tuple[str, ...] = ()  #: the columns of pagetypeinfo's last tables
    mixed: bool = False
    node_stats: bool = False
    between: bool = True  #: nothing of the files has begun since the last heading or empty line
    skipping: bool = False
    seen: set[str] = field(default_factory=set)
    read: int = 0
    foreign: tuple[str, int] | None = None
    report: bool = False  #: a kernel's report of a failed allocation or of its memory is among the lines

    def error(self, message: str, line: int) -> InputError:
        """Return the error for a line."""
        return InputError(message, self.file, line)

    def line(self, text: str, number: int) -> None:
        """Take one line; raises InputError for one in the midst of a file that none of them has."""
        if not text or HEADING.fullmatch(text):
            self.heading(text)
        elif self.skipping:
            pass
        elif self.by_type(text, number) or self.free(text, number) or self.in_zone(text, number):
            self.read += 1
            self.between = text.startswith("MemTotal")
        elif OTHER.fullmatch(text):
            self.node_stats &= text != "pagesets"
        else:
            self.foreign = self.foreign or (text, number)
            self.report |= "Mem-Info:" in text
            if not self.between:
                raise self.unexpected(text, number)

    def unexpected(self, text: str, number: int) -> InputError:
        """Return the error for a line that none of the files has."""
        more = "; the report's Mem-Info has no zone" if self.report else ""
        found = f"expected a line of /proc/zoneinfo, buddyinfo or pagetypeinfo, found {text[:60]!r}{more}"
        return self.error(found, number)

    def heading(self, text: str) -> None:
        """Take an empty line, a heading or a command: if it names a file that was seen before, none of that is read."""
        self.between = True
        if text:
            kinds = set(KINDS.findall(text))
            self.skipping = bool(kinds) and not kinds - self.seen
            self.seen |= kinds
            self.zone, self.cpu, self.types = None, None, ()

    def by_type(self, text: str, number: int) -> bool:
        """Take a line of pagetypeinfo."""
        if match := BLOCK_ORDER.fullmatch(text):
            self.proc.pageblock_order = int(match[1])
        elif match := BLOCK_TYPES.fullmatch(text):
            self.types, self.mixed = tuple(match[2].split()), bool(match[1])
        elif match := BY_TYPE.fullmatch(text):
            zone = self.proc.zone(match[1], match[2])
            zone.free_by_type = zone.free_by_type or {}
            if match[3] in zone.free_by_type:
                raise self.error(f"type {match[3]} of zone {zone.name} for the second time", number)
            self.proc.capped |= ">" in match[4]
            zone.free_by_type[match[3]] = self.orders(match[4].replace(">", ""), number)
        else:
            return False
        return True

    def orders(self, text: str, number: int) -> tuple[int, ...]:
        """Return free counts by order; raises InputError unless there are as many as on the other lines."""
        counts = tuple(map(int, text.split()))
        if not 5 <= len(counts) <= 32:
            raise self.error(f"{len(counts)} orders; expected about {MAX_ORDER}: cut off?", number)
        self.proc.orders = self.proc.orders or len(counts)
        if len(counts) != self.proc.orders:
            raise self.error(f"{len(counts)} orders; the lines before have {self.proc.orders}: cut off?", number)
        return counts

    def free(self, text: str, number: int) -> bool:
        """Take a line of buddyinfo, or of the last tables of pagetypeinfo."""
        match = FREE.fullmatch(text)
        if match is None:
            return False
        zone = self.proc.zone(match[1], match[2])
        counts = tuple(map(int, match[3].split()))
        if self.types and len(counts) == len(self.types):
            if not self.mixed:
                zone.blocks = dict(zip(self.types, counts, strict=True))
        elif self.types and zone.blocks is None:
            raise self.error(f"{len(counts)} counts; expected one for each of {len(self.types)} types", number)
        elif zone.free is not None:
            raise self.error(f"zone {zone.name} of node {zone.node} for the second time", number)
        else:
            zone.free = self.orders(match[3], number)
        return True

    def in_zone(self, text: str, number: int) -> bool:
        """Take a line of zoneinfo, or the first of meminfo."""
        if match := MEM_TOTAL.fullmatch(text):
            self.proc.mem_total, self.zone = int(match[1]), None
            return True
        if match := ZONE.fullmatch(text):
            self.zone, self.cpu, self.node_stats = self.proc.zone(match[1], match[2]), None, False
            if self.zone.line:
                raise self.error(f"zone {match[2]} of node {match[1]} for the second time", number)
            self.zone.file, self.zone.line = self.file, number
            return True
        return self.zone is not None and self.of_zone(text, number, self.zone)

    def of_zone(self, text: str, number: int, zone: ZoneInfo) -> bool:
        """Take a line of a zone of zoneinfo."""
        if text == "per-node stats":
            self.node_stats = True
        elif match := PAGES.fullmatch(text):
            zone.fields["free"], self.node_stats = int(match[1]), False
        elif match := PROTECTION.fullmatch(text):
            zone.protection = tuple(map(int, match[1].split(",")))
        elif match := CPU.fullmatch(text):
            if int(match[1]) in zone.pcp:
                raise self.error(f"cpu {match[1]} for the second time in zone {zone.name}", number)
            self.cpu = zone.pcp.setdefault(int(match[1]), {})
        elif match := THRESHOLD.fullmatch(text):
            zone.threshold = int(match[1])
        elif match := FIELD.fullmatch(text):
            self.put(match[1], int(match[2]), zone)
        elif self.node_stats and (match := NAMELESS.fullmatch(text)):
            self.proc.unnamed = int(match[1])
        else:
            return False
        return True

    def put(self, name: str, value: int, zone: ZoneInfo) -> None:
        """Keep a field where it belongs: of the node, of a cpu, or of the zone."""
        if self.node_stats:
            return
        if self.cpu is not None and name in ("count", "high", "batch", "high_min", "high_max"):
            self.cpu[name] = value
        else:
            zone.fields.setdefault(name, value)


def read_proc(files: Iterable[str]) -> Proc:
    """Read any of the three files, told apart by content, into one machine; raises InputError.

    They may be as they were pasted: quoted, indented, with time stamps, prompts and prose between them.  Of several
    snapshots under headings or commands the first of each kind is read.  In their place a report's Mem-Info may be
    given: of several the first.
    """
    proc = Proc()
    for name in files:
        lines = read_pasted(Path(name))
        if in_report(lines) and not any(ZONE.fullmatch(text) for _, text in lines):
            take_report(proc, name, lines)
            continue
        reader = Reader(proc, name)
        for number, text in unwrapped([text for _, text in lines]):
            reader.line(text, number)
        if not reader.read:
            raise reader.unexpected(*(reader.foreign or ("nothing", 1)))
    if proc.zones and not any(zone.line for zone in proc.zones.values()):
        odd = f"; this machine's MAX_ORDER is {proc.orders}, the model's {MAX_ORDER}" * (proc.orders != MAX_ORDER)
        raise InputError(f"lists without zones: give /proc/zoneinfo too, which says where they are{odd}", name)
    for zone in proc.zones.values():
        if "managed" not in zone.fields and "present" in zone.fields:
            zone.fields["managed"] = zone.fields["present"]
            proc.managed_is_present = True
        check_zone(zone)
    if not any(zone.line and zone.populated for zone in proc.zones.values()):
        raise InputError("no zone with pages: expected /proc/zoneinfo or a report's Mem-Info among the files")
    return proc


def unwrapped(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with their numbers; the rest of a table's line that a mailer broke joins its beginning."""
    held: tuple[int, str] | None = None
    for number, text in enumerate(lines, 1):
        if held and REST.fullmatch(text):
            held = held[0], f"{held[1]} {text}"
            continue
        if held:
            yield held
        held = (number, text) if LONG.fullmatch(text) else None
        if held is None:
            yield number, text
    if held:
        yield held


def check_zone(zone: ZoneInfo) -> None:
    """Raise InputError for a populated zone that lacks what the geometry needs."""
    if not zone.line:
        if zone.free is not None and any(zone.free):
            raise InputError(f"zone {zone.name} of node {zone.node} is not in the zoneinfo that was given")
        return
    missing = [name for name in NEEDED if name not in zone.fields]
    if zone.populated:
        missing += [name for name in ("start_pfn", "free") if name not in zone.fields]
        missing += ["protection"] * (not zone.protection) + ["pagesets"] * (not zone.pcp)
        missing += [f"{n} of cpu {c}" for c, p in zone.pcp.items() for n in ("count", "high", "batch") if n not in p]
    if missing:
        raise InputError(f"zone {zone.name} lacks {', '.join(missing)}: cut off?", zone.file, zone.line)
    marks = [0, zone.fields.get("boost", 0), *(zone.fields[name] for name in ("min", "low", "high"))]
    if marks != sorted(marks) or not zone.fields["managed"] <= zone.fields["present"] <= zone.fields["spanned"]:
        raise InputError(
            f"zone {zone.name}: expected 0 <= boost <= min <= low <= high and managed <= present <= spanned",
            zone.file,
            zone.line,
        )

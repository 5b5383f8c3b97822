"""Golden vectors of v6.18 and later: lists by order, locks that are tried, and the operations that came with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gfpmodel.errors import InputError, MisuseError
from gfpmodel.evidence.vectors import (
    DifferenceFound,
    Line,
    Replay,
    Word,
    boot,
    compare_fields,
    crc,
    fields_of,
    lists_of,
    sizes_of,
    zones_of,
)
from gfpmodel.io.config import Config
from gfpmodel.mm import PageAllocator
from gfpmodel.mm.events import RECORDED_LATER
from gfpmodel.mm.kernels import rules_of
from gfpmodel.mm.ops import (
    MAX_AMOUNT,
    MAX_OP_ORDER,
    OP_AMOUNT,
    OP_BULK,
    OP_BUSY,
    OP_DECAY,
    OP_FREE_NOLOCK,
    OP_NOLOCK,
    OP_SET_BOOST,
    OP_UNRESERVE,
    OP_ZONE_FLAG,
    busy_argument,
)
from gfpmodel.mm.run import NO_RESULT, OP_ALLOC, OP_DRAIN, OP_FREE
from gfpmodel.mm.state import (
    IN_USE,
    MAX_ATTEMPTS,
    MAX_NR_ZONES,
    MAX_ORDER,
    MIGRATE_CMA,
    NR_LOWORDER_PCP_LISTS,
    NR_PCP_LISTS,
)

FORMATS = ("1+6.18", "1+7.3")
NAMES = {"kernel", "config", "snap_every", "ops", "event_counts", "null_results", "ends_all_freed",
         "ends_with_boot_blocks", "warns", "zones", "cma"}  # fmt: skip
#: Each operation: its fields, of which all but the results are numbers up to a top, and the kind of its word.
ZONE, PFN, MASK, BIT = MAX_NR_ZONES - 1, NO_RESULT - 1, NO_RESULT, 1
OPERATIONS: dict[str, tuple[dict[str, int], int]] = {
    "alloc": ({"order": MAX_OP_ORDER, "gfp": MASK}, OP_ALLOC),
    "free": ({"pfn": PFN, "order": MAX_ORDER - 1}, OP_FREE),
    "drain": ({}, OP_DRAIN),
    "nolock": ({"order": MAX_ORDER - 1, "gfp": MASK}, OP_NOLOCK),
    "freenl": ({"pfn": PFN, "order": MAX_ORDER - 1}, OP_FREE_NOLOCK),
    "bulk": ({"gfp": MASK, "n": MAX_AMOUNT}, OP_BULK),
    "decay": ({"z": ZONE}, OP_DECAY),
    "unreserve": ({"gfp": MASK, "force": BIT}, OP_UNRESERVE),
    "zflag": ({"z": ZONE, "bit": 2, "v": BIT}, OP_ZONE_FLAG),
    "setboost": ({"z": ZONE, "v": MASK}, OP_SET_BOOST),
}
WITHOUT_CPU = ("zflag", "setboost", "minfree")
WITH_RESULT = ("alloc", "nolock", "bulk", "decay", "unreserve")
#: Operations that are calls of their own.
CALLS = {
    "minfree": {"kb": MASK},
    "range": {"pfn": PFN, "n": MAX_AMOUNT},
    "freebulk": {},
}
BUSY = ("zc", "pc", "tf")


class Golden618(Replay):
    """A file of one of these formats being replayed."""

    def words(self, line: Line) -> list[Word]:
        """Return the words of an operation, those that say what it goes with first; raises InputError."""
        op = line.data["op"]
        n = self._numbers(line, *OPERATIONS[op])
        kind, cpu, order = OPERATIONS[op][1], n["cpu"], n.get("order", 0)
        argument = n.get("gfp", n.get("pfn", n.get("z", 0)))
        if op == "unreserve":
            order = n["force"]
        elif op == "zflag":
            order, argument = n["v"], n["z"] | n["bit"] << 2
        elif op == "setboost":
            order, argument = n["z"], n["v"]
        busy = self._busy(line)
        before = [(OP_BUSY, 0, 0, busy)] if busy else []
        if op == "bulk":
            before.append((OP_AMOUNT, 0, 0, n["n"]))
        return [*before, (kind, cpu, order, argument)]

    def _numbers(self, line: Line, tops: dict[str, int], kind: int = 0, more: tuple[str, ...] = ()) -> dict[str, int]:
        op = line.data["op"]
        names = {"op", "q", *tops} | ({"r"} if op in WITH_RESULT else set())
        tops = dict(tops)
        if op not in WITHOUT_CPU:
            tops["cpu"] = self.allocator.machine.cpus - 1
            names.add("cpu")
        return {"cpu": 0} | fields_of(line, self.path, names | set(more), {"ev", *BUSY, "keep"}, tops)

    def _busy(self, line: Line) -> int:
        """Return what a line says is busy as the argument of an OP_BUSY; raises InputError."""
        tops = (MAX_NR_ZONES, MAX_NR_ZONES, MAX_ATTEMPTS)
        lists = [self._list(line, name, top - 1) for name, top in zip(BUSY, tops, strict=True)]
        return busy_argument(*lists)

    def _list(self, line: Line, name: str, top: int) -> list[int]:
        value = line.data.get(name, [])
        if not isinstance(value, list) or not all(type(one) is int and 0 <= one <= top for one in value):
            raise InputError(f"{name}: expected a list of numbers from 0 to {top}", str(self.path), line.number)
        return value

    def run(self, line: Line) -> None:
        """Run an operation, now or with those that follow; raises InputError."""
        op = line.data.get("op")
        if op in CALLS:
            self.flush()
            self._call(line, str(op))
        elif op in OPERATIONS:
            super().run(line)
        else:
            raise InputError(f"unknown operation {str(line.data)[:60]}", str(self.path), line.number)

    def _call(self, line: Line, op: str) -> None:
        """Run an operation that is a call of its own, and compare what it did."""
        numbers = self._numbers(line, CALLS[op], more=("pfns",) if op == "freebulk" else ())
        lists = [self._list(line, name, MAX_NR_ZONES - 1) for name in ("zc", "pc")]
        self.ring.clear()
        try:
            if op == "minfree":
                self.allocator.set_min_free_kbytes(numbers["kb"])
            else:
                zones, of_lists = [[z for z in one if z in self.allocator.sizes.zones] for one in lists]
                self.allocator.busy(zones, of_lists, self._list(line, "tf", MAX_ATTEMPTS - 1))
                self._free(line, op, numbers)
        except MisuseError as error:
            raise DifferenceFound(line.number, "op", line.data, error.message) from None
        irq_off = self.ring.irq_off if op != "minfree" else 0
        self._compare(line, {"q": irq_off, "ev": self.events_by_op(1)[0]})
        self.done += 1

    def _free(self, line: Line, op: str, numbers: dict[str, int]) -> None:
        cpu = numbers["cpu"]
        if op == "range":
            keep = self._list(line, "keep", PFN)
            self.allocator.free_contig_range(numbers["pfn"], numbers["n"], cpu, keep)
        else:
            self.allocator.free_pages_bulk(self._list(line, "pfns", PFN), cpu)

    def result(self, line: Line, pfns: Iterator[int]) -> dict[str, Any]:
        """Return the result of an operation as the file writes it."""
        op = line.data["op"]
        if op not in WITH_RESULT:
            return {}
        if op == "bulk":
            found = [next(pfns) for _ in range(line.data["n"])]
            return {"r": [pfn for pfn in found if pfn != NO_RESULT]}
        value = next(pfns)
        return {"r": None if value == NO_RESULT else value}

    def may_split(self, line: Line) -> bool:
        """Make single pages of the block of which an operation frees a part: the scripts with ranges do so."""
        state, order = self.allocator.page_state(line.data["pfn"])
        if self.header["format"] != FORMATS[1] or (state == IN_USE and order <= line.data["order"]):
            return False
        try:
            self.allocator.split_page(line.data["pfn"])
        except MisuseError:
            return False
        return True

    def zone(self, index: int, *, full: bool) -> dict[str, Any]:
        """Return a zone as a snapshot line writes it."""
        counters = self.allocator.counters(index)
        cma = self.allocator.machine.has_cma
        zone: dict[str, Any] = {
            "z": index,
            "free": counters["free"],
            "boost": counters["boost"],
            "rha": counters["nr_reserved_highatomic"],
            "fha": counters["free_highatomic"],
            "zf": counters["flags"],
            **({"fcma": counters["free_cma"]} if cma else {}),
            **lists_of(self.allocator, index, MIGRATE_CMA + 1),
            "tl": [list(block) for block in self.allocator.deferred(index)],
            "pcp": [self.pcp(cpu, index, full=full) for cpu in range(self.allocator.machine.cpus)],
        }
        if cma:  # the file has one type more, of which nothing ever is
            zone |= with_isolate(zone)
        return zone if full else {name: value for name, value in zone.items() if name not in ("fl", "pb")}

    def pcp(self, cpu: int, index: int, *, full: bool) -> dict[str, Any]:
        """Return a cpu's lists in a zone as a snapshot line writes them."""
        state = self.allocator.pcp_state(cpu, index)
        count = NR_PCP_LISTS if self.allocator.machine.thp else NR_LOWORDER_PCP_LISTS
        lists = [self.allocator.pcp_list(cpu, index, pindex).tolist() for pindex in range(count)]
        words: list[int] = []
        for pindex, pfns in enumerate(lists):
            words += [pindex, len(pfns), *pfns]
        return {
            "c": state.pages,
            "h": state.high,
            "fc": state.free_count,
            "af": state.alloc_factor,
            "fl": state.flags,
            "n": [len(pfns) for pfns in lists],
            "lcrc": crc(words),
            **({"l": lists} if full else {}),
        }

    def more_totals(self) -> dict[str, Any]:
        """Return the totals that only this format's header gives; a warning would have been an error here."""
        state = self.allocator.snapshot()
        return {
            "ends_all_freed": not state.in_use,
            "ends_with_boot_blocks": state.free_blocks() == self.boot,
            "warns": 0,
        }


def with_isolate(zone: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a zone's lists with a last type that is always empty."""
    lists = [[*of_order, []] for of_order in zone["fl"]]
    words: list[int] = []
    for order, of_order in enumerate(lists):
        for t, pfns in enumerate(of_order):
            words += [order, t, len(pfns), *pfns]
    return {"fl": lists, "nr": [[len(pfns) for pfns in of_order] for of_order in lists], "flcrc": crc(words)}


def header_of(allocator: PageAllocator, config: Config) -> dict[str, Any]:
    """Return the header's fields that follow from the configuration, by the kernel's arithmetic."""
    machine = allocator.machine
    return {
        **sizes_of(allocator, config),
        "pageblock_order": machine.pageblock_order,
        "thp": int(machine.thp),
        "cma": int(machine.has_cma),
        "cache_slice": machine.cache_slice,
        "defrag_mode": int(machine.defrag_mode),
        "cma_areas": [list(area) for area in machine.cma],
        "zones": [
            {
                **zone,
                "pcp_high_min": own.high_min,
                "pcp_high_max": own.high_max,
                "pcp_flags": own.pcp_flags,
                **({"cma": machine.cma_pages(own.zone)} if machine.has_cma else {}),
            }
            for zone, own in zip(zones_of(allocator), allocator.sizes.zones.values(), strict=True)
        ],
    }


def kernel_of(path: Path, line: Line) -> str:
    """Return the row of a header's kernel, of which it names a stable release; raises InputError."""
    release = str(line.data["kernel"])
    try:
        return rules_of("v" + ".".join(release.split(".")[:2])).name
    except InputError as error:
        raise InputError(error.message, str(path), line.number) from None


def begin(path: Path, line: Line) -> Replay:
    """Boot the machine of a header line and compare its sizes; raises InputError or DifferenceFound."""
    header = line.data
    missing = NAMES - set(header)
    if missing:
        raise InputError(f"the header lacks {sorted(missing)}", str(path), line.number)
    config = Config(rules=kernel_of(path, line))
    allocator = boot(path, line, config, RECORDED_LATER)
    got = header_of(allocator, config)
    compare_fields(line.number, "", {name: header.get(name) for name in got}, got)
    return Golden618(path, header, config, allocator, boot=allocator.snapshot().free_blocks())

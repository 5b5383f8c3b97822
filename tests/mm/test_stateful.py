"""Random operations on small machines: after each one every invariant holds, and in the end all is as at boot."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gfpmodel.errors import MisuseError
from gfpmodel.mm import Machine, PageAllocator, Zone
from gfpmodel.mm.kernels import ROWS
from gfpmodel.proposals import proposal

MASKS = (0, 0x800, 0xCC0, 0xCC8, 0xCD0, 0xA20, 0xA28, 0x20CC0, 0x800000, 0x800008, 0x800010, 0xCC1, 0xCC4, 0x200)
CPU = st.integers(0, 3)
ORDER = st.one_of(st.just(0), st.integers(0, 4), st.integers(0, 11))


class Allocator(RuleBasedStateMachine):
    """One to three zones, aligned or not, on one to four cpus."""

    @initialize(
        sizes=st.lists(st.integers(1, 4000), min_size=1, max_size=3),
        start=st.integers(0, 3000),
        cpus=st.integers(1, 4),
        batch=st.integers(1, 9),
        high=st.integers(9, 30),
        mobility_disabled=st.booleans(),
        verbatim=st.booleans(),
    )
    def boot(  # noqa: PLR0913, PLR0917
        self,
        sizes: list[int],
        start: int,
        cpus: int,
        batch: int,
        high: int,
        mobility_disabled: bool,
        verbatim: bool,
    ) -> None:
        zones = []
        for index, size in zip((0, 1, 2)[-len(sizes) :], sizes, strict=True):
            zones.append(Zone(index, start, size))
            start += size
        machine = Machine(
            tuple(zones),
            cpus=cpus,
            pcp=(batch, high),
            mobility_disabled=mobility_disabled,
            slowpath="verbatim" if verbatim else "short",
        )
        self.allocator = PageAllocator(machine, proposal("fast_try"))
        self.boot_blocks = self.allocator.snapshot().free_blocks()
        self.live: list[tuple[int, int]] = []

    @rule(mask=st.sampled_from(MASKS), order=ORDER, cpu=CPU)
    def alloc(self, mask: int, order: int, cpu: int) -> None:
        pfn = self.allocator.alloc_pages(mask, order, cpu % self.allocator.machine.cpus)
        if pfn is not None:
            assert pfn % (1 << order) == 0
            self.live.append((pfn, order))

    @rule(mask=st.sampled_from(MASKS), cpu=CPU, count=st.integers(1, 300))
    def alloc_many(self, mask: int, cpu: int, count: int) -> None:
        for _ in range(count):
            self.alloc(mask, 0, cpu)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 1 << 20), cpu=CPU)
    def free(self, which: int, cpu: int) -> None:
        pfn, order = self.live.pop(which % len(self.live))
        self.allocator.free_pages(pfn, order, cpu % self.allocator.machine.cpus)

    @rule(cpu=CPU)
    def drain(self, cpu: int) -> None:
        self.allocator.drain(cpu % self.allocator.machine.cpus)

    @invariant()
    def everything_adds_up(self) -> None:
        self.allocator.check()
        assert sorted(self.live) == sorted(self.allocator.snapshot().in_use)

    def teardown(self) -> None:
        for pfn, order in self.live:
            self.allocator.free_pages(pfn, order)
        self.allocator.drain()
        self.allocator.check()
        assert self.allocator.snapshot().free_blocks() == self.boot_blocks


LATER = [name for name, row in ROWS.items() if row.later]
CALLERS = (0, 0x820, 0xCC0, 0xCC8, 0xCD0, 0x2800, 0x20CC0, 0x80820, 0xCC1, 0xCC4)


class LaterAllocator(RuleBasedStateMachine):
    """The same with the rules of today: lists by order, locks that may be busy, pages that wait to be freed."""

    @initialize(
        kernel=st.sampled_from(LATER),
        sizes=st.lists(st.integers(1, 6000), min_size=1, max_size=3),
        start=st.integers(0, 3000),
        cpus=st.integers(1, 3),
        order=st.sampled_from((9, 10)),
        lists=st.sampled_from(((None, None, None), (7, 20, 90), (1, 0, 0), (5, 40, 40))),
        switches=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def boot(  # noqa: PLR0913, PLR0917
        self,
        kernel: str,
        sizes: list[int],
        start: int,
        cpus: int,
        order: int,
        lists: tuple[int | None, int | None, int | None],
        switches: tuple[bool, bool, bool],
    ) -> None:
        zones = []
        for index, size in zip((0, 1, 2)[-len(sizes) :], sizes, strict=True):
            zones.append(Zone(index, start, size))
            start += size
        verbatim, defrag, thp = switches
        machine = Machine(
            tuple(zones),
            cpus=cpus,
            pageblock_order=order,
            pcp_sizes=lists,
            mobility_disabled=False,
            slowpath="verbatim" if verbatim else "short",
            defrag_mode=defrag,
            thp=thp and order == 9,
        )
        self.allocator = PageAllocator(machine, kernel=kernel)
        self.zones = [zone.index for zone in zones]
        self.cpus = cpus
        self.live: list[tuple[int, int]] = []

    def take(self, pfn: int | None, order: int) -> None:
        if pfn is not None:
            assert pfn % (1 << order) == 0
            self.live.append((pfn, order))

    @rule(mask=st.sampled_from(CALLERS), order=ORDER, cpu=CPU)
    def alloc(self, mask: int, order: int, cpu: int) -> None:
        self.take(self.allocator.alloc_pages(mask, order, cpu % self.cpus), order)

    @rule(order=st.integers(0, 4), cpu=CPU)
    def nolock(self, order: int, cpu: int) -> None:
        self.take(self.allocator.alloc_pages_nolock(0, order, cpu % self.cpus), order)

    @rule(mask=st.sampled_from(CALLERS), cpu=CPU, count=st.integers(1, 300))
    def bulk(self, mask: int, cpu: int, count: int) -> None:
        pfns = self.allocator.alloc_pages_bulk(mask, count, cpu % self.cpus)
        assert len(pfns) <= count
        self.live += [(pfn, 0) for pfn in pfns]

    @rule(zones=st.sets(st.integers(0, 2)), lists=st.sets(st.integers(0, 2)), numbers=st.sets(st.integers(0, 5)))
    def busy(self, zones: set[int], lists: set[int], numbers: set[int]) -> None:
        self.allocator.busy(zones & set(self.zones), lists & set(self.zones), numbers)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 1 << 20), cpu=CPU, nolock=st.booleans())
    def free(self, which: int, cpu: int, nolock: bool) -> None:
        pfn, order = self.live.pop(which % len(self.live))
        free = self.allocator.free_pages_nolock if nolock else self.allocator.free_pages
        free(pfn, order, cpu % self.cpus)

    @precondition(lambda self: self.live)
    @rule(which=st.integers(0, 1 << 20), cpu=CPU)
    def free_block_in_parts(self, which: int, cpu: int) -> None:
        pfn, order = self.live.pop(which % len(self.live))
        keep = [pfn] if which & 1 and order else []
        self.allocator.free_contig_range(pfn, 1 << order, cpu % self.cpus, keep)
        self.live += [(one, 0) for one in keep]

    @rule(zone=st.integers(0, 2), bit=st.integers(0, 2), value=st.integers(0, 1))
    def flag(self, zone: int, bit: int, value: int) -> None:
        if zone in self.zones:
            self.allocator.set_zone_flag(zone, bit, value)

    @rule(cpu=CPU, zone=st.integers(0, 2), force=st.booleans())
    def others(self, cpu: int, zone: int, force: bool) -> None:
        if zone in self.zones:
            self.allocator.decay_pcp_high(cpu % self.cpus, zone)
        self.allocator.unreserve_highatomic_pageblock(0xCC0, force=force)

    @rule(cpu=CPU)
    def drain(self, cpu: int) -> None:
        self.allocator.drain(cpu % self.cpus)

    @rule()
    def put_back(self) -> None:
        before = self.allocator.snapshot()
        self.allocator.restore(before)
        assert self.allocator.snapshot() == before

    @rule(pfn=st.integers(0, 20000), order=st.integers(0, 10))
    def misuse(self, pfn: int, order: int) -> None:
        if (pfn, order) in self.live:
            return
        for free in (self.allocator.free_pages, self.allocator.free_pages_nolock):
            try:
                free(pfn, order)
            except MisuseError:
                continue
            raise AssertionError((pfn, order))

    @invariant()
    def everything_adds_up(self) -> None:
        self.allocator.check()
        assert sorted(self.live) == sorted(self.allocator.snapshot().in_use)

    def teardown(self) -> None:
        if not hasattr(self, "allocator"):
            return
        self.allocator.busy()
        for pfn, order in self.live:
            self.allocator.free_pages(pfn, order)
        self.allocator.drain()
        self.allocator.check()
        assert not self.allocator.snapshot().in_use


OPTIONS = settings(max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
Allocator.TestCase.settings = OPTIONS
LaterAllocator.TestCase.settings = OPTIONS
TestAllocator = Allocator.TestCase
TestLaterAllocator = LaterAllocator.TestCase

"""Random operations on small machines: after each one every invariant holds, and in the end all is as at boot."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gfpmodel.mm import Machine, PageAllocator, Zone
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


Allocator.TestCase.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAllocator = Allocator.TestCase

"""Fuzz the public calls of the compiled engine: whatever comes in, an answer or a named error, and never a crash.

The calls run in a child process, for memory unsafety shows as its death; processor time far beyond what its number of
calls takes ends it, too, for an endless loop.  About a minute by default (most of it compiles what the calls need);
``GFPMODEL_FUZZ_SECONDS=600 pytest tests/test_api_fuzz.py -k long -s`` goes on for so long.  A failure prints
its last calls, and ``python tests/test_api_fuzz.py SEED CALLS`` runs them again.
"""

import faulthandler
import os
import random
import resource
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SECONDS = float(os.environ.get("GFPMODEL_FUZZ_SECONDS", "0"))
CALLS = 12_000  #: of a short run
CPU_SECONDS = 900  #: to compile in, and ten times what the calls need


def child(seed: int, calls: int, compiled: bool = True) -> subprocess.CompletedProcess[str]:
    """Make so many random calls in a process of their own."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_DISABLE_JIT" or not compiled}
    limit = CPU_SECONDS + calls // 20

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return subprocess.run(
        [sys.executable, "-X", "faulthandler", __file__, str(seed), str(calls)],
        env=environment,
        preexec_fn=limits,
        capture_output=True,
        text=True,
        check=False,
    )


def test_for_a_short_time() -> None:
    done = child(3, CALLS)  # a seed whose machines are small: what they print takes most of the time
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert f"{CALLS} calls" in done.stdout


@pytest.mark.skipif(not SECONDS, reason="the long run: set GFPMODEL_FUZZ_SECONDS to the processor time it may take")
def test_for_a_long_time() -> None:
    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    begin, seed, calls = used(), 2, 0
    while used() - begin < SECONDS:
        done = child(seed, 100_000)
        assert done.returncode == 0, f"seed {seed}:\n" + done.stdout[-4000:] + done.stderr[-4000:]
        seed, calls = seed + 1, calls + 100_000
    print(f"{calls} calls, {used() - begin:.0f} s of processor time")


# the child

RNG = random.Random()
LAST: deque[str] = deque(maxlen=12)
COUNTS: dict[str, list[int]] = {}
HOSTILE: list[Any] = [
    -1, -2, 1 << 16, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 38, -(1 << 38), 1 << 40, 10**9, -(10**9), 10**12, 10**30,
    1 << 62, (1 << 63) - 1, -(1 << 63), 1 << 63, 1 << 64, 10**5000, 0.5, 1e300, float("nan"), float("inf"), None, "1",
    "x" * 5000, b"1", True, np.int8(-3), np.int8(100), np.uint8(200), np.int16(300), np.int32(7), np.uint32(4101),
    np.uint64(1 << 63), np.float64(3.0), np.bool_(True), (), [1], np.zeros(3), np.array(2), np.array([5]),
]  # fmt: skip
WIDTHS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def some(*good: Any) -> Any:
    """Return one of these, now and then in another width, or something hostile."""
    dice = RNG.random()
    if dice < 0.12:
        return RNG.choice(HOSTILE)
    value = RNG.choice(good)
    if dice < 0.3 and isinstance(value, int) and 0 <= value < 1 << 31:
        fits = [
            t
            for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)
            if value <= np.iinfo(t).max
        ]
        return RNG.choice(fits)(value)
    return value


def truth() -> Any:
    """Return what Python takes for true or false."""
    return RNG.choice((True, False, 0, 1, None, "x", np.bool_(1)))


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Make a call: it answers, or raises InputError, which returns None."""
    from gfpmodel.errors import InputError

    name = getattr(function, "__qualname__", str(function))
    LAST.append(f"{name}({', '.join(short(a) for a in args)} {options and short(options)})")
    counts = COUNTS.setdefault(name, [0, 0])
    try:
        result = function(*args, **options)
    except InputError as error:
        said = str(error)
    else:
        counts[0] += 1
        return result
    assert 0 < len(said) < 3000
    counts[1] += 1
    return None


def short(value: object) -> str:
    """Return a value as a failure shows it."""
    try:
        return repr(value)[:300]
    except ValueError:  # it has a number of more digits than Python prints
        return "10**5000, or with it"


def machine() -> Any:
    """Return a machine that can be, small, or None if this one cannot."""
    from gfpmodel.mm import Machine, Zone

    at, zones = RNG.choice((0, 1, 1000, 4096, 1 << 20)), []
    for index in sorted(RNG.sample(range(4), RNG.choice((1, 1, 2, 3)))):
        spanned = RNG.choice((64, 700, 1024, 4096, 9000))
        zone = call(Zone, some(index), some(at), some(spanned))
        zones.append(zone or Zone(index, at, spanned))
        at += spanned + RNG.choice((0, 0, 500))
    begin, end = zones[0].start, zones[-1].end
    options: dict[str, Any] = {"cpus": some(1, 1, 2, 3)}
    if RNG.random() < 0.5:
        area = (-(-begin // 1024) * 1024, -(-begin // 1024) * 1024 + 1024)
        odd = {
            "cma": ((area,), (area, area), ((some(*area), some(*area)),)),
            "holes": (((some(begin + 5), some(begin + 50)),), ((end - 9, end),)),
            "reserved": (((begin, some(begin + 70)),), ((some(begin), end),)),
            "pcp": ((4, 8), (some(1, 4, 31), some(1, 8, 186)), {zones[0].index: (some(2), some(6))}),
            "min_free_kbytes": (some(0, 128, 4096),),
            "pageblock_order": (some(9, 10),),
            "percpu_pagelist_fraction": (some(8, 100),),
            "watermark_boost_factor": (some(0, 15000),),
            "watermark_scale_factor": (some(1, 10, 1000),),
            "mobility_disabled": (True, False, None),
            "slowpath": ("short", "verbatim", "no"),
            "pcp_sizes": ((some(1, 7), some(0, 20), some(40, 90)), (None, None, some(8))),
            "thp": (True, False),
            "defrag_mode": (True, False),
            "kdump": (True, False),
            "cache_slice": (some(0, 1 << 20),),
            "percpu_pagelist_high_fraction": (some(8, 100),),
        }
        for name in RNG.sample(sorted(odd), RNG.choice((1, 2, 3))):
            options[name] = RNG.choice(odd[name])
    spans = end - begin
    return call(Machine, tuple(zones), **options) if 0 < spans < 1 << 22 else None


def rule() -> Any:
    """Return a row: one of the book's, or one with odd fields."""
    from gfpmodel.mm import Rule
    from gfpmodel.proposals import PROPOSALS

    if RNG.random() < 0.4:
        return RNG.choice([None, *PROPOSALS.values()])
    odd: dict[str, Any] = {
        "flag": some(0, 0x800000, 1 << 32),
        "scan": RNG.choice(((None, None), (0, 2), (some(0, 1), some(1, 2)), (None, 2), 5)),
        "refill": RNG.choice(("no", "yes", "trylock", 7)),
        "watermark": RNG.choice(("low", "min", "none", "high")),
        "slow_path": RNG.choice((True, False, 3)),
        "highest_zone": some(0, 1, 2, 3),
        "highest_order": some(0, 3, 10),
    }
    request = RNG.choice(("none", "GFP_KERNEL", "GFP_ATOMIC", "GFP_NOWHERE"))
    return call(Rule, "odd", "an odd row", request, **{name: odd[name] for name in RNG.sample(sorted(odd), 3)})


MASKS = (0xCC0, 0xCC8, 0xCD0, 0xA20, 0xCC1, 0xCC4, 0x20CC0, 0x800CC0, 1 << 32, "GFP_KERNEL", "GFP_ATOMIC", "GFP_WRONG")


class Engine:
    """An allocator, and what is known of it."""

    def __init__(self, allocator: Any) -> None:
        self.a = allocator
        self.sound = True  # not restored from something damaged
        self.cpus = range(allocator.machine.cpus)
        self.zones = [zone.index for zone in allocator.machine.zones]
        self.saved = allocator.snapshot()
        self.pfns: list[int] = [zone.start for zone in allocator.machine.zones]
        self.prepared: list[Any] = []

    def step(self) -> None:  # noqa: C901, PLR0912 (a case for each kind of call)
        """Make a random call."""
        a, cpu, zone, order = self.a, some(*self.cpus), some(*self.zones), some(0, 0, 1, 3, 10)
        pfn = some(*self.pfns[-200:], self.pfns[-1] + 1)
        match RNG.randrange(30):
            case 0 | 1 | 2 | 3:
                got = call(a.alloc_pages, some(*MASKS), order, cpu)
                if got is not None:
                    self.pfns.append(got)
            case 4 | 5 | 6 | 7:
                call(a.free_pages, pfn, order, cpu)
            case 8:
                call(a.drain, some(None, *self.cpus))
            case 9 | 10:
                self.bulk()
            case 11:
                self.resume()
            case 12:
                call(a.free_list, zone, order, some(0, 1, 2, 3, 4))
                call(a.pcp_list, cpu, zone, some(0, 1, 2))
            case 13:
                call(a.watermark_ok, zone, order, some(0, 1, 2), some(0, 1, 2, 3), some(0, 0x10, 0x800))
            case 14:
                call(a.contend, zone, truth())
            case 15:
                call(a.page_state, pfn)
                call(a.migratetype, pfn)
            case 16:
                call(a.nr_free, zone)
                call(a.counters, zone)
                call(a.pcp_count, cpu, zone)
                call(a.block_types, zone)
                call(a.zone_state, zone)
            case 17:
                self.restore()
            case 18:
                call(a.events, truth())
                call(repr, a)
            case 19 if self.sound:
                a.check()
            case 20:
                self.refused_changes_nothing()
            case 21:
                self.threads()
            case 24 | 25 | 26:
                self.later(cpu, zone, order, pfn)
            case 27:
                self.others(cpu, zone)
            case _:
                pass

    def later(self, cpu: Any, zone: Any, order: Any, pfn: Any) -> None:
        """Make a call that only later kernels have; v5.8 refuses it."""
        a = self.a
        match RNG.randrange(6):
            case 0 | 1:
                got = call(a.alloc_pages_nolock, some(0, 0, 0x400000), order, cpu)
                self.pfns += [got] if got is not None else []
            case 2:
                call(a.free_pages_nolock, pfn, order, cpu)
            case 3:
                self.pfns += call(a.alloc_pages_bulk, some(*MASKS), some(1, 2, 40, 3000), cpu) or []
            case 4:
                call(a.free_contig_range, pfn, some(1, 2, 64, 700), cpu, RNG.choice(((), [pfn], some(()))))
                call(a.split_page, pfn)
            case _:
                call(a.free_pages_bulk, RNG.choice((self.pfns[-5:], [pfn], HOSTILE, some(()))), cpu)

    def others(self, cpu: Any, zone: Any) -> None:
        """Do what another cpu, kswapd or the administrator would."""
        a = self.a
        call(a.decay_pcp_high, cpu, zone)
        call(a.unreserve_highatomic_pageblock, some(*MASKS), force=some(True, False))
        call(a.set_zone_flag, zone, some(0, 1, 2), some(0, 1))
        call(a.set_boost, zone, some(0, 1024))
        call(a.contend_lists, cpu, zone, truth())
        call(a.busy, *(RNG.choice(((), [some(0, 1, 2)], HOSTILE, some(3))) for _ in range(3)))
        call(a.pcp_state, cpu, zone)
        call(a.deferred, zone)
        if RNG.random() < 0.05:
            call(a.set_min_free_kbytes, some(0, 128, 4096))

    def words(self) -> Any:
        """Return columns of operations, packed or not."""
        from gfpmodel.mm import pack_ops

        size = RNG.choice((0, 1, 5, 40))
        if RNG.random() < 0.1:
            return RNG.choice(
                [*HOSTILE, np.array([RNG.getrandbits(64) - (1 << 63) for _ in range(size)], np.int64), np.zeros((2, 2))]
            )
        kinds = np.array([RNG.choice((0, 0, 0, 1, 2, 3)) for _ in range(size)], np.int64)
        if size and RNG.random() < 0.3:  # one of a later kernel
            kinds[RNG.randrange(size)] = 3 | RNG.randrange(64) << 2
        allocations = np.cumsum(kinds == 0)
        arguments = []
        for at, kind in enumerate(kinds.tolist()):
            handle = RNG.randrange(int(allocations[at])) if allocations[at] else 0
            arguments.append(
                {0: RNG.choice(MASKS[:5]), 1: RNG.choice(self.pfns), 2: handle}.get(kind, RNG.randrange(9))
            )
        odd = RNG.random() < 0.3
        cpus: Any = [RNG.choice(self.cpus) for _ in range(size)]
        orders: Any = RNG.choice((0, 0, RNG.randrange(64), [RNG.choice((0, 0, 2, 16, 63)) for _ in range(size)]))
        if odd and size:
            where: Any = RNG.choice((cpus, arguments))
            where[RNG.randrange(size)] = RNG.choice(HOSTILE[:20])
        return call(pack_ops, kinds, cpus if RNG.random() < 0.5 else some(*self.cpus), orders, arguments)

    def bulk(self) -> None:
        words = self.words()
        results = call(self.a.run, words, truth()) if words is not None else None
        if results is not None:
            self.pfns += [pfn for pfn in results.pfns.tolist() if pfn != 0xFFFFFFFF]

    def resume(self) -> None:
        words = self.words()
        results = call(self.a.prepare, words) if words is not None else None
        if results is not None:
            self.prepared.append(results)
        for _ in range(RNG.choice((1, 1, 4))):
            one = RNG.choice([*self.prepared[-2:], None])
            size = 0 if one is None else len(one.irq_off)
            call(self.a.resume, one, some(0, 0, size // 2), some(size, size // 2, 1000))
            call(self.a.explain, one, some(0, size))

    def restore(self) -> None:
        if RNG.random() < 0.4 or not self.sound:
            call(self.a.restore, self.saved)
            self.sound = True
        elif RNG.random() < 0.3:
            self.saved = self.a.snapshot()
        else:
            given, sizes = self.damaged(), None
            if RNG.random() < 0.3:
                own = dict(self.a.sizes.zones)
                one = RNG.choice(self.zones)
                name = RNG.choice(("managed", "batch", "high", "wmark", "lowmem_reserve", "zone"))
                own[one] = replace(own[one], **{name: some(0, 1, 31, (1, 2, 3), (0, 0, 0, 0))})
                sizes = replace(self.a.sizes, zones=own)
            before = self.a.snapshot()
            LAST.append(f"restore {short(given)}")
            kept = self.a.sizes
            if call(self.restored, given, sizes):
                self.sound = False
                for _ in range(20):
                    call(self.a.alloc_pages, RNG.choice(MASKS[:6]), RNG.choice((0, 0, 1, 10)), RNG.choice(self.cpus))
                    call(self.a.free_pages, RNG.choice(self.pfns), 0, RNG.choice(self.cpus))
                call(self.a.drain)
                self.a.restore(self.saved, kept)
                self.sound = True
            else:
                assert self.a.snapshot() == before

    def restored(self, given: Any, sizes: Any) -> bool:
        self.a.restore(given, sizes)
        return True

    def damaged(self) -> Any:
        """Return a snapshot with something else in it."""
        if RNG.random() < 0.1:
            return RNG.choice([*HOSTILE, *OTHERS])
        snapshot = self.a.snapshot()
        if RNG.random() < 0.3:
            return replace(snapshot, in_use=damaged(snapshot.in_use))
        zones = list(snapshot.zones)
        at = RNG.randrange(len(zones))
        name = RNG.choice([field.name for field in fields(zones[at])])
        zones[at] = replace(zones[at], **{name: damaged(getattr(zones[at], name))})
        return replace(snapshot, zones=tuple(zones))

    def refused_changes_nothing(self) -> None:
        before = self.a.snapshot()
        mine = [
            pfn for pfn, order in before.in_use if order == 0
        ]  # one of these is no bad number, whatever it looks like
        for bad in (number for number in RNG.sample(HOSTILE[:20], 3) if number not in mine):
            assert call(self.a.alloc_pages, 0xCC0, 0, bad) is None
            assert call(self.a.free_pages, bad, 0, 0) is None
        assert self.a.snapshot() == before

    def threads(self) -> None:
        if RNG.random() < 0.8 or not self.sound:
            return
        got: list[list[Any]] = [[], []]

        def work(at: int) -> None:
            for _ in range(50):
                got[at].append(self.a.alloc_pages(0xCC0, 0, at % len(self.cpus)))

        workers = [threading.Thread(target=work, args=(at,)) for at in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        pages = [pfn for one in got for pfn in one if pfn is not None]
        assert len(set(pages)) == len(pages)
        for pfn in pages:
            self.a.free_pages(pfn)
        self.a.check()


def damaged(value: Any) -> Any:
    """Return nested tuples with one number changed, dropped or doubled."""
    if not isinstance(value, tuple) or not value or RNG.random() < 0.1:
        return some(0, 1, 5, 4096, (), (1,), ((1, 0),))
    at = RNG.randrange(len(value))
    if RNG.random() < 0.7:
        full = [n for n, one in enumerate(value) if one not in ((), ((),) * 5)]
        at = RNG.choice(full or [at])
        return (*value[:at], damaged(value[at]), *value[at + 1 :])
    return RNG.choice((value[:at] + value[at + 1 :], (*value, value[at]), value[:at] + value[at:][::-1]))


OTHERS: list[Any] = []  # snapshots of other machines


class Chain:
    """A kfree_rcu() chain, and calls to it."""

    def __init__(self, chain: Any) -> None:
        self.rcu = chain
        self.cpus = range(chain.cpus)

    def step(self) -> None:  # noqa: C901, PLR0912 (a case for each kind of call)
        """Make a random call."""
        rcu, cpu = self.rcu, some(*self.cpus)
        known = rcu._objects
        ptr = some(1, max(known, 1), known + 1, RNG.randrange(known + 1))
        match RNG.randrange(16):
            case 0:
                call(rcu.kmalloc, RNG.choice((0, 1, 5, -1, -10, 0.5, None, 1 << 40)))
            case 1 | 2:
                call(rcu.kfree_rcu, ptr, cpu, vmalloc=truth(), offset=some(0, 8, 4096))
            case 3:
                call(rcu.kvfree_call_rcu, ptr, cpu, offset=some(None, 8, 5000), may_sleep=truth())
            case 4:
                count, every = RNG.choice((0, 1, 700, -1, 0.5)), some(0, 1000, 10**6)
                call(rcu.queue, count, cpu, every_ns=every, kind=RNG.choice(("slab", "mixed", "page")))
            case 5 | 6:
                self.schedule()
            case 7 | 8:
                call(rcu.advance, some(0, 1000, 10**7, 10**9))
            case 9:
                call(rcu.settle, some(10**6, 10**11))
            case 10:
                call(rcu.call_rcu, some(1, 20000), cpu)
                call(rcu.monitor, cpu)
            case 11:
                call(rcu.shrink_scan, some(0, 10, 10**6))
                call(rcu.shrink_count)
            case 12:
                page = rcu.allocator.alloc_pages()
                call(rcu.preload, cpu, some(page, page, 4096, -1, *rcu.krc(0).cache))
                if page is not None and page not in rcu._pages():
                    rcu.allocator.free_pages(page)
            case 13:
                call(rcu.krc, cpu)
                call(rcu.blocks_of, cpu)
                call(rcu.was_early, ptr)
                call(rcu.events)
            case 14:
                rcu.check_nothing_lost()
            case _:
                call(type(rcu).fail.fset, rcu, some(0.0, 0.3, 1.0))

    def schedule(self) -> None:
        rcu, size = self.rcu, RNG.choice((0, 1, 5))
        first = (call(rcu.kmalloc, size) or range(1, 1 + size)).start
        columns: list[Any] = [
            [rcu.now + 1000 * n for n in range(size)],
            [RNG.choice(self.cpus) for _ in range(size)],
            list(range(first, first + size)),
            [RNG.choice((0, 0, 4)) for _ in range(size)],
        ]
        if size and RNG.random() < 0.4:
            RNG.choice(columns)[RNG.randrange(size)] = RNG.choice(HOSTILE[:22])
        if RNG.random() < 0.1:
            columns[RNG.randrange(4)] = RNG.choice([*HOSTILE, [1, 2]])
        call(rcu.schedule, *columns)


def foreign(chain: Any) -> None:
    """Take pages from under a chain: it may report that, and may not fall over it."""
    rcu = chain.rcu
    for pfn, _ in rcu.allocator.snapshot().in_use[: RNG.choice((1, 5))]:
        call(rcu.allocator.free_pages, pfn)
    if RNG.random() < 0.3:
        rcu.allocator.restore(rcu.allocator.snapshot())
    call(rcu.advance, 10**9)
    call(rcu.settle)
    rcu.allocator.check()


def new_engine() -> Engine | None:
    from gfpmodel.mm import PageAllocator

    built = machine()
    if built is None:
        return None
    kernel = RNG.choice(("v5.8-rc3", "v5.8-rc3", "v6.18", "v7.1", "v7.3", some("v6.1")))
    options = {"kinds": (0, some(1, 2)), "kernel": kernel}
    allocator = call(PageAllocator, built, rule(), RNG.choice((0, 0, 64, some(8))), **options)
    if allocator is None:
        return None
    OTHERS[:] = [*OTHERS[-4:], allocator.snapshot()]
    return Engine(allocator)


def new_chain() -> Chain | None:
    from gfpmodel.mm import Machine, PageAllocator, Zone
    from gfpmodel.rcu import KfreeRcu, Timing

    timing = call(
        Timing, gp_ns=some(10**6, 2 * 10**7), free_ns=some(0, 50), hz=some(100, 250), qhimark=some(10, 10_000)
    )
    tiny = Machine((Zone(2, 4096, RNG.choice((64, 4096))),), cpus=RNG.choice((1, 2)))
    allocator = PageAllocator(tiny, kernel=RNG.choice(("v5.8-rc3", "v5.8-rc3", "v5.8-rc3", "v6.18")))
    chain = call(
        KfreeRcu,
        RNG.choice(("v5.8", "v5.9", "v5.11", "v5.15", "v6.1", "v6.6", "v6.12", "call_rcu", "v9")),
        allocator,
        timing=timing,
        fail=some(0.0, 0.5),
        seed=some(1, 7),
        min_cached=some(None, 0, 3),
        events=RNG.choice((0, 64)),
        page_size=RNG.choice((4096, 128, 256)),
        object_size=some(64),
    )
    return None if chain is None else Chain(chain)


def main(seed: int, calls: int) -> None:
    """Make so many calls; what goes wrong is printed with the last of them."""
    faulthandler.enable()
    RNG.seed(seed)
    made = 0
    try:
        while made < calls:
            for subject in (new_engine(), new_chain()):
                length = 0 if subject is None else RNG.choice((10, 100, 400))
                for _ in range(length):
                    assert subject is not None
                    subject.step()
                if isinstance(subject, Engine) and subject.sound:
                    subject.a.check()
                if isinstance(subject, Chain):
                    subject.rcu.check_nothing_lost()
                    foreign(subject)
                made += length + 1
    except BaseException:
        traceback.print_exc()
        print(f"after {made} calls, the last ones:", *LAST, sep="\n  ")
        sys.exit(1)
    answered, refused = (sum(counts[at] for counts in COUNTS.values()) for at in (0, 1))
    assert calls < CALLS or all(counts[0] for counts in COUNTS.values()), (
        COUNTS
    )  # a call that is always refused tests nothing
    print(f"{calls} calls: {answered} answered, {refused} refused")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(int(sys.argv[1]), int(sys.argv[2]))

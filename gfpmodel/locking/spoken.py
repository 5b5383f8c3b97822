"""What a reader calls proposals and contexts: one name for one thing, in every picture of the book."""

from __future__ import annotations

#: The rows of `PROPOSALS`, and a later patch that is compared with them.
SPOKEN = {
    "fast_try": "the flag",
    "no_locks": "the flag, second version",
    "lockless": "third version (a function)",
    "nowait": "GFP_NOWAIT",
    "atomic": "GFP_ATOMIC",
    "gfp0": "mask 0",
    "raw_zone_lock": "raw zone lock",
    "raw_zone_lock_rt": "raw zone lock (RT too)",
    "trylock": "trylock of v6.15",
    "deferred_refill": "cache and worker of v5.11",
    "gfp_atomic_rt": "GFP_ATOMIC_RT",
}

#: The named contexts in a reader's words.
PLACES = {
    "task": "in a task, nothing is held",
    "spin": "a spinlock is held",
    "raw": "a raw spinlock is held",
    "raw_irqsave": "a raw spinlock is held, interrupts are off",
    "irqoff": "interrupts are off",
    "preemptoff": "preemption is off",
    "bhoff": "softirqs are off",
    "softirq": "in a softirq",
    "softirq_raw": "in a softirq that holds a raw spinlock",
    "hrt": "in a hard interrupt",
    "hrt_raw": "in a hard interrupt that holds a raw spinlock",
    "hrt_spin": "in a hard interrupt that holds a spinlock",
    "hrt_over_mutex": "in a hard interrupt that came over a held mutex",
    "hrt_over_raw": "in a hard interrupt that came over a held raw spinlock",
    "hrt_over_spin": "in a hard interrupt that came over a held spinlock",
    "hrt_soft_decl": "in a timer that PREEMPT_RT runs in a softirq",
    "irqwork": "in irq_work that PREEMPT_RT runs in a thread",
    "irqwork_hard": "in irq_work that stays in the hard interrupt",
    "ipi": "in an interrupt sent by another CPU",
    "rcu": "under rcu_read_lock()",
    "rcu_sched": "under rcu_read_lock_sched()",
    "mutex": "a mutex is held",
    "rwlock_r": "an rwlock is held for reading",
    "raw_try": "a raw spinlock is held that was only tried",
    "spin_raw": "a spinlock is held, and a raw one under it",
    "nmi": "in an NMI",
    "zone_lock": "zone->lock itself is held",
}

#: Why a request that nothing reports may still be wrong.
UNSAFE = "an NMI may have interrupted who changes a list or holds a lock"

#: The states of this CPU's lists.
LISTS = {"dry": "list empty", "warm": "list filled"}


def spoken(name: str) -> str:
    """Return what a row is called; a row of the reader's own by its own name."""
    return SPOKEN.get(name, name)

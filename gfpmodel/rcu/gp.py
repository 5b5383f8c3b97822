"""Asking for a grace period, and for what comes after a time."""

from __future__ import annotations

from typing import Any

from gfpmodel.mm.jit import inlined
from gfpmodel.rcu import state as st
from gfpmodel.rcu.state import Words


@inlined
def rcu_seq_snap(seq: int) -> Any:
    """Return the sequence number at which a full grace period from now will have ended.

    Models: kernel/rcu/rcu.h:rcu_seq_snap (v5.8); the low two bits say that a grace period runs.
    """
    return (seq + 7) & ~3


@inlined
def wake(krc: Words, at: int) -> None:
    """Say that something will happen at a time; a recorded log says itself when things happen."""
    if at < krc[st.NEXT_EVENT] and not krc[st.RECORDED]:
        krc[st.NEXT_EVENT] = at


@inlined
def want_grace_period(krc: Words) -> Any:
    """Ask for a full grace period from now; returns the sequence number at its end."""
    snap = rcu_seq_snap(krc[st.GP_SEQ])
    krc[st.GP_NEEDED] = max(krc[st.GP_NEEDED], snap)
    wake(krc, krc[st.NOW])
    return snap


@inlined
def hurry(krc: Words, k: int) -> None:
    """End the grace period soon if a cpu has too many callbacks.

    Models: kernel/rcu/tree.c:__call_rcu_core (v5.8) above qhimark, as a shorter grace period.
    """
    soon = krc[st.NOW] + krc[st.GP_EXPEDITED_NS]
    if krc[k + st.CALLBACKS] > krc[st.QHIMARK] and soon < krc[st.GP_END] < st.NEVER:
        krc[st.GP_END] = soon
        wake(krc, soon)

"""kfree_rcu(): the per-cpu block chain of each kernel, on pages of the model's allocator, with a clock."""

from gfpmodel.rcu.kfree_rcu import KfreeRcu
from gfpmodel.rcu.snapshot import Block, Counters, Krc, RcuEvent
from gfpmodel.rcu.timing import Timing
from gfpmodel.rcu.versions import VERSIONS, Version, version

__all__ = ["VERSIONS", "Block", "Counters", "KfreeRcu", "Krc", "RcuEvent", "Timing", "Version", "version"]

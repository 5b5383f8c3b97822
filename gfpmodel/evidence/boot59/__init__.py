"""Event logs of booted kernels' kfree_rcu(): read, and replayed on the model."""

from gfpmodel.evidence.boot59.log import is_boot59, kernel_of, read_log
from gfpmodel.evidence.boot59.replay import Replay, verify

__all__ = ["Replay", "is_boot59", "kernel_of", "read_log", "verify"]

"""How long things take, where no recording says it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gfpmodel.errors import InputError
from gfpmodel.mm import gates

NS_PER_S = 1_000_000_000
MAX_DELAY = 3600 * NS_PER_S  #: of what happens once, so that no sum of times passes NEVER


@dataclass(frozen=True)
class Timing:
    """How long things take: assumptions of the model, to be varied.

    ``gp_ns`` a grace period, ``gp_expedited_ns`` one while a cpu has more than ``qhimark`` callbacks, ``free_ns`` the
    freeing of an object, ``fill_delay_ns`` from a miss to the fill work, ``backoff_ns`` the same after the shrinker
    (rcu_delay_page_cache_fill_msec); ``hz`` timer ticks a second, which decide what HZ/50 is.
    None is longer than an hour.  Raises InputError.
    """

    gp_ns: int = 20_000_000
    gp_expedited_ns: int = 5_000_000
    qhimark: int = 10_000
    free_ns: int = 50
    fill_delay_ns: int = 50_000
    backoff_ns: int = 5 * NS_PER_S
    hz: int = 250

    def __post_init__(self) -> None:
        times = {field.name: (0, MAX_DELAY) for field in fields(self) if field.name.endswith("_ns")}
        gates.settle(self, InputError, **times, qhimark=(0, 1 << 60), hz=(50, 10_000))

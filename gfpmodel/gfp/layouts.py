"""The gfp bit layouts of named kernels: a mask means nothing without one.

The tables were printed by the kernels' own headers (ORIGIN.md); nothing here is typed in by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from gfpmodel.errors import InputError, unknown
from gfpmodel.gfp.releases import release, table_version
from gfpmodel.gfp.tables import aliases, kernels, tables

__all__ = ["Layout", "aliases", "kernels", "layout", "release", "served", "tables", "variants"]

DEFAULT_KERNEL = "v5.8-rc3"

#: The kernels that pages set side by side: the RFC's, long-term ones, and the releases since then that moved a bit.
MILESTONES = (
    *("v4.4", "v4.19", "v5.4", "v5.8-rc3", "v5.8-rc3+FAST_TRY", "v5.10", "v5.15"),
    *("v6.1", "v6.6", "v6.12", "v6.18", "v7.0", "v7.3"),
)

#: A radix tree keeps 3 tags above the gfp bits of one 32-bit word, so the shift may be 29 at most.
#: Models: lib/radix-tree.c:radix_tree_init (BUILD_BUG_ON, v4.19 and later).
GFP_T_BITS = 32
RADIX_TREE_MAX_TAGS = 3
MAX_BITS_SHIFT = GFP_T_BITS - RADIX_TREE_MAX_TAGS
CHECKED_SINCE = (4, 19)  #: v4.4 has the tags, but no BUILD_BUG_ON; what is between was not read


@dataclass(frozen=True, repr=False)
class Layout:
    """The gfp bits of one kernel built with one configuration.

    ``bits`` maps each flag that this configuration compiles in (``__GFP_DMA``) to its value, in header order;
    ``composites`` holds ``GFP_KERNEL`` and its like and the masks of mm/internal.h; ``trace_table`` and
    ``perf_table`` are the rows of the trace header and of perf kmem, in their order.
    """

    kernel: str
    config: Mapping[str, bool]
    shift: int
    bits: Mapping[str, int]
    composites: Mapping[str, int]
    trace_table: tuple[tuple[str, int], ...]
    perf_table: tuple[tuple[str, str], ...]
    compiled_out: tuple[str, ...] = ()
    source: str = field(default="", compare=False)
    state: str = field(default="", compare=False)  #: what it is where it is no release
    version: tuple[int, int] = field(default=(0, 0), compare=False)  #: of the release that was asked for

    def __str__(self) -> str:
        return " ".join([self.kernel, config_text(self.config)]).strip()

    def __repr__(self) -> str:
        return f"<Layout {self}>"

    @property
    def bits_mask(self) -> int:
        """Return ``__GFP_BITS_MASK``."""
        return (1 << self.shift) - 1

    @property
    def highest_bit(self) -> int:
        """Return the number of the highest bit in use."""
        return max(value.bit_length() for value in self.bits.values()) - 1

    @property
    def defined(self) -> int:
        """Return the mask of all flags that this configuration compiles in."""
        return sum(self.bits.values())

    @property
    def holes(self) -> tuple[int, ...]:
        """Return the bit numbers below the shift that no flag uses."""
        return unused_bits(self.bits, self.shift)

    @property
    def bits_left(self) -> int:
        """Return how far the shift may still grow before a radix tree's tags leave the 32-bit word."""
        return MAX_BITS_SHIFT - self.shift

    @property
    def checks_shift(self) -> bool:
        """Return whether a shift that leaves no room for the tags is known to stop the build."""
        return self.version >= CHECKED_SINCE

    @property
    def plain_names(self) -> bool:
        """Return whether traces print ``GFP_ZERO`` for ``__GFP_ZERO``, as gfpflags.h had it up to v4.5."""
        return not any(name.startswith("__GFP_") for name, _ in self.trace_table)

    def flag_at(self, bit: int) -> str | None:
        """Return the flag that has bit number ``bit``, or None."""
        return next((name for name, value in self.bits.items() if value >> bit & 1), None)


def unused_bits(bits: Mapping[str, int], shift: int) -> tuple[int, ...]:
    """Return the bit numbers below a shift that no flag of ``bits`` uses."""
    used = 0
    for value in bits.values():
        used |= value
    return tuple(bit for bit in range(shift) if not used >> bit & 1)


def config_text(config: Mapping[str, bool]) -> str:
    """Return a configuration as ``LOCKDEP=n KASAN_HW_TAGS=y``."""
    return " ".join(f"{name}={'y' if on else 'n'}" for name, on in config.items())


def parse_config(options: tuple[str, ...] | list[str]) -> dict[str, bool]:
    """Parse ``LOCKDEP``, ``LOCKDEP=y`` or ``CONFIG_LOCKDEP=n`` into a mapping; the last one of a name wins.

    Raises InputError for anything else.
    """
    config = {}
    for option in options:
        name, _, value = option.partition("=")
        if value not in ("", "y", "n") or not name or option.endswith("="):
            raise InputError(f"bad config {option!r}; expected NAME, NAME=y or NAME=n")
        config[name.removeprefix("CONFIG_")] = value != "n"
    return config


def served() -> dict[str, list[str]]:
    """Return the other releases that each table stands for."""
    return {name: [alias for alias, table in aliases().items() if table == name] for name in kernels()}


def kernel_name(name: str) -> str:
    """Return the full name of the table of a kernel given by name, alias or release; raises InputError."""
    return release(name).table


def config_names(kernel: str) -> tuple[str, ...]:
    """Return the configuration options that change the layout of a kernel."""
    return tuple(tables()["kernels"][kernel_name(kernel)]["configs"][0])


def layout(kernel: str = DEFAULT_KERNEL, config: Mapping[str, bool] | None = None) -> Layout:
    """Return the layout of a kernel in one configuration; options that are not given are n.

    Arguments: a name of ``kernels()``, an alias, or any release (``6.8.0-31-generic``); option names without
    ``CONFIG_``.
    Raises InputError for a kernel or an option that the tables do not have.
    """
    name = kernel_name(kernel)
    known = config_names(name)
    wanted = dict.fromkeys(known, False)
    for option, on in (config or {}).items():
        if option not in wanted:
            raise unknown("config", option, known, f" of {name} (it knows {', '.join(known) or 'none'})")
        wanted[option] = on
    it = _layout(name, tuple(wanted.items()))
    version = release(kernel).version
    return it if it.version == version else replace(it, version=version)


def variants(kernel: str) -> Iterator[Layout]:
    """Yield the layout of every configuration of a kernel, everything off first."""
    for config in tables()["kernels"][kernel_name(kernel)]["configs"]:
        yield layout(kernel, config)


@cache
def _layout(kernel: str, config: tuple[tuple[str, bool], ...]) -> Layout:
    table = tables()["kernels"][kernel]
    index = table["configs"].index(dict(config))

    def at(value: Any) -> Any:
        return value[index] if isinstance(value, list) else value

    def row(columns: dict[str, Any]) -> dict[str, int]:
        return {name: at(value) for name, value in columns.items() if at(value) is not None}

    bits = row(table["bits"])
    return Layout(
        kernel=kernel,
        config=dict(config),
        shift=at(table["shift"]),
        bits=bits,
        composites=row(table["composites"]),
        trace_table=tuple((name, at(mask)) for name, mask in table["trace"] if at(mask) is not None),
        perf_table=tuple((name, code) for name, code in table["perf"]),
        compiled_out=tuple(name for name in table["bits"] if name not in bits),
        source=table["source"],
        state=table.get("state", ""),
        version=table_version(kernel),
    )

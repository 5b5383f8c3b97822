"""The commands that record a trace which `replay` can read, for three tools; they are printed, never run."""

from __future__ import annotations

import shlex

from gfpmodel.io.ftrace.scan import EVENTS

TRACING = "/sys/kernel/tracing"


def commands(tool: str, seconds: int, buffer_kib: int, out: str) -> list[str]:
    """Return the commands for a root shell.

    Arguments: tracefs, trace-cmd or perf; how long; the buffer of each CPU in KiB; the file for the text.
    """
    make = {"tracefs": tracefs, "trace-cmd": trace_cmd, "perf": perf}[tool]
    file = shlex.quote(out)
    after = [
        f"cat /proc/zoneinfo > {shlex.quote(out + '.zoneinfo')}",
        f"python -m gfpmodel replay {file} --zoneinfo {shlex.quote(out + '.zoneinfo')}",
    ]
    return [*make(seconds, buffer_kib, file), *after]


def tracefs(seconds: int, buffer_kib: int, file: str) -> list[str]:
    """Return the commands that need no tool: files of tracefs only."""
    events = [f"echo 1 > events/kmem/{event}/enable" for event in EVENTS]
    return [
        f"mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}",
        f"pushd {TRACING}",
        "echo 0 > tracing_on; echo nop > current_tracer; echo > set_event; echo > trace",
        "echo 0 > options/overwrite                # when a buffer is full, keep what came first",
        "echo mono > trace_clock",
        f"echo {buffer_kib} > buffer_size_kb",
        *events,
        f"echo 1 > tracing_on; sleep {seconds}; echo 0 > tracing_on",
        "grep -H . per_cpu/cpu*/stats | grep -E 'entries|overrun|dropped'   # was anything lost?",
        "echo 0 > events/kmem/enable",
        "popd",
        f"cat {TRACING}/trace > {file}",
        f"cd {TRACING} && echo > trace && echo 1 > options/overwrite && echo local > trace_clock && "
        "echo 1408 > buffer_size_kb && cd -       # as the kernel had it",
    ]


def trace_cmd(seconds: int, buffer_kib: int, file: str) -> list[str]:
    """Return the commands for trace-cmd."""
    events = " ".join(f"-e kmem:{event}" for event in EVENTS)
    return [
        f"trace-cmd record -C mono -b {buffer_kib} -o {file}.dat {events} sleep {seconds}",
        f"trace-cmd report -i {file}.dat > {file}",
    ]


def perf(seconds: int, buffer_kib: int, file: str) -> list[str]:
    """Return the commands for perf."""
    events = " ".join(f"-e kmem:{event}" for event in EVENTS)
    pages = 1 << max(buffer_kib // 4, 1).bit_length() - 1  # perf wants a power of two
    return [
        f"perf record -a -k CLOCK_MONOTONIC -m {pages} -o {file}.data {events} -- sleep {seconds}",
        f"perf script -i {file}.data --ns -F comm,tid,cpu,time,event,trace > {file}",
    ]

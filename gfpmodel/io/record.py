"""The commands that record a trace which `replay` can read, for three tools; they are printed, never run.

They are for any shell: busybox's and dash have no pushd.  Paths are whole, so that a command that fails leaves nothing
behind in the folder it is run in.
"""

from __future__ import annotations

import shlex

from gfpmodel.io.ftrace.state import EVENTS

TRACING = "/sys/kernel/tracing"


def commands(tool: str, seconds: int, buffer_kib: int, out: str) -> list[str]:
    """Return the commands for a root shell.

    Arguments: tracefs, trace-cmd or perf; how long; the buffer of each CPU in KiB; the file for the text.  The zones
    are read before the tracing begins: that is the state in which a replay starts.  The kernel's name goes into the
    text, because one name may be two masks in two kernels.
    """
    make = {"tracefs": tracefs, "trace-cmd": trace_cmd, "perf": perf}[tool]
    file, zoneinfo = shlex.quote(out), shlex.quote(out + ".zoneinfo")
    return [
        f"cat /proc/zoneinfo > {zoneinfo}",
        f'echo "# kernel: $(uname -r)" > {file}',
        *make(seconds, buffer_kib, out),
        f"python -m gfpmodel replay {file} --zoneinfo {zoneinfo}",
    ]


def tracefs(seconds: int, buffer_kib: int, out: str) -> list[str]:
    """Return the commands that need no tool: files of tracefs only.  What was lost is written behind the trace."""
    file = shlex.quote(out)
    return [
        f"mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}",
        f"echo 0 > {TRACING}/tracing_on; echo nop > {TRACING}/current_tracer; echo > {TRACING}/set_event",
        f"echo > {TRACING}/trace; echo mono > {TRACING}/trace_clock",
        f"echo 0 > {TRACING}/options/overwrite     # when a buffer is full, keep what came first",
        f"echo {buffer_kib} > {TRACING}/buffer_size_kb",
        *(f"echo 1 > {TRACING}/events/kmem/{event}/enable" for event in EVENTS),
        f"echo 1 > {TRACING}/tracing_on; sleep {seconds}; echo 0 > {TRACING}/tracing_on",
        f"echo 0 > {TRACING}/events/kmem/enable",
        f"cat {TRACING}/trace >> {file}",
        f"grep -H . {TRACING}/per_cpu/cpu*/stats | sed 's|^{TRACING}/|# |' >> {file}     # was anything lost?",
        f"echo > {TRACING}/trace; echo 1 > {TRACING}/options/overwrite     # as the kernel had it",
        f"echo local > {TRACING}/trace_clock; echo 1408 > {TRACING}/buffer_size_kb",
    ]


def trace_cmd(seconds: int, buffer_kib: int, out: str) -> list[str]:
    """Return the commands for trace-cmd."""
    events = " ".join(f"-e kmem:{event}" for event in EVENTS)
    data = shlex.quote(out + ".dat")
    return [
        f"trace-cmd record -C mono -b {buffer_kib} -o {data} {events} sleep {seconds}",
        f"trace-cmd report -i {data} >> {shlex.quote(out)}",
    ]


def perf(seconds: int, buffer_kib: int, out: str) -> list[str]:
    """Return the commands for perf, which says what it lost only when it is asked."""
    events = " ".join(f"-e kmem:{event}" for event in EVENTS)
    pages = 1 << max(buffer_kib // 4, 1).bit_length() - 1  # perf wants a power of two
    data = shlex.quote(out + ".data")
    return [
        f"echo '# perf script --show-lost-events' >> {shlex.quote(out)}",
        f"perf record -a -k CLOCK_MONOTONIC -m {pages} -o {data} {events} -- sleep {seconds}",
        f"perf script --show-lost-events -i {data} --ns -F comm,tid,cpu,time,event,trace >> {shlex.quote(out)}",
    ]

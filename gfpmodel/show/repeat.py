"""The line below a frame that gives the frame again: a reviewer copies it into a mail, a shell or a notebook.

A line is either a command (``python -m gfpmodel ...``) or Python whose last line is the picture.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gfpmodel.gfp.layouts import Layout
from gfpmodel.locking import Kernel, make_kernel
from gfpmodel.show.stacks import Ask

COMMAND = "python -m gfpmodel"


def python(result: str, **names: str) -> str:
    """Return Python that imports names, each from its module, and ends with ``result``."""
    return "\n".join([*(f"from {module} import {name}" for name, module in names.items()), result])


def layout_source(layout: Layout) -> str:
    """Return the call that gives a layout."""
    on = {name: True for name, value in layout.config.items() if value}
    return f'layout("{layout.kernel}"{f", {on}" if on else ""})'


def word_line(layout: Layout) -> str:
    """Return what draws the word of a layout."""
    return python(f"word({layout_source(layout)})", layout="gfpmodel.gfp", word="gfpmodel.show.pictures")


def shift_line(flag: str, layout: Layout, shift: int) -> str:
    """Return what draws the story of a flag in a layout whose shift was changed."""
    story = f'shift_story("{flag}", with_shift({layout_source(layout)}, {shift}))'
    return python(
        story, layout="gfpmodel.gfp", with_shift="gfpmodel.gfp.shift_users", shift_story="gfpmodel.show.pictures"
    )


def steps_line(ops: str, proposal: str | None, at: int, zone: int) -> str:
    """Return what draws the step ``at`` of an operation string on the small machine."""
    machine = f'small_machine(proposal("{proposal}"))' if proposal else "small_machine()"
    row = {"proposal": "gfpmodel.proposals"} if proposal else {}
    return python(
        f'frames({machine}, "{ops}", zone={zone})[{at}]',
        small_machine="gfpmodel.mm.exercises",
        **row,
        frames="gfpmodel.show.stepper",
    )


def chain_line(proposal: str, objects: int, at: int) -> str:
    """Return what draws the event ``at`` of objects that are queued on the drawn machine."""
    return python(
        f'frames(drawn_machine(proposal("{proposal}")), {objects})[{at}]',
        proposal="gfpmodel.proposals",
        drawn_machine="gfpmodel.show.chain",
        frames="gfpmodel.show.chain",
    )


def options_of(kernel: Kernel) -> list[str]:
    """Return the options that make this kernel of its name, as few as will do."""
    plain = dict(make_kernel(kernel.name).config)
    chosen = {name: on for name, on in kernel.config if plain.get(name) != on}
    for name in list(chosen):  # what follows from another option need not be said
        fewer = {other: on for other, on in chosen.items() if other != name}
        if make_kernel(kernel.name, fewer).config == kernel.config:
            chosen = fewer
    return [name if on else f"{name}=n" for name, on in chosen.items()]


def verdict_line(ask: Ask, where: str, kernel: Kernel, contended: bool = False) -> str:
    """Return the command that asks for a verdict."""
    what = f"--proposal {ask.row}" if ask.row else f"--gfp {shlex.quote(ask.gfp or 'none')}"
    order = f" --order {ask.order}" if ask.order else ""
    place = f" --context {shlex.quote(where)} --pcp {ask.pcp}{' --contended' * contended}"
    options = "".join(f" --config {option}" for option in options_of(kernel))
    return f"{COMMAND} verdict {what}{order}{place} --kernel {kernel.name}{options}"


def experiment_line(name: str, settings: Mapping[str, Any], seeds: int) -> str:
    """Return the command that runs one point of an experiment; a value that is the default is not said."""
    from gfpmodel.sim.experiments import EXPERIMENTS  # a page in a browser draws without the simulator

    defaults = asdict(EXPERIMENTS[name].parameters())
    said = {key: value for key, value in settings.items() if value != defaults[key]}
    words = "".join(f" --set {key}={shlex.quote(setting(value))}" for key, value in said.items())
    return f"{COMMAND} experiment {name}{words} --seeds {seeds}"


def setting(value: Any) -> str:
    """Return a parameter's value as the command line takes it."""
    if isinstance(value, bool):
        return "yn"[not value]
    return f"{value:g}" if isinstance(value, float) and value == float(f"{value:g}") else str(value)

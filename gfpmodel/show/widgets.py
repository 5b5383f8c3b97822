"""Widgets for the chapters.  Every one works without a kernel: its frames are made ahead and linked in the browser.

Where a kernel is running, a text box is added for input of one's own; the built page hides it (class gfp-live-only).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import MILESTONES, Layout, config_text, variants
from gfpmodel.gfp.names import encode
from gfpmodel.gfp.shift_users import with_shift
from gfpmodel.locking import Kernel
from gfpmodel.mm import Rule
from gfpmodel.mm.exercises import small_machine
from gfpmodel.mm.state import ZONE_NORMAL
from gfpmodel.show import chain
from gfpmodel.show.measured import own_parameters, worded
from gfpmodel.show.pictures import Picture, reading, shift_story, style, to_repeat, word
from gfpmodel.show.repeat import chain_line, experiment_line, setting, shift_line, steps_line, verdict_line, word_line
from gfpmodel.show.stacks import Ask, nested
from gfpmodel.show.stepper import frames
from gfpmodel.sim import Sweep, experiment

FULL = W.Layout(width="98%", max_width="46rem")
LABEL = {"description_width": "5rem"}
MAX_STEPS = 60


def pane(picture: Picture, line: str = "") -> W.HTML:
    """Return one frame, with the line that gives it again."""
    return W.HTML((picture + to_repeat(line) if line else picture).html, layout=W.Layout(width="100%"))


def choice(label: str, options: Iterable[str], index: int = 0) -> W.Dropdown:
    """Return a labelled drop-down list that opens on option ``index``."""
    return W.Dropdown(options=list(options), index=index, description=label, layout=FULL, style=LABEL)


def linked(
    control: W.Dropdown | W.SelectionSlider, frames: Sequence[W.Widget], layout: W.Layout | None = None
) -> W.Stack:
    """Return the frames as a stack that follows a control's index in the browser, without a kernel."""
    stack = W.Stack(list(frames), selected_index=control.index, layout=layout or W.Layout())
    W.jslink((control, "index"), (stack, "selected_index"))
    return stack


def every_frame(
    controls: Sequence[W.Dropdown | W.SelectionSlider],
    values: Sequence[Sequence[Any]],
    frame: Callable[..., W.Widget],
    layout: W.Layout | None = None,
) -> W.Widget:
    """Return the frames of all choices, nested control by control, so that each follows its control.

    Arguments: the controls; of each, the values that its options stand for; what makes the frame of one value of
    each; the stacks' layout.
    """
    if not controls:
        return frame()
    rest = (controls[1:], values[1:])
    inner = [every_frame(*rest, partial(frame, value), layout) for value in values[0]]
    return linked(controls[0], inner, layout)


def live_only(*children: W.Widget) -> W.VBox:
    """Return a box of what needs a kernel; the built page hides it."""
    box = W.VBox(list(children))
    box.add_class("gfp-live-only")
    return box


def layout_browser(kernel: str) -> W.VBox:
    """Return a browser of the gfp word of every milestone in every configuration, opening on ``kernel``."""
    names = MILESTONES
    boxes = []
    for name in names:
        layouts = list(variants(name))
        config = choice("config", [config_text(v.config) or "no option changes it" for v in layouts])
        boxes.append(W.VBox([config, linked(config, [pane(word(v), word_line(v)) for v in layouts])]))
    control = choice("kernel", names, names.index(kernel))
    return W.VBox([W.HTML(style()), control, linked(control, boxes)])


def mask_reader(masks: Mapping[str, int], layouts: Sequence[Layout]) -> W.VBox:
    """Return a reader of masks under layouts.

    Arguments: the masks by label; the layouts to read them under.  With a kernel, any other mask can be typed in.
    """
    which = choice("mask", masks)
    boxes = [linked(which, [pane(reading(mask, v)) for mask in masks.values()]) for v in layouts]
    under = choice("under", [str(v) for v in layouts])
    return W.VBox([W.HTML(style()), which, under, linked(under, boxes), typed_mask(layouts, under)])


def typed_mask(layouts: Sequence[Layout], under: W.Dropdown) -> W.VBox:
    """Return a box for a mask of one's own (number or names), read under the layout that ``under`` has chosen."""
    box = W.Text(description="your own", placeholder="0x2800 or GFP_NOWAIT|__GFP_NOWARN", layout=FULL, style=LABEL)
    shown = W.HTML()

    def update(_: object) -> None:
        layout = layouts[under.index]
        try:
            shown.value = reading(encode(box.value, layout), layout).html if box.value.strip() else ""
        except InputError as error:
            shown.value = f'<p role="alert">{escape(str(error))}</p>'

    box.observe(update, "value")
    under.observe(update, "index")
    return live_only(box, shown)


def shift_slider(flag: str, layouts: Sequence[Layout], shifts: range) -> W.VBox:
    """Return a slider over ``__GFP_BITS_SHIFT`` that shows what becomes of a flag, for each of some layouts."""
    slider = W.SelectionSlider(
        options=[str(shift) for shift in shifts],
        value=str(layouts[0].shift),
        description="shift",
        layout=FULL,
        style=LABEL,
    )

    def frame(layout: Layout, shift: int) -> W.HTML:
        return pane(shift_story(flag, with_shift(layout, shift)), shift_line(flag, layout, shift))

    boxes = [linked(slider, [frame(v, shift) for shift in shifts]) for v in layouts]
    under = choice("config", [config_text(v.config) for v in layouts])
    return W.VBox([W.HTML(style()), under, slider, linked(under, boxes)])


def player() -> tuple[W.Play, W.IntSlider, W.Stack, W.HBox]:
    """Return the parts of a player: its button, its slider, a stack that follows them, and the two in a line."""
    line = W.Layout(width="auto", flex="1 1 14rem")
    slider = W.IntSlider(description="step", layout=line, style={"description_width": "initial"})
    play = W.Play(interval=1500, show_repeat=False)
    stack = W.Stack()
    W.jslink((play, "value"), (slider, "value"))
    W.jslink((slider, "value"), (stack, "selected_index"))
    controls = W.HBox([play, slider], layout=W.Layout(flex_flow="row wrap", width="98%", max_width="46rem"))
    return play, slider, stack, controls


def chain_stepper(row: Rule, objects: int) -> W.VBox:
    """Return a player of objects that are queued on a chain one by one, until the last of them is freed.

    Arguments: the proposal whose way of asking gets the blocks; how many objects.
    """
    play, slider, stack, controls = player()
    drawn = enumerate(chain.frames(chain.drawn_machine(row), objects))
    stack.children = [pane(frame, chain_line(row.name, objects, at)) for at, frame in drawn]
    stack.selected_index = 0
    slider.max = play.max = len(stack.children) - 1
    return W.VBox([W.HTML(style()), controls, stack])


def stepper(text: str, row: Rule | None = None) -> W.VBox:
    """Return a player of an operation string on the small machine: play, scrub, by mouse or arrow keys.

    Arguments: the string; the proposal that its flagged requests follow.  With a kernel, another string can be typed
    in.
    """
    play, slider, stack, controls = player()

    def fill(text: str) -> None:
        drawn = frames(small_machine(row), text, ZONE_NORMAL)
        old = stack.children
        slider.value, stack.selected_index = 0, None
        name = row.name if row else None
        stack.children = [pane(frame, steps_line(text, name, at, ZONE_NORMAL)) for at, frame in enumerate(drawn)]
        stack.selected_index = 0
        for frame in old:
            frame.close()
        slider.max = play.max = len(drawn) - 1

    fill(text)
    return W.VBox([W.HTML(style()), controls, stack, typed_ops(text, fill)])


def typed_ops(text: str, fill: Callable[[str], None]) -> W.VBox:
    """Return a box for an operation string of one's own, handed to ``fill`` when it is left or Enter is pressed."""
    box = W.Text(value=text, description="your own", continuous_update=False, layout=FULL, style=LABEL)
    fault = W.HTML()

    def update(change: Mapping[str, str]) -> None:
        try:
            if len(change["new"].split()) > MAX_STEPS:
                raise InputError(f"{len(change['new'].split())} operations; expected at most {MAX_STEPS}")
            fill(change["new"])
            fault.value = ""
        except InputError as error:
            fault.value = f'<p role="alert">{escape(str(error))}</p>'

    box.observe(update, "value")
    return live_only(box, fault)


def nesting(
    kernels: Mapping[str, tuple[Kernel, bool]],
    requests: Mapping[str, Ask],
    places: Mapping[str, str],
    locks: Mapping[str, str],
    start: Sequence[int] = (0, 0, 0, 0),
) -> W.VBox:
    """Return a builder of lock stacks that shows what a request under one takes, and what the kernel prints.

    Arguments, each by its label: kernels, with whether their locks are contended; requests; what the stack begins
    with; what is held on top of it (both as texts for ``context``, or empty); the options to open on.  With a
    kernel, a stack of one's own can be typed in.
    """
    titles = ("kernel", "request", "stack", "and held")
    menus = (kernels, requests, places, locks)
    kernel, request, *stack = (choice(*menu) for menu in zip(titles, menus, start, strict=True))
    controls = (kernel, request, *stack)
    frames: dict[str, W.HTML] = {}

    def draw(text: str, named: str, asked: str) -> str:
        try:
            shown = nested(requests[asked](text, *kernels[named]), f"{text}: {asked}")
            return (shown + to_repeat(verdict_line(requests[asked], text, *kernels[named]))).html
        except InputError as error:
            return f'<p role="alert">{escape(text)}: {escape(str(error))}</p>'

    def frame(*chosen: str) -> W.HTML:
        html = draw(">".join(filter(None, (places[chosen[2]], locks[chosen[3]]))) or "task", *chosen[:2])
        if html not in frames:
            frames[html] = W.HTML(html, layout=shown.layout, style=shown.style)
        return frames[html]

    box = W.Text(description="your own", placeholder="mutex>hardirq>raw:krc.lock", layout=FULL, style=LABEL)
    shown = W.HTML(layout=W.Layout(width="100%"))

    def update(_: object) -> None:
        text = box.value.strip()
        shown.value = draw(text, kernel.value, request.value) if text else ""

    for control, trait in ((box, "value"), (kernel, "index"), (request, "index")):
        control.observe(update, trait)
    every = every_frame(controls, [control.options for control in controls], frame, shown.layout)
    return W.VBox([W.HTML(style()), *controls, every, live_only(box, shown)])


def explorer(
    name: str,
    menus: Mapping[str, tuple[str, Sequence[Any]]],
    draw: Callable[[Any], Picture],
    *,
    start: Sequence[int] = (),
    seeds: int = 1,
) -> W.VBox:
    """Return menus over the parameters of an experiment, and the picture of each choice, drawn ahead.

    Arguments: the experiment; by the title of each menu, the parameter and its values; what draws parameters; the
    options to open on, if not the first; how many seeds a picture shows.  With a kernel, other settings can be typed
    in.
    """
    keys, grid = zip(*menus.values(), strict=True)
    opens = start or [0] * len(menus)
    controls = [
        (choice if len(values) == 2 else scrubber)(title, map(worded, values), index)
        for title, values, index in zip(menus, grid, opens, strict=True)
    ]

    def drawn(parameters: Any) -> Picture:
        return draw(parameters) + to_repeat(experiment_line(name, asdict(parameters), seeds))

    def frame(*chosen: Any) -> W.Widget:
        return pane(drawn(experiment(name).parameters(**dict(zip(keys, chosen, strict=True)))))

    example = " ".join(f"{key}={setting(values[at])}" for key, values, at in zip(keys, grid, opens, strict=True))
    box = W.Text(description="your own", placeholder=example, continuous_update=False, layout=FULL, style=LABEL)
    shown = W.HTML(layout=W.Layout(width="100%"))

    def update(change: Mapping[str, str]) -> None:
        try:
            shown.value = drawn(own_parameters(name, change["new"])).html if change["new"].strip() else ""
        except InputError as error:
            shown.value = f'<p role="alert">{escape(str(error))}</p>'

    box.observe(update, "value")
    frames = every_frame(controls, grid, frame)
    return W.VBox([W.HTML(style()), *controls, frames, live_only(box, shown)])


def scrubber(label: str, options: Iterable[object], index: int = 0) -> W.SelectionSlider:
    """Return a labelled slider over options, opening on option ``index``."""
    shown = [str(option) for option in options]
    return W.SelectionSlider(options=shown, index=index, description=label, layout=FULL, style=LABEL)


def grid_explorer(
    sweep: Sweep,
    titles: Mapping[str, str],
    draw: Callable[..., Picture],
    live: Mapping[str, Sequence[int]],
    run: Callable[..., tuple[Any, Picture]],
) -> W.VBox:
    """Return sliders over a sweep that was computed ahead, and others that run the model.

    Arguments: the sweep; the titles of the parameters to choose, in order; what draws the frame of one value of
    each; with a kernel, the values of further sliders by the names of ``run``'s arguments; what runs the model on
    them, and returns the parameters it made of them and the picture.
    """
    controls = [scrubber(title, sweep.grid[key]) for key, title in titles.items()]
    fixed = {key: values[0] for key, values in sweep.grid.items() if key not in titles}

    def frame(*chosen: Any) -> W.Widget:
        settings = dict(zip(titles, chosen, strict=True)) | fixed
        return pane(draw(*chosen), experiment_line(sweep.name, settings, sweep.seeds))

    def once(**chosen: int) -> Picture:
        parameters, shown = run(**chosen)
        return shown + to_repeat(experiment_line(sweep.name, asdict(parameters), seeds=1))

    frames = every_frame(controls, [sweep.grid[key] for key in titles], frame)
    return W.VBox([W.HTML(style()), *controls, frames, live_sliders(live, once)])


def live_sliders(values: Mapping[str, Sequence[int]], run: Callable[..., Picture]) -> W.VBox:
    """Return sliders that run the model at every move; the built page hides them."""
    sliders = {name: scrubber(name.replace("_", " "), options) for name, options in values.items()}
    shown = W.HTML(layout=W.Layout(width="100%"))

    def update(_: object) -> None:
        chosen = {name: values[name][slider.index] for name, slider in sliders.items()}
        shown.value = run(**chosen).html

    for slider in sliders.values():
        slider.observe(update, "index")
    update(None)
    return live_only(W.HTML("<p>Run the model, one seed at a time:</p>"), *sliders.values(), shown)

"""Widgets for the chapters.  Every one works without a kernel: its frames are made ahead and linked in the browser.

Below them stands a box for input of one's own (class gfp-live-only).  Where a kernel runs, it answers; the built page
hides it until the reader wakes the model there, and then asks for the same pictures with the same arguments
(`live`, and book/assets/live.js).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import MILESTONES, Layout, config_text, variants
from gfpmodel.gfp.shift_users import with_shift
from gfpmodel.locking import Kernel
from gfpmodel.mm import Rule
from gfpmodel.show import live
from gfpmodel.show.measured import own_parameters, worded
from gfpmodel.show.pictures import Picture, reading, shift_story, style, to_repeat, word
from gfpmodel.show.repeat import experiment_line, setting, shift_line, word_line
from gfpmodel.show.stacks import Ask
from gfpmodel.sim import Sweep, experiment

FULL = W.Layout(width="98%", max_width="46rem")
LABEL = {"description_width": "5rem"}


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


def fault(text: str) -> str:
    """Return a line that says what is wrong."""
    return f'<p role="alert">{escape(text)}</p>' if text else ""


def own(
    picture: str,
    controls: Mapping[str, W.Widget],
    menus: Mapping[str, tuple[W.Widget, Sequence[Any]]] | None = None,
    **fixed: Any,
) -> W.VBox:
    """Return a box whose controls ask for a picture of `live`; a fault leaves the last picture as it was.

    Arguments: the picture's name; the box's own controls, by the argument that each gives; menus of the widget around
    it, with what their options stand for; arguments that are fixed.  While a text is empty nothing is asked.
    """
    menus = menus or {}
    for name, control in (*controls.items(), *((name, menu) for name, (menu, _) in menus.items())):
        control.add_class(f"gfp-arg-{name}")
    values = {**dict.fromkeys(controls), **{name: values for name, (_, values) in menus.items()}}
    asks = json.dumps({"picture": picture, "fixed": fixed, "values": values})
    wrong, shown = W.HTML(), W.HTML(layout=W.Layout(width="100%"))
    wrong.add_class("gfp-fault")
    shown.add_class("gfp-shown")

    def update(_: object) -> None:
        given = {name: control.value for name, control in controls.items()}
        if any(isinstance(value, str) and not value.strip() for value in given.values()):
            wrong.value = shown.value = ""
            return
        chosen = {name: values[menu.index] for name, (menu, values) in menus.items()}
        found = live.answer(picture, {**fixed, **given, **chosen})
        wrong.value = fault(found.get("fault", ""))
        shown.value = found.get("html", shown.value)

    for control in controls.values():
        control.observe(update, "value")
    for menu, _ in menus.values():
        menu.observe(update, "index")
    described = W.HTML(f'<span class="gfp-ask" data-ask="{escape(asks)}"></span>')
    return live_only(*controls.values(), described, wrong, shown)


def typed(example: str, label: str = "your own") -> W.Text:
    """Return a text box, empty but for an example of what can be typed."""
    return W.Text(description=label, placeholder=example, continuous_update=False, layout=FULL, style=LABEL)


def stepped(last: int) -> W.IntSlider:
    """Return a slider over steps."""
    return W.IntSlider(description="step", max=last, layout=FULL, style=LABEL)


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
    box = typed("0x2800 or GFP_NOWAIT|__GFP_NOWARN")
    mine = own("mask", {"text": box}, {"under": (under, [live.of_layout(v) for v in layouts])})
    return W.VBox([W.HTML(style()), which, under, linked(under, boxes), mine])


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


def played(frames: Sequence[Picture], opens: int) -> tuple[W.HBox, W.Stack]:
    """Return a player over frames: its controls, and the frames, open on one in which something happens."""
    play, slider, stack, controls = player()
    stack.children = [pane(frame) for frame in frames]
    slider.max = play.max = len(frames) - 1
    slider.value = play.value = stack.selected_index = min(opens, len(frames) - 1)
    return controls, stack


def chain_stepper(row: Rule, objects: int) -> W.VBox:
    """Return a player of objects that are queued on a chain one by one, until the last of them is freed.

    Arguments: the proposal whose way of asking gets the blocks; how many objects.
    """
    count = len(live.all_events(objects, row.name))
    drawn = [live.chain(objects, at, row.name) for at in range(count)]
    half = objects // 2 + 1  # of them are queued
    number = W.IntSlider(value=objects, min=1, max=40, description="objects", layout=FULL, style=LABEL)
    mine = own("chain", {"objects": number, "at": stepped(100)}, row=row.name)
    return W.VBox([W.HTML(style()), *played(drawn, half), mine])


def stepper(text: str, row: Rule | None = None, start: str = "rmqueue_bulk") -> W.VBox:
    """Return a player of an operation string on the small machine: play, scrub, by mouse or arrow keys.

    Arguments: the string; the proposal that its flagged requests follow; what the step says on which it opens.
    """
    name = row.name if row else None
    drawn = [live.steps(text, at, name) for at in range(len(live.all_steps(text, name)))]
    opens = next((at for at, one in enumerate(drawn) if start in one.text), 1)
    mine = own("steps", {"ops": typed(text), "at": stepped(9 * live.MAX_STEPS)}, row=name)
    return W.VBox([W.HTML(style()), *played(drawn, opens), mine])


def nesting(
    kernels: Mapping[str, tuple[Kernel, bool]],
    requests: Mapping[str, Ask],
    places: Mapping[str, str],
    locks: Mapping[str, str],
    start: Sequence[int] = (0, 0, 0, 0),
) -> W.VBox:
    """Return a builder of lock stacks that shows what a request under one takes, and what the kernel prints.

    Arguments, each by its label: kernels, with whether their locks are contended; requests; what the stack begins
    with; what is held on top of it (both as texts for ``context``, or empty); the options to open on.
    """
    titles = ("kernel", "request", "stack", "and held")
    menus = (kernels, requests, places, locks)
    kernel, request, *stack = (choice(*menu) for menu in zip(titles, menus, start, strict=True))
    controls = (kernel, request, *stack)
    trees = {label: live.of_kernel(*kernels[label]) for label in kernels}
    asks = {label: live.of_ask(label, requests[label]) for label in requests}
    frames: dict[str, W.HTML] = {}
    shape = W.Layout(width="100%")

    def frame(on: str, asked: str, place: str, lock: str) -> W.HTML:
        where = ">".join(filter(None, (places[place], locks[lock]))) or "task"
        found = live.answer("stack", {"where": where, "kernel": trees[on], "request": asks[asked]})
        html = found.get("html") or fault(f"{where}: {found['fault']}")
        if html not in frames:
            frames[html] = W.HTML(html, layout=shape, style=style_of_panes)
        return frames[html]

    style_of_panes = W.HTML().style
    every = every_frame(controls, [control.options for control in controls], frame, shape)
    box = typed("mutex>hardirq>raw:krc.lock")
    mine = own("stack", {"where": box},
               {"kernel": (kernel, list(trees.values())), "request": (request, list(asks.values()))})  # fmt: skip
    return W.VBox([W.HTML(style()), *controls, every, mine])


def report_box() -> W.VBox:
    """Return a box for a report that a kernel printed, which is explained."""
    box = W.Textarea(placeholder="a piece of dmesg", continuous_update=False, rows=8, layout=FULL, style=LABEL,
                     description="your log")  # fmt: skip
    return W.VBox([W.HTML(style()), own("report", {"text": box})])


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

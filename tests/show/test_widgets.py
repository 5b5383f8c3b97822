"""Widgets: every position has its frame, links run in the browser, and the live box answers or says what is wrong."""

import re
import shlex
from html import escape, unescape
from pathlib import Path
from typing import Any

import ipywidgets as W
import nbformat
import pytest

from gfpmodel.gfp import layout, variants
from gfpmodel.gfp.layouts import MILESTONES
from gfpmodel.show.pictures import Picture, facts
from gfpmodel.show.widgets import explorer, grid_explorer, layout_browser, mask_reader, shift_slider
from gfpmodel.sim import Sweep
from gfpmodel.sim.experiments import CrossCpu, HoldTime
from gfpmodel.sim.sweeps import parse_settings

RFC, RFC_LOCKDEP = variants("v5.8-rc3+FAST_TRY")
REPEAT = re.compile(r'<pre class="gfp-repeat"[^>]*>(.*?)</pre>', re.DOTALL)
STATE = "application/vnd.jupyter.widget-state+json"


def line_of(html: str) -> str:
    """Return the line below a frame that gives it again."""
    (line,) = REPEAT.findall(html)
    return unescape(line)


def walk(widget: W.Widget) -> list[W.Widget]:
    """Return a widget and all below it."""
    return [widget, *(w for child in getattr(widget, "children", ()) for w in walk(child))]


def controls(widget: W.Widget) -> list[W.Widget]:
    return [w for w in walk(widget) if isinstance(w, W.Dropdown | W.SelectionSlider)]


def stacks(widget: W.Widget) -> list[W.Stack]:
    return [w for w in walk(widget) if isinstance(w, W.Stack)]


@pytest.fixture
def reader() -> W.VBox:
    return mask_reader({"kernel": 0xCC0, "bit": 0x800000}, [RFC, layout("v6.1"), layout("v4.4")])


@pytest.mark.parametrize(
    "make",
    [
        lambda: layout_browser("v5.8-rc3"),
        lambda: shift_slider("__GFP_FAST_TRY", [RFC, RFC_LOCKDEP], range(22, 31)),
        lambda: mask_reader({"a": 1, "b": 2}, [RFC, layout("v6.1")]),
    ],
)
def test_every_control_has_a_label_and_starts_where_its_stack_does(make) -> None:
    widget = make()
    assert all(control.description for control in controls(widget))
    indices = {control.index for control in controls(widget)}
    for stack in stacks(widget):
        assert stack.selected_index in indices
        assert len(stack.children) in {len(control.options) for control in controls(widget)}


def test_layout_browser_has_every_kernel_and_config() -> None:
    outer = stacks(layout_browser("v6.1"))[0]
    assert outer.selected_index == MILESTONES.index("v6.1")
    inner = [stacks(box)[0] for box in outer.children]
    assert sum(len(stack.children) for stack in inner) == 49


def test_shift_slider_has_a_frame_a_shift() -> None:
    outer = stacks(shift_slider("__GFP_FAST_TRY", [RFC, RFC_LOCKDEP], range(22, 31)))[0]
    for box in outer.children:
        frames = [frame.value for frame in box.children]
        assert len(frames) == 9
        assert all(f"__GFP_BITS_SHIFT {shift}" in frame for shift, frame in zip(range(22, 31), frames, strict=True))


def test_live_box_reads_names_and_numbers_under_the_chosen_layout(reader: W.VBox) -> None:
    live = reader.children[-1]
    assert "gfp-live-only" in live._dom_classes
    box, _, wrong, shown = live.children
    box.value = "GFP_NOWAIT|__GFP_NOWARN"
    assert "0x2800 under v5.8-rc3+FAST_TRY" in shown.value
    controls(reader)[1].index = 2
    assert "0x2000200 under v4.4" in shown.value
    box.value = ""
    assert shown.value == wrong.value == ""


def test_live_box_says_what_is_wrong_and_escapes_it(reader: W.VBox) -> None:
    box, _, wrong, _ = reader.children[-1].children
    box.value = "<img src=x>"
    assert "expected names" in wrong.value
    assert "<img" not in wrong.value


def explored() -> W.VBox:
    menus = {"freed on": ("frees_on", ("same", "next")), "others": ("refill_rate", (0.0, 1000.0, 5000.0))}
    return explorer(
        "cross_cpu", menus, lambda p: facts("drawn", {"p": f"{p.frees_on} {p.refill_rate}"}), start=(0, 2), seeds=3
    )


def test_an_explorer_has_a_frame_for_every_choice() -> None:
    widget = explored()
    assert [(c.description, c.options) for c in controls(widget)] == [
        ("freed on", ("same", "next")),
        ("others", ("0", "1,000", "5,000")),
    ]
    outer, *inner = stacks(widget)
    assert [stack.selected_index for stack in (outer, *inner)] == [0, 2, 2]
    shown = [[frame.value for frame in inner.children] for inner in outer.children]
    for where, row in zip(("same", "next"), shown, strict=True):
        assert [f"{where} {rate}" in html for rate, html in zip((0.0, 1000.0, 5000.0), row, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("typed", "says"),
    [("refill_rate=7 duration_ms=1", "next 7.0"), ("refill=7", 'role="alert"'), ("rate=-1", 'role="alert"'), ("", "")],
)
def test_an_explorers_box_draws_ones_own_settings_or_says_what_is_wrong(typed: str, says: str) -> None:
    (box,) = [w for w in walk(explored()) if "gfp-live-only" in w._dom_classes]
    text, shown = box.children
    text.value = "refill_rate=1 duration_ms=1"
    text.value = typed
    assert says in shown.value
    assert bool(shown.value) == bool(typed)


def drawn(*values: object, **named: object) -> Picture:
    return Picture(f"<p>{escape(str([*values, *named.items()]))}</p>", "")


SWEEP = Sweep("hold_time", {"lock": ("raw", "sleeping"), "cpus": (1, 2, 4), "duration_ms": (10,)}, seeds=5)


def ran(gap_us: int) -> tuple[HoldTime, Picture]:
    return HoldTime(gap_us=gap_us), drawn(gap_us=gap_us)


@pytest.fixture
def gridded() -> W.VBox:
    return grid_explorer(SWEEP, {"lock": "kind", "cpus": "cpus"}, drawn, {"gap_us": (10, 20)}, ran)


def test_every_point_of_a_grid_has_the_frame_that_its_sliders_say(gridded: W.VBox) -> None:
    outer = next(w for w in gridded.children if isinstance(w, W.Stack))
    for at, lock in enumerate(("raw", "sleeping")):
        for inner, cpus in enumerate((1, 2, 4)):
            frame = outer.children[at].children[inner]
            assert frame.value.startswith(drawn(lock, cpus).html)
    assert [control.description for control in controls(gridded)] == ["kind", "cpus", "gap us"]


def point(html: str) -> tuple[str, int, Any]:
    """Return the experiment, the seeds and the parameters that a frame's line would run."""
    _, _, _, _, name, *options, seeds = shlex.split(line_of(html))
    settings = [option for option in options if option not in ("--set", "--seeds")]
    return name, int(seeds), next(Sweep(name, parse_settings(name, settings)).parameters())


def test_the_line_of_a_grids_frame_runs_its_point(gridded: W.VBox) -> None:
    outer = next(w for w in gridded.children if isinstance(w, W.Stack))
    frame = outer.children[1].children[2]
    assert point(frame.value) == ("hold_time", 5, HoldTime(lock="sleeping", cpus=4, duration_ms=10))


def test_the_line_of_an_explorers_frame_runs_its_parameters() -> None:
    outer = stacks(explored())[0]
    found = point(outer.children[1].children[1].value)
    assert found == ("cross_cpu", 3, CrossCpu(frees_on="next", refill_rate=1000.0))


def test_live_sliders_run_the_model_and_are_hidden_without_a_kernel(gridded: W.VBox) -> None:
    live = gridded.children[-1]
    assert "gfp-live-only" in live._dom_classes
    slider, shown = live.children[1], live.children[-1]
    assert shown.value.startswith(drawn(gap_us=10).html)
    slider.index = 1
    assert shown.value.startswith(drawn(gap_us=20).html)
    assert point(shown.value) == ("hold_time", 1, HoldTime(gap_us=20))


def shipped_frames() -> list[str]:
    """Return every frame with a line in the widgets of the book."""
    frames = []
    for path in sorted(Path(__file__).parents[2].glob("book/*.ipynb")):
        notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        models = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}).values()
        values = [str(model["state"].get("value", "")) for model in models]
        frames += [value for value in values if 'class="gfp-repeat"' in value]
    return frames


FRAMES = shipped_frames()
PYTHON = [frame for frame in FRAMES if line_of(frame).startswith("from ")]
COMMANDS = sorted({line_of(frame) for frame in FRAMES if line_of(frame).startswith("python -m gfpmodel ")})


def test_every_line_is_python_or_a_command() -> None:
    assert len(PYTHON) > 50
    assert len(COMMANDS) > 50
    assert len(FRAMES) == len(PYTHON) + sum(line_of(frame) in COMMANDS for frame in FRAMES)


def test_the_python_lines_of_the_book_give_their_frames() -> None:
    for frame in PYTHON:
        *imports, last = line_of(frame).splitlines()
        known: dict[str, Any] = {}
        exec("\n".join(imports), known)
        assert eval(last, known).html == REPEAT.sub("", frame), line_of(frame)


def test_the_commands_of_the_book_print_what_their_frames_say(run) -> None:
    frames = {line_of(frame): frame for frame in FRAMES}
    for line in COMMANDS:
        _, _, _, command, *rest = shlex.split(line)
        if command == "experiment":  # seconds each: that it is a point of that experiment is enough
            assert point(f'<pre class="gfp-repeat">{escape(line)}</pre>')[0] == rest[0]
        else:
            status, out, err = run(command, *rest)
            assert status in (0, 1), f"{line}: {err}"
            frame = unescape(frames[line])
            said = [text for text in out.splitlines() if "BUG:" in text or "WARNING:" in text]
            assert all(text.strip() in frame for text in said), line
            assert ("BUG:" in frame or "WARNING:" in frame) == bool(said), line

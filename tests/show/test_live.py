"""What a page may ask for: the pictures that the package draws, or a fault in one line, and nothing else."""

import json

import pytest

from gfpmodel.gfp import encode, layout, variants
from gfpmodel.locking import make_kernel
from gfpmodel.show import live
from gfpmodel.show.pictures import reading
from gfpmodel.show.stacks import Ask, nested

RT = make_kernel("v5.8-rc3+FAST_TRY", {"PREEMPT_RT": True})


def test_a_mask_is_read_under_the_layout_that_is_named() -> None:
    for it in (*variants("v5.8-rc3+FAST_TRY"), layout("v6.18")):
        found = live.answer("mask", {"text": "GFP_NOWAIT", "under": live.of_layout(it)})
        assert found == {"html": reading(encode("GFP_NOWAIT", it), it).html}


@pytest.mark.parametrize("contended", [False, True])
@pytest.mark.parametrize("kernel", [make_kernel("v5.8"), make_kernel("v6.18", {"PROVE_RAW_LOCK_NESTING": True}), RT])
def test_a_kernel_and_a_request_come_through_json(kernel, contended: bool) -> None:
    ask = Ask(row="gfp0", order=1)
    said = {"where": "raw", "kernel": live.of_kernel(kernel, contended), "request": live.of_ask("mask 0", ask)}
    html = json.loads(live.answer_json("stack", json.dumps(said)))["html"]
    assert html.startswith(nested(ask("raw", kernel, contended), "raw: mask 0").html)


def test_the_last_step_stands_for_those_after_it() -> None:
    last = len(live.all_steps("+0 -1")) - 1
    assert live.steps("+0 -1", 600) == live.steps("+0 -1", last) != live.steps("+0 -1", last - 1)
    assert (
        live.chain(2, 100, "fast_try").html == live.chain(2, len(live.all_events(2, "fast_try")) - 1, "fast_try").html
    )


@pytest.mark.parametrize(
    ("picture", "arguments", "says"),
    [
        ("mask", {"text": "<b>", "under": {"kernel": "v6.1", "config": {}}}, "expected names"),
        ("mask", {"text": "1", "under": {"kernel": "v99", "config": {}}}, "v99"),
        ("steps", {"ops": "+0 " * 61, "at": 0}, "61 operations; expected at most 60"),
        ("steps", {"ops": "+0", "at": 0, "row": "nobody"}, "unknown proposal 'nobody'"),
        ("chain", {"objects": 501, "at": 0, "row": "fast_try"}, "501 objects; expected 1 to 500"),
        ("report", {"text": "all is well"}, "no report found; looked for: "),
        ("answer", {}, "unknown picture 'answer'; expected mask, stack, steps, chain, report"),
    ],
)
def test_what_is_wrong_is_one_line(picture: str, arguments: dict[str, object], says: str) -> None:
    (fault,) = live.answer(picture, arguments).values()
    assert says in fault
    assert "\n" not in fault

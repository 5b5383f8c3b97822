"""What a reader may ask of a page: pictures by name, their arguments as JSON has them, and HTML in return.

A notebook's widgets call these functions, and so does the built page, once the model runs in the reader's browser.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypedDict

from gfpmodel.errors import InputError, unknown
from gfpmodel.exercises import SEEDED
from gfpmodel.gfp.layouts import Layout, layout
from gfpmodel.gfp.names import encode
from gfpmodel.locking import Kernel, make_kernel
from gfpmodel.mm.exercises import small_machine
from gfpmodel.mm.state import ZONE_NORMAL
from gfpmodel.proposals import proposal
from gfpmodel.show import chain as chains
from gfpmodel.show.pictures import Picture, reading, to_repeat
from gfpmodel.show.repeat import chain_line, options_of, steps_line, verdict_line
from gfpmodel.show.reports import explanation, first_explained
from gfpmodel.show.stacks import Ask, nested
from gfpmodel.show.stepper import frames

MAX_STEPS, MAX_OBJECTS = 60, 500


class Tree(TypedDict):
    """A kernel's name and the options that are set or not."""

    kernel: str
    config: dict[str, bool]


class Contended(Tree):
    """The same, and whether another CPU holds every lock that is waited for."""

    contended: bool


class Request(TypedDict):
    """A request, by what a menu calls it and what `Ask` takes."""

    title: str
    ask: dict[str, Any]


def of_layout(it: Layout) -> Tree:
    """Return what names a layout."""
    return {"kernel": it.kernel, "config": dict(it.config)}


def of_kernel(kernel: Kernel, contended: bool = False) -> Contended:
    """Return what names a kernel."""
    options = (option.partition("=") for option in options_of(kernel))
    return {"kernel": kernel.name, "config": {name: value != "n" for name, _, value in options}, "contended": contended}


def of_ask(title: str, ask: Ask) -> Request:
    """Return what names a request."""
    return {"title": title, "ask": dict(vars(ask))}


def mask(text: str, under: Tree) -> Picture:
    """Draw how a mask reads, given as a number or by names, under a layout.  Raises InputError."""
    it = layout(under["kernel"], under["config"])
    return reading(encode(text, it), it)


def stack(where: str, kernel: Contended, request: Request) -> Picture:
    """Draw what a request under a stack of locks takes and what the kernel prints.  Raises InputError."""
    tree, ask = make_kernel(kernel["kernel"], kernel["config"]), Ask(**request["ask"])
    shown = nested(ask(where, tree, kernel["contended"]), f"{where}: {request['title']}")
    return shown + to_repeat(verdict_line(ask, where, tree, kernel["contended"]))


def steps(ops: str, at: int, row: str | None = None) -> Picture:
    """Draw a step of an operation string on the small machine, the last one if it has fewer.  Raises InputError."""
    drawn = all_steps(ops, row)
    at = min(at, len(drawn) - 1)
    return drawn[at] + to_repeat(steps_line(ops, row, at, ZONE_NORMAL))


@lru_cache(maxsize=8)
def all_steps(ops: str, row: str | None = None) -> tuple[Picture, ...]:
    """Draw every step of an operation string, whose flagged requests follow a proposal.  Raises InputError."""
    if len(ops.split()) > MAX_STEPS:
        raise InputError(f"{len(ops.split())} operations; expected at most {MAX_STEPS}")
    return tuple(frames(small_machine(proposal(row) if row else None), ops, ZONE_NORMAL))


def chain(objects: int, at: int, row: str) -> Picture:
    """Draw an event of objects that are queued one by one, the last one if there are fewer.  Raises InputError."""
    drawn = all_events(objects, row)
    at = min(at, len(drawn) - 1)
    return drawn[at] + to_repeat(chain_line(row, objects, at))


@lru_cache(maxsize=8)
def all_events(objects: int, row: str) -> tuple[Picture, ...]:
    """Draw every event of objects that are queued, whose blocks a proposal asks for.  Raises InputError."""
    if not 1 <= objects <= MAX_OBJECTS:
        raise InputError(f"{objects} objects; expected 1 to {MAX_OBJECTS}")
    return tuple(chains.frames(chains.drawn_machine(proposal(row)), objects))


def report(text: str) -> Picture:
    """Draw the explanations of what a kernel printed, of a long text the first.  Raises InputError if there is none."""
    first, *others = (explanation(one) for _, one in first_explained(text)[0])
    return sum(others, first)


def question(name: str, seed: int, given: Mapping[str, Any]) -> Picture:
    """Ask a question of the exercises, by its function's name and its arguments.  Raises InputError."""
    if name not in SEEDED:
        raise unknown("question", name, SEEDED)
    asked = SEEDED[name](seed, **{key: proposal(word) if key == "proposal" else word for key, word in given.items()})
    return Picture(asked._repr_html_(), repr(asked))


#: What may be asked for.
PICTURES: Mapping[str, Callable[..., Picture]] = {
    one.__name__: one for one in (mask, stack, steps, chain, report, question)
}


def answer(name: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return a picture as ``html``, or in one line what is wrong with what was asked as ``fault``."""
    try:
        if name not in PICTURES:
            raise unknown("picture", name, PICTURES)
        return {"html": PICTURES[name](**arguments).html}
    except InputError as error:
        return {"fault": str(error)}


def answer_json(name: str, arguments: str) -> str:
    """Return `answer` of arguments in JSON, in JSON: what a web page asks with."""
    return json.dumps(answer(name, json.loads(arguments)))

"""The command `replay`: its options into a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gfpmodel.errors import InputError
from gfpmodel.gfp.layouts import parse_config
from gfpmodel.io.replay.recording import read_recording
from gfpmodel.io.replay.report import Report
from gfpmodel.io.replay.run import ASKED, WhatIf, replay
from gfpmodel.io.replay.start import Overrides
from gfpmodel.io.replay.zoneinfo import known_zones, misfits_of
from gfpmodel.mm.kernels import rules_of


def run_replay(trace: str, asked: Mapping[str, Any]) -> Report:
    """Replay a trace as the command line asks for it; raises InputError, before the trace is read if it can."""
    known = tuple(known_zones(asked["zoneinfo"])) if asked["zoneinfo"] else ()
    if asked["config"] and not asked["kernel"]:
        raise InputError("--config needs --kernel: whose option it is")
    if asked["lists"]:
        rules_of(asked["lists"])
    recording = read_recording(trace, asked["kernel"], parse_config(asked["config"]))
    overrides = Overrides(asked["batch"], asked["high"], asked["cpus"])
    what_if = WhatIf(asked["rows_asked"] or ASKED, known, overrides, asked["serve"], asked["lists"], asked["kernel"])
    differs = misfits_of(asked["zoneinfo"], recording) if asked["zoneinfo"] else ()
    return Report(recording, replay(recording, what_if), what_if, differs)

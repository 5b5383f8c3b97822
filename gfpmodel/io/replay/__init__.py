"""Replay what a real kernel allocated and freed through the model, and ask each proposal at every request."""

from gfpmodel.io.replay.recording import Recording, read_recording
from gfpmodel.io.replay.report import Report
from gfpmodel.io.replay.run import WhatIf, replay
from gfpmodel.io.replay.start import Overrides
from gfpmodel.io.replay.table import refill_table, replay_file, why_apart
from gfpmodel.io.replay.zoneinfo import zoneinfo_beside

__all__ = [
    "Overrides",
    "Recording",
    "Report",
    "WhatIf",
    "read_recording",
    "refill_table",
    "replay",
    "replay_file",
    "why_apart",
    "zoneinfo_beside",
]

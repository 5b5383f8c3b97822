"""Replay what a real kernel allocated and freed through the model, and ask each proposal at every request."""

from gfpmodel.io.replay.recording import Recording, read_recording
from gfpmodel.io.replay.report import Report
from gfpmodel.io.replay.run import WhatIf, replay
from gfpmodel.io.replay.table import refill_table

__all__ = ["Recording", "Report", "WhatIf", "read_recording", "refill_table", "replay"]

"""Explain what a kernel printed: find the reports in a log, and say what was asked, why it failed, and what else."""

from gfpmodel.explain.answer import explain, explain_lines
from gfpmodel.explain.find import LOOKED_FOR, Found, log_lines, reports
from gfpmodel.explain.text import render, texts

__all__ = ["LOOKED_FOR", "Found", "explain", "explain_lines", "log_lines", "render", "reports", "texts"]

"""Traces as text: what the engine did, written as ftrace prints it, and what real kernels did, read into columns."""

from gfpmodel.io.ftrace.reader import Columns, Problem, TraceReader, open_trace
from gfpmodel.io.ftrace.writer import trace_text, write_trace

__all__ = ["Columns", "Problem", "TraceReader", "open_trace", "trace_text", "write_trace"]

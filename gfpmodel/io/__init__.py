"""Formats that people have: /proc files, traces and their replay, op scripts, rows of proposals."""

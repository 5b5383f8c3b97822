"""Real data in and out: recorded truth, op scripts, trace text."""

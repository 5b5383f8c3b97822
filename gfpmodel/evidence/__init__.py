"""How we know: recorded truth of real kernels against the model, and what was published."""

"""gfp masks: layouts of named kernels, decode, encode, meaning, diff, who needs the shift, and a patch linter."""

from gfpmodel.gfp.diffs import diff, reread
from gfpmodel.gfp.layouts import Layout, config_names, kernels, layout, variants
from gfpmodel.gfp.linter import lint
from gfpmodel.gfp.meanings import meaning
from gfpmodel.gfp.names import decode, encode
from gfpmodel.gfp.patches import read_patch
from gfpmodel.gfp.shift_users import shift_report, with_shift

__all__ = [
    "Layout",
    "config_names",
    "decode",
    "diff",
    "encode",
    "kernels",
    "layout",
    "lint",
    "meaning",
    "read_patch",
    "reread",
    "shift_report",
    "variants",
    "with_shift",
]

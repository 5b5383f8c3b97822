"""What hatchling asks when it builds a wheel: GFPMODEL_WHEEL names the machine whose libraries are to be in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TAG = "py3-none-manylinux_2_17_{0}.manylinux2014_{0}"


class Libraries(BuildHookInterface[Any]):
    """Put the libraries that tools/make_wheel.py built into the wheel, and say for which machine it is."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Change what is built; without GFPMODEL_WHEEL the wheel stays pure."""
        if machine := os.environ.get("GFPMODEL_WHEEL"):
            build_data["tag"] = TAG.format(machine)
            build_data["pure_python"] = False
            for file in sorted(Path(self.root, "_build", "wheel", machine).iterdir()):
                build_data["force_include"][str(file)] = f"gfpmodel/engine/{file.name}"

"""The ``codesign`` command of the shell: finds our packages whatever else is called like them, and
runs the command line.

``experiments`` is a name that many folders have. One of them on ``PYTHONPATH`` would be imported in
place of ours.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

OURS = ("codesign", "hardware_priors", "objectives", "experiments")
"""Packages that are installed side by side."""


class SideBySide(MetaPathFinder):
    """Finds our packages in the one place that has them all."""

    def __init__(self, places: list[str]):
        self.places = [
            place
            for place in places
            if all((Path(place) / name / "__init__.py").is_file() for name in OURS)
        ]

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The package, if it is ours and the place is known."""
        return PathFinder.find_spec(fullname, self.places) if fullname in OURS else None


def main() -> None:
    """Run ``codesign ARGUMENTS`` and end the process."""
    sys.meta_path.insert(0, SideBySide(sys.path))
    try:
        from experiments.cli import console
    except KeyboardInterrupt:
        sys.exit(130)
    console()

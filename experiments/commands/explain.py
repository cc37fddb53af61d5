"""``codesign explain``: why one point is better than another, by factors that add up."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

import tyro

from experiments.sensitivity.arguments import OptionalPoint
from experiments.terminal.arguments import whole
from experiments.terminal.refusal import Refused


@dataclasses.dataclass(frozen=True)
class Explain(OptionalPoint):
    """Why B is better or worse than A: a factor for each thing in which they differ."""

    a: tyro.conf.Positional[str] = tyro.MISSING
    """a device, with options of codesign evaluate in the same quotes where they are its own; a row
    of a run (RUN:3); a scenario, for its best design"""
    b: tyro.conf.Positional[str] = tyro.MISSING
    """the same; a device without a workload runs the other side's"""
    objective: str | None = None
    """what is explained (codesign list objectives); the scenario's first, tokens/s/$ unless told"""
    top: Annotated[int, whole("top")] = 12
    """factors that are printed by name, the largest first"""
    picture: str | None = None
    """file for the waterfall, such as why.png"""

    def run(self) -> int:
        """Explain and print.

        Raises:
            Refused: bad input, or (exit code 3) a side that cannot serve.
        """
        from experiments.commands.optimize import progress
        from experiments.sensitivity.explained import explained, explanation_lines, resolved
        from experiments.terminal.screen import plain, results

        if self.picture is not None and not Path(self.picture).resolve().parent.is_dir():
            raise Refused(f"--picture is {self.picture!r}, in a folder that does not exist")
        with progress() as tell:
            sides, wanted = resolved(self.a, self.b, self.point(), self.objective, tell)
            report = explained(*sides, wanted)
        if self.picture is not None:
            from experiments.sensitivity.waterfall import draw_waterfall

            draw_waterfall(Path(self.picture), report)
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False))
        else:
            print(plain("\n".join(explanation_lines(report, self.top, results().width))))
        return 0

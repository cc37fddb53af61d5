"""``codesign sensitivity``: by how much each outcome moves with each number that goes in."""

import dataclasses
import json as json_format
from typing import Annotated

import tyro

from experiments.sensitivity.arguments import OptionalPoint
from experiments.terminal.arguments import whole
from experiments.terminal.refusal import Refused


@dataclasses.dataclass(frozen=True)
class Sensitivity(OptionalPoint):
    """Elasticities, exchange rates, regimes and, at the optimum of a scenario, shadow prices."""

    what: tyro.conf.Positional[str | None] = None
    """built-in scenario or TOML file (its best design), or a run and a row of its front (RUN:3);
    left out: the machine that --model, --device … state"""
    objective: str | None = None
    """what matters (codesign list objectives); the scenario's first, tokens/s/$ unless told"""
    top: Annotated[int, whole("top")] = 6
    """inputs that are printed, those with the largest elasticities"""

    priors: bool = False
    """also how the optimum of a scenario moves with every prior, and when its integers flip: half a
    minute more"""

    def run(self) -> int:
        """Differentiate and print.

        Raises:
            Refused: bad input, or (exit code 3) a scenario that no design meets.
        """
        if self.what is not None and (self.model is not None or self.device is not None):
            raise Refused(
                f"{self.what!r} and {'--model' if self.model else '--device'} are both given;"
                " expected a run, a scenario, or options of codesign evaluate"
            )
        from experiments.commands.optimize import progress
        from experiments.sensitivity.points import named, of_flags, wanted_of
        from experiments.sensitivity.report import sensitivity_report
        from experiments.sensitivity.table import sensitivity_lines
        from experiments.terminal.screen import plain, results

        wanted = None if self.objective is None else wanted_of(None, self.objective)
        with progress() as tell:
            point = (
                of_flags(self.point())
                if self.what is None
                else named(self.what, self.point(), self.objective, tell)
            )
            wanted = wanted or wanted_of(point.stated, None)
            report = sensitivity_report(point, wanted, tell, priors=self.priors)
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False))
        else:
            lines = sensitivity_lines(report, self.top, results().width)
            print(plain("\n".join(lines)))
        return 0

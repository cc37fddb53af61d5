"""``codesign evaluate``: one machine, one workload, one answer with its breakdown."""

import dataclasses
import json as json_format

from experiments.points.arguments import PointArguments
from experiments.terminal.refusal import INFEASIBLE, Refused


@dataclasses.dataclass(frozen=True)
class Evaluate(PointArguments):
    """Time, power and price of one machine running one workload."""

    def run(self) -> int:
        """Evaluate and print.

        Raises:
            Refused: bad input, or (exit code 3) a configuration that does not fit or misses its
                promise.
        """
        shares = self.parallelism()
        from experiments.points.elasticity import measured
        from experiments.points.misfit import failure
        from experiments.points.operating_point import operating_point
        from experiments.points.report import point_report
        from experiments.terminal.screen import say

        point = operating_point(self, shares)
        report = point_report(point)
        sentence = failure(point, measured(point).outcome)
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False))
        for warning in report["warnings"] if self.json and not sentence else ():
            say(f"warning: {warning}")
        if sentence:
            raise Refused(sentence, INFEASIBLE)
        if not self.json:
            from experiments.points.table import show

            show(point, report)
        return 0

"""``codesign plan``: which existing machines, how many, laid out how, for a stated demand."""

import dataclasses
import json as json_format
import os
from pathlib import Path

from experiments.planning.arguments import PlanArguments
from experiments.terminal.refusal import INFEASIBLE, Refused

QUESTIONS = ("largest_batch", "largest_context", "fewest_chips", "break_even", "gain")


@dataclasses.dataclass(frozen=True)
class Plan(PlanArguments):
    """Existing machines for a demand: device, number, layout, batch, price, and how sure."""

    def run(self) -> int:
        """Plan and print.

        Raises:
            Refused: bad input, or (exit code 3) a demand that no machine serves.
        """
        asked = [name for name in QUESTIONS if getattr(self, name)]
        if len(asked) > 1:
            shown = " and ".join("--" + name.replace("_", "-") for name in asked)
            raise Refused(f"{shown} are given together; expected one question at a time")
        from experiments.planning.request import request
        from experiments.terminal.screen import say

        stated = request(self)
        if self.csv is not None and not Path(self.csv).resolve().parent.is_dir():
            raise Refused(f"--csv is {self.csv!r}, whose folder is not there")
        if asked:
            from experiments.planning.questions import answer

            said = answer(stated, asked[0])
            print(json_format.dumps(said.record, indent=1) if self.json else said.sentence)
            return 0
        import codesign
        from experiments.planning import report, table

        found = codesign.plan(
            stated.reading.model,
            stated.demand,
            stated.machines,
            most_chips=self.max_chips,
            objective=self.by,  # pyright: ignore[reportArgumentType]
            disaggregate=self.disaggregate,
            tell=None if len(stated.machines) < 8 else say,
        )
        if self.csv is not None:
            _write(Path(self.csv), report.table(stated, found))
        if self.json:
            print(json_format.dumps(report.report(stated, found), indent=1, allow_nan=False))
        if found.best is None:
            raise Refused(table.nearest_sentence(stated, found), INFEASIBLE)
        if not self.json:
            table.show(stated, found)
        return 0


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        Refused: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Refused(
            f"--csv {str(path)!r}: {error.strerror or error}; expected a file that can be written"
        ) from None

"""``codesign uncertainty``: a scenario's answer under the ranges of its priors."""

import dataclasses
import functools
import json as json_format
from pathlib import Path
from typing import Annotated

import tyro

from experiments.terminal.arguments import whole


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """How sure a scenario's answer is: priors drawn from their ranges, designs optimised anew."""

    scenario: tyro.conf.Positional[str] = "llama-405b"
    """built-in name (codesign list scenarios), or path of a TOML file"""
    samples: Annotated[int, whole("samples", least=16, most=1_000_000)] = 2000
    """technologies that are drawn"""
    seed: Annotated[int, whole("seed", least=0)] = 0
    """of the quasi-random points: the same seed gives the same worlds"""
    objective: str | None = None
    """what is optimised (codesign list objectives); the scenario's first unless told"""
    against: str | None = None
    """device whose best machine is drawn in the same worlds, such as b200"""
    output: str | None = None
    """run folder to write; runs/<scenario>-<hash>-uncertainty unless told"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Sample, write the run folder, print it.

        Raises:
            Refused: bad input, or (exit code 3) no design meets the limits at the nominal priors.
        """
        from experiments.commands.optimize import progress
        from experiments.runs.folder import check_writable, default_folder, unfinished, write_run
        from experiments.scenarios.toml_text import scenario, written
        from experiments.sensitivity.pictures import draw_ridge, draw_tornado
        from experiments.sensitivity.points import wanted_of
        from experiments.sensitivity.uncertain_run import run_details, sampled_report, worlds_csv
        from experiments.sensitivity.uncertain_table import uncertainty_lines
        from experiments.terminal.screen import plain, results

        stated = scenario(self.scenario)
        wanted = wanted_of(stated, self.objective)
        default = default_folder(stated)
        folder = (
            default.with_name(f"{default.name}-uncertainty")
            if self.output is None
            else Path(self.output)
        )
        check_writable(folder, stated)
        with unfinished(folder, stated) as ledger, progress() as tell:
            report, sampled = sampled_report(
                stated, wanted, self.samples, self.seed, self.against, ledger, tell
            )
            text = json_format.dumps(report, indent=1, allow_nan=False) + "\n"
            write_run(
                folder,
                {
                    "scenario.toml": functools.partial(_write, text=written(stated)),
                    "uncertainty.json": functools.partial(_write, text=text),
                    "worlds.csv": functools.partial(_write, text=worlds_csv(report, sampled)),
                    "tornado.png": functools.partial(draw_tornado, report=report),
                    "ridge.png": functools.partial(draw_ridge, report=report, sampled=sampled),
                },
                lambda: run_details(stated, report),
            )
        if self.json:
            print(text, end="")
        else:
            lines = uncertainty_lines(report, str(folder), results().width)
            print(plain("\n".join(lines)))
        return 0


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

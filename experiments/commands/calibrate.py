"""``codesign calibrate``: fit a profile to measured results."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import tyro

from experiments.terminal.arguments import some_of, whole
from experiments.terminal.refusal import Refused

Report: TypeAlias = "dict[str, Any]"
"""What ``--json`` prints: only tables and pages read it."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from codesign.calibration.cases import Case
    from codesign.calibration.features import Counted
    from codesign.calibration.fit import Posterior
    from codesign.calibration.profile import Profile

LAYERS = ("device", "model", "engine", "group", "run", "shape")
"""What can be left out in turn."""


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit a calibration profile to measured results, or move a shipped one by a few rows of your
    own."""

    data: tyro.conf.Positional[tuple[str, ...]]
    """CSV files of measured results (schema: codesign.calibration.measurements)"""
    output: str = "profile.npz"
    """file of the profile; an existing one is where the fit goes on from"""
    anchor: bool = False
    """start from a shipped profile: your rows move it, and narrow what it says of their device,
    model and engine"""
    profile: str | None = None
    """profile that --anchor starts from; the newest shipped one unless told"""
    kernels: str | None = None
    """folder of kernel tables that replace the shipped ones as prior"""
    iterations: Annotated[int, whole("iterations")] = 100
    """most evaluations of a fit"""
    leave_out: Annotated[tuple[str, ...], some_of("leave-out", LAYERS, "all")] | None = None
    """instead of a fit: leave every device, model or engine out in turn, or groups of device,
    model, engine and format, or runs, in ten folds, or a fifth of the shapes of --kernels, and
    predict them from the rest; figures go into the profile"""
    anchors: Annotated[int, whole("anchors", least=0, most=64)] = 0
    """rows of each group left out that are given back before it is predicted once more (with
    --leave-out)"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Fit and write the profile; 0."""
        if self.anchor and self.kernels is not None:
            raise Refused(
                "--kernels is given with --anchor; expected one of them: a shipped profile has its"
                " own kernel tables"
            )
        if self.profile is not None and not self.anchor:
            raise Refused(
                "--profile is given without --anchor; expected both: it is what the rows move"
            )
        if self.leave_out and not Path(self.output).exists():
            raise Refused(
                f"--leave-out is given and --output {self.output!r} is not there; expected a"
                " profile that was fitted to the data"
            )
        if self.leave_out and self.anchor:
            raise Refused(
                "--leave-out is given with --anchor; expected one of them (--anchors is for rows"
                " given back)"
            )
        if "shape" in (self.leave_out or ()) and self.kernels is None:
            raise Refused(
                "--leave-out has 'shape' and no --kernels is given; expected a folder of kernel"
                " tables"
            )
        if self.anchors and not self.leave_out:
            raise Refused(f"--anchors is {self.anchors} without --leave-out; expected both")
        if not self.output.endswith(".npz"):
            raise Refused(f"--output is {self.output!r}; expected a file name that ends in .npz")
        report = fitted(self)
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False, default=float))
        else:
            show(report)
        return 0


def fitted(arguments: Calibrate) -> Report:
    """Fit, write the file, and say what was fitted to what."""
    from codesign.calibration.calibrate import learns_from, observed_noise, prune
    from codesign.calibration.contradictions import honest
    from codesign.calibration.layers import learnt_spreads
    from codesign.calibration.profile import load, save
    from codesign.calibration.validation import summary
    from experiments.accuracy.left_out import left_out
    from experiments.accuracy.measured import mapped
    from hardware_priors.profiles import kernel_profile, profile

    every, unmapped = mapped(arguments.data)
    if arguments.anchor:
        prior = profile(arguments.profile)
    elif arguments.kernels is not None:
        from codesign.calibration.kernel_fit import fit_kernels
        from hardware_priors.machines import find_machine

        prior = fit_kernels(sorted(Path(arguments.kernels).glob("*.csv")), find_machine)
    else:
        prior = kernel_profile()
    cases, counted, contradicted = honest(every)
    if counted is None or not any(learns_from(case) for case in cases):
        raise Refused(
            f"none of {len(every) + len(unmapped)} rows can be fitted; codesign validate says why"
        )
    start = load(arguments.output) if Path(arguments.output).exists() else None
    if arguments.leave_out and start is not None:
        return left_out(arguments, cases, counted, prior, start)
    found, ended, counted = _fit(arguments, cases, counted, prior, start)
    about = _about(arguments, cases, prior, ended, contradicted)
    spreads = prior.spreads if arguments.anchor else learnt_spreads(found)
    written = dataclasses.replace(prune(found), spreads=spreads, about=about)
    if not arguments.anchor:
        noise = {**found.noise, **observed_noise(cases, counted, written)}
        written = dataclasses.replace(written, noise=noise)
    save(written, arguments.output)
    return {
        "output": arguments.output,
        **about,
        "parameters": len(found.names),
        "row_noise": written.noise,
        "layer_spreads": written.spreads,
        "mapped": len(every),
        "not_mapped": len(unmapped),
        "unmapped_reasons": summary(unmapped),
    }


def _about(
    arguments: Calibrate,
    cases: "list[Case]",
    prior: "Profile",
    ended: "Posterior",
    contradicted: dict[str, int],
) -> Report:
    """What a profile was fitted to, and how the fit ended."""
    import datetime

    from codesign.calibration.calibrate import learns_from
    from codesign.calibration.names import architecture_name

    learnt = [case for case in cases if learns_from(case)]

    def rows_of(name_of: "Callable[[Case], str]") -> dict[str, int]:
        names = [name_of(case) for case in learnt]
        return {name: names.count(name) for name in sorted(set(names))}

    return {
        "name": Path(arguments.output).name.removesuffix(".npz"),
        "date": datetime.date.today().isoformat(),
        "data": [Path(file).name for file in arguments.data],
        "prior": prior.about.get("name", "kernel tables"),
        "rows": len(learnt),
        "contradicted": contradicted,
        "devices": rows_of(lambda case: case.machine.name),
        "models": rows_of(lambda case: architecture_name(case.model)),
        "engines": rows_of(lambda case: case.engine.variant),
        "converged": ended.converged,
        "iterations": ended.iterations,
        "license_note": (
            "coefficients fitted to published measurements; the measured files are not part of the"
            " project"
        ),
    }


def _fit(
    arguments: Calibrate,
    cases: "list[Case]",
    counted: "Counted",
    prior: "Profile",
    start: "Profile | None",
) -> "tuple[Profile, Posterior, Counted]":
    """Fit twice: the first fit says how many sequences decode, how far rows scatter, and how far
    members of a layer lie apart."""
    from codesign.calibration.calibrate import calibrate, count, row_scales
    from codesign.calibration.fit import FREEDOM, TRUSTED
    from codesign.calibration.layers import learnt_spreads

    most, freedom = arguments.iterations, TRUSTED if arguments.anchor else FREEDOM
    if start is not None:
        counted = count(cases, start, counted)
    first, _ = calibrate(cases, counted, prior, start, most, freedom)
    if start is None:
        counted = count(cases, first, counted)
    weights = None
    if not arguments.anchor:
        prior = dataclasses.replace(prior, spreads=learnt_spreads(first))
        weights = row_scales(cases, counted, first)
    return *calibrate(cases, counted, prior, first, most, freedom, weights), counted


def show(report: Report) -> None:
    """Print what was fitted."""
    from experiments.accuracy.left_out import left_out_table
    from experiments.accuracy.page import times_as_wide
    from experiments.terminal.screen import results

    console = results()
    if "left_out" in report:
        console.print(left_out_table(report["left_out"]))
        if report["widened"]:
            told = times_as_wide(report["widened"])
            console.print(
                f"Intervals of what nobody measured are wider than what was measured lies apart:"
                f" {told}; the table is with them so wide."
            )
        return
    state = (
        "converged"
        if report["converged"]
        else f"stopped after {report['iterations']} iterations; the same command goes on from there"
    )
    console.print(f"{report['parameters']} parameters fitted to {report['rows']} rows ; {state}.")
    console.print(
        f"{report['mapped']} rows of the files are mapped, {report['not_mapped']} are not; codesign"
        " validate says why."
    )
    for rule, count in report["contradicted"].items():
        console.print(f"Left out of the fit: {count} rows {rule}.")
    console.print(
        f"Rows: {', '.join(f'{name} {count}' for name, count in report['devices'].items())}."
    )
    console.print(
        f"Written to {report['output']}; use it with --execution calibrated --profile"
        f" {report['output']}."
    )

"""``codesign calibrate``: fit a profile to measured results."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import whole
from experiments.refusal import Refused


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit a calibration profile to measured results, or move a shipped one by a few rows of your own."""

    data: tyro.conf.Positional[tuple[str, ...]]
    """CSV files of measured results (schema: codesign.calibration.measurements)"""
    output: str = "profile.npz"
    """file of the profile; an existing one is where the fit goes on from"""
    anchor: bool = False
    """start from a shipped profile: your rows move it, and narrow what it says of their device, model and engine"""
    profile: str | None = None
    """profile that --anchor starts from; the newest shipped one unless told"""
    kernels: str | None = None
    """folder of kernel tables that replace the shipped ones as prior"""
    iterations: Annotated[int, whole("iterations")] = 25
    """most iterations of the fit"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Fit and write the profile; 0."""
        if self.anchor and self.kernels is not None:
            raise Refused("--kernels is given with --anchor; expected one of them: a shipped profile has its own kernel tables")
        if self.profile is not None and not self.anchor:
            raise Refused("--profile is given without --anchor; expected both: it is what the rows move")
        if not self.output.endswith(".npz"):
            raise Refused(f"--output is {self.output!r}; expected a file name that ends in .npz")
        report = fitted(self)
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False, default=float))
        else:
            show(report)
        return 0


def fitted(arguments: Calibrate) -> dict[str, Any]:
    """Fit, write the file, and say what was fitted to what."""
    import datetime

    from codesign.calibration.calibrate import calibrate, count, learns_from, prune
    from codesign.calibration.cases import Case
    from codesign.calibration.fit import FREEDOM, TRUSTED
    from codesign.calibration.profile import load, save
    from experiments.measured import mapped
    from hardware_priors.profiles import kernel_profile, profile

    cases, unmapped = mapped(arguments.data)
    cases = [case for case in cases if learns_from(case)]
    if not cases:
        raise Refused(f"none of {len(unmapped)} rows can be fitted; codesign validate says why")
    if arguments.anchor:
        prior = profile(arguments.profile)
    elif arguments.kernels is not None:
        from codesign.calibration.kernel_fit import fit_kernels
        from hardware_priors.machines import find_machine

        prior = fit_kernels(sorted(Path(arguments.kernels).glob("*.csv")), find_machine)
    else:
        prior = kernel_profile()
    start = load(arguments.output) if Path(arguments.output).exists() else None
    freedom = TRUSTED if arguments.anchor else FREEDOM
    counted_once = count(cases, prior if start is None else start, rounds=0)
    first, _ = calibrate(cases, counted_once, prior, start, arguments.iterations // 2, freedom)
    found, ended = calibrate(cases, count(cases, first), prior, first, arguments.iterations, freedom)

    def counted(name_of: Any) -> dict[str, int]:
        names = [name_of(case) for case in cases]
        return {name: names.count(name) for name in sorted(set(names))}

    def device(case: Case) -> str:
        return case.machine.name

    about = {
        "name": Path(arguments.output).name.removesuffix(".npz"),
        "date": datetime.date.today().isoformat(),
        "data": [Path(file).name for file in arguments.data],
        "prior": prior.about.get("name", "kernel tables"),
        "rows": len(cases),
        "devices": counted(device),
        "models": counted(lambda case: case.model),
        "engines": counted(lambda case: case.engine.variant),
        "converged": ended.converged,
        "iterations": ended.iterations,
        "license_note": "coefficients fitted to published measurements; the measured files are not part of the project",
    }
    written = dataclasses.replace(prune(found), about=about)
    save(written, arguments.output)
    return {"output": arguments.output, **about, "parameters": len(found.names), "row_noise": found.noise, "not_mapped": len(unmapped)}


def show(report: dict[str, Any]) -> None:
    """Print what was fitted."""
    from experiments.screen import results

    console = results()
    state = "converged" if report["converged"] else f"stopped after {report['iterations']} iterations; the same command goes on from there"
    console.print(f"{report['parameters']} parameters fitted to {report['rows']} rows ({report['not_mapped']} not mapped); {state}.")
    console.print(f"Rows: {', '.join(f'{name} {count}' for name, count in report['devices'].items())}.")
    console.print(f"Written to {report['output']}; use it with --execution calibrated --profile {report['output']}.")

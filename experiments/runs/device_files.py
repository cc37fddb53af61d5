"""Designs as device files, so that ``codesign evaluate --device`` takes them like any other
machine."""

import numpy as np

from codesign.search import Front
from experiments.runs.columns import order
from experiments.scenarios.problem import service
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import names_of
from experiments.scenarios.toml_text import toml_text
from hardware_priors.own_device import WIDTHS
from hardware_priors.quantities import PHYSICAL

WRITTEN = {
    "memory_bandwidth": "B/s",
    "memory_capacity": "B",
    "peak_flops": "FLOP/s",
    "sync_latency": "s",
    "link_bandwidth": "B/s",
    "sram_capacity": "B",
    "sram_bandwidth": "B/s",
    "scale_out_bandwidth": "B/s",
    "scale_out_latency": "s",
}
"""Quantities of a design that a device file states, with their units; those without a unit follow.
"""
PLAIN = ("dies", "scale_up_domain", "clock")


def device_files(front: Front, scenario: Scenario) -> dict[str, str]:
    """Text of a TOML file for each kind of machine of each design, by file name, in the order of
    ``front.csv``."""
    files: dict[str, str] = {}
    names: dict[tuple[int, int], dict[str, str]] = {}
    stated = [
        float(service(work, scenario.space.batch).precision.compute_bits)
        for work in scenario.workload
    ]
    for place, row in enumerate(order(front)):
        for p, design in enumerate(front.designs):
            suffix = f"-machine-{p}" if len(front.designs) > 1 else ""
            lines = [
                f"name = {toml_text(f'{scenario.name} {place:02d}' + suffix.replace('-', ' '))}"
            ]
            lines += [
                f'{name} = "{_digits(getattr(design, name)[row])} {unit}"'
                for name, unit in WRITTEN.items()
            ]
            lines.append(f"peak_flops_bits = {_width(front, scenario, stated, row, p)}")
            lines += [f"{name} = {_digits(getattr(design, name)[row])}" for name in PLAIN]
            lines.append(f'power = "{_digits(design.power_cap[row])} W"')
            white = float(np.asarray(design.white_silicon)[row])
            if white >= PHYSICAL["m^2"][0]:  # below is what the solver leaves of none
                lines.append(f'white_silicon = "{_digits(white)} m^2"')
            chosen = (int(front.choice[row]), p)
            if chosen not in names:
                names[chosen] = names_of(scenario, front.choices[chosen[0]], p)
            lines += priced_with(names[chosen])
            how = f"{float(design.chips[row]):.0f} chips; {front.choices[front.choice[row]].name}"
            files[f"{place:02d}{suffix}.toml"] = (
                f"# {how}; {front.status[row]}\n" + "\n".join(lines) + "\n"
            )
    return files


def priced_with(names: dict[str, str]) -> list[str]:
    """Lines of a device file that say what prices a design."""
    parts = ", ".join(toml_text(names[part]) for part in ("node", "memory", "link"))
    built = toml_text(names["machine_class"])
    return [f"technology = [{parts}]", f"machine_class = {built}"]


def _width(front: Front, scenario: Scenario, stated: list[float], row: int, p: int) -> int:
    """The width at which the rate of a machine was designed: that of the widest products of its
    services [bit]."""
    chosen = front.choices[front.choice[row]].precisions
    served = [
        k
        for k, work in enumerate(scenario.workload)
        if p in (work.decode_machine, work.prefill_machine)
    ]
    bits = [
        float(chosen[k].compute_bits) if chosen else stated[k]
        for k in served or range(len(scenario.workload))
    ]
    return next(width for width in WIDTHS if width >= max(bits))


def _digits(value: object) -> str:
    return f"{float(np.asarray(value)):.12g}"

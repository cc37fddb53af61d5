"""From rows of a file to cases that the model can predict; a row that it cannot carries the reason.

The traps of the public data that are handled here: InferenceX draws lengths uniformly from 0.8 to
1.0 of the nominal ones (0.9 in the mean); its ``n_chips`` is tensor × expert degree where one
engine serves, so chips are the tensor degree there; concurrency of disaggregated fleets is
fleet-wide; speculative decoding has drafts of unknown acceptance.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from typing import Literal

from codesign.calibration.case_layouts import Layout, NotComparable, Protocol, _layout
from codesign.calibration.machine import Machine, MachineFinder
from codesign.calibration.measurements import Measurement
from codesign.calibration.names import Engine, Formats, engine, formats, model_candidates
from codesign.calibration.recipes import cache_of_recipe

Quantity = Literal[
    "time_per_token", "time_to_first_token", "end_to_end", "throughput", "power", "energy"
]

INFERENCEX_LENGTH = 0.9
"""Mean length over nominal length in InferenceX: uniform between 0.8 and 1.0
(``random-range-ratio``)."""

MLPERF_PROMPTS = {
    "llama-2-70b": 294.0,
    "llama-3.1-405b": 9400.0,
    "llama-3.1-8b": 778.0,
    "mixtral-8x7b": 145.0,
    "deepseek-r1": 800.0,
}
"""Mean prompt lengths of the MLPerf data sets (MLCommons benchmark descriptions); result logs do
not state them."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One measured number with everything that the model needs to predict it.

    Degrees are those of one replica; ``concurrency`` too (nan: as many as fit). ``batch`` sequences
    decode together.
    """

    measurement: Measurement
    model: str
    machine: Machine
    engine: Engine
    formats: Formats
    tensor: float
    pipeline: float
    data: float
    expert: float
    replicas: float
    protocol: Protocol
    quantity: Quantity
    concurrency: float
    prompt: float
    output: float
    value: float  # [s, 1/s of one replica, W or J of one chip]
    derived: bool  # says the same as another row of the file, in other words: validated, not fitted
    fitted: bool  # of a protocol that calibration learns from
    prefill_chips: float = float("nan")  # of the separate prefill pool, for each decode replica

    @property
    def chips(self) -> float:
        """Chips of one replica [1]."""
        return self.tensor * self.pipeline * self.data

    @property
    def group(self) -> str:
        """What shares a random effect: device, model, engine and precision."""
        return f"{self.machine.name}|{self.model}|{self.engine.variant}|{self.formats.name}"


@dataclasses.dataclass(frozen=True)
class Unmapped:
    """A row that was not predicted, and why."""

    measurement: Measurement
    reason: str


def map_rows(
    measurements: Iterable[Measurement],
    find_machine: MachineFinder,
    find_model: Callable[[str], str | None],
) -> tuple[list[Case], list[Unmapped]]:
    """Map rows to cases.

    Args:
        measurements: rows of ``read_measurements``.
        find_machine: looks a printed device name up.
        find_model: the catalogue name of the first that it knows, or None.

    Returns:
        The cases, and the rows left over with a reason each.
    """
    cases: list[Case] = []
    unmapped: list[Unmapped] = []
    for measurement in measurements:
        try:
            cases.append(_case(measurement, find_machine, find_model))
        except NotComparable as reason:
            unmapped.append(Unmapped(measurement, str(reason)))
    return cases, unmapped


_PROTOCOLS: tuple[tuple[str, Protocol], ...] = (
    (r"decode\(disagg\)", "disaggregated"),
    (r"decode_steady_state|decode_batch ?~?1|decode$", "decode"),
    (r"decode\+interleaved_prefill|steady_state_serving", "interleaved"),
    (r"prefill\+queue", "interleaved"),
    (r"mixed_prefill\+decode_slo", "interleaved"),
    (r"static_batch_prefill\+decode|batch1_prefill\+decode", "static"),
    (r"mixed_prefill\+decode_max_load", "max_load"),
    (r"prefill$", "prefill"),
)


def _case(
    row: Measurement, find_machine: MachineFinder, find_model: Callable[[str], str | None]
) -> Case:
    text = row.text
    phase = text["phase"].lower()
    if "mtp" in phase or "speculative" in text.get("params_note", "").lower():
        raise NotComparable("speculative decoding with drafts of unknown acceptance")
    if phase == "prefill+queue" and text.get("mode") == "disagg":
        raise NotComparable("time to first token of a separate prefill pool under an unstated load")
    protocol: Protocol | None = next(
        (protocol for pattern, protocol in _PROTOCOLS if re.match(pattern, phase)), None
    )
    if protocol is None:
        raise NotComparable(f"phase {_shown(text['phase'])} has no counterpart in the model")
    _refuse_impossible(row)
    quantity, per_chip, total = _quantity(text["metric"], phase)
    model = next(
        (found for name in model_candidates(text["model"]) if (found := find_model(name))), None
    )
    if model is None:
        raise NotComparable(f"model {_shown(text['model'])} is not in the catalogue")
    machine = find_machine(text["hardware"], row.number("tp") or row.number("n_chips") or 1.0)
    if machine is None:
        raise NotComparable(
            f"hardware {_shown(text['hardware'])} is not in the catalogue with the rates that are"
            " needed"
        )
    software = engine(text["software"], text.get("date", ""), text["hardware"])
    cache = text["precision_kv"] or cache_of_recipe(
        text.get("source", ""), text["precision_weights"], model, machine.name, software.family
    )
    bits = formats(text["precision_weights"], cache or "", model, machine.name, software.family)
    if bits is None:
        raise NotComparable(f"precision {_shown(text['precision_weights'])} is of no known kind")
    layout = _layout(row, protocol, model, machine, bits)
    prompt, output = _lengths(row, model, protocol, quantity)
    concurrency = row.number("batch_or_concurrency")
    if protocol in ("max_load",):
        concurrency = float("nan")
    elif concurrency is None:
        if phase.startswith(("decode_batch1", "batch1")) or protocol == "prefill":
            concurrency = 1.0
        else:
            raise NotComparable("concurrency is not stated")
    value = _value(row, quantity, per_chip, total, layout, output)
    return Case(
        measurement=row,
        model=model,
        machine=machine,
        engine=software,
        formats=bits,
        tensor=layout.tensor,
        pipeline=layout.pipeline,
        data=layout.data,
        expert=layout.expert,
        replicas=layout.replicas,
        protocol=protocol,
        quantity=quantity,
        concurrency=concurrency / layout.replicas,
        prompt=prompt,
        output=output,
        value=value,
        derived=text["metric"].startswith("e2e"),
        fitted=protocol != "max_load" and not layout.assumed,
        prefill_chips=layout.prefill_chips / layout.replicas,
    )


_RANGES = {
    "n_chips": 65536.0,
    "tp": 65536.0,
    "pp": 65536.0,
    "ep": 65536.0,
    "batch_or_concurrency": 1e7,
    "input_len": 1e8,
    "output_len": 1e8,
}
"""Largest values that a row may state; the least is above zero."""


def _refuse_impossible(row: Measurement) -> None:
    """Refuse numbers that no run has; a number of chips of 0 has a reason of its own."""
    if math.isnan(row.value):
        if row.text["value"] and row.text["unit"] and _is_positive(row.text["value"]):
            raise NotComparable(f"unit {_shown(row.text['unit'])} is not known")
        raise NotComparable(
            "the value is not stated"
            if not row.text["value"]
            else f"the value {_shown(row.text['value'])} is no positive number"
        )
    for name, most in _RANGES.items():
        number = row.number(name)
        if (
            number is not None
            and not (0.0 < number <= most)
            and not (name in ("n_chips", "ep", "output_len", "input_len") and number == 0.0)
        ):
            raise NotComparable(f"{name} is {number:g}, expected above 0 and at most {most:g}")


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < math.inf
    except ValueError:
        return False


def _shown(text: str) -> str:
    """Text of strangers in a sentence: quoted, control characters escaped, shortened."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _quantity(metric: str, phase: str) -> tuple[Quantity, bool, bool]:
    """What a metric measures, whether it is per chip, and whether it is of the whole system."""
    if metric in (
        "tpot_mean",
        "tpot_median",
        "itl_median",
        "itl_mean",
        "tpot_mean_derived",
        "output_tok_s_per_user",
    ):
        return "time_per_token", False, False
    if metric in ("ttft", "ttft_mean", "ttft_median") or (
        metric == "prefill_throughput" and "prefill" in phase
    ):
        return "time_to_first_token", False, False
    if metric in ("e2e_latency", "e2e_latency_mean"):
        return "end_to_end", False, False
    if metric in ("output_throughput_per_gpu", "decode_throughput_per_gpu"):
        return "throughput", True, False
    if metric == "output_throughput":
        return "throughput", False, True
    if metric in ("gpu_power_avg_total", "gpu_power_avg_per_gpu"):
        return "power", metric.endswith("per_gpu"), metric.endswith("total")
    if metric == "gpu_energy_per_output_token":
        return "energy", False, False
    raise NotComparable(f"metric {_shown(metric)} has no counterpart in the model")


def _lengths(
    row: Measurement, model: str, protocol: Protocol, quantity: Quantity
) -> tuple[float, float]:
    prompt, output = row.number("input_len"), row.number("output_len")
    source, note = row.text.get("source", ""), row.text.get("params_note", "")
    if "InferenceX" in source and "NVIDIA-AIC-internal" not in source:
        prompt = None if prompt is None else prompt * INFERENCEX_LENGTH
        output = None if output is None else output * INFERENCEX_LENGTH
    if prompt is None:
        if "MLPerf" in source and model in MLPERF_PROMPTS:
            prompt = MLPERF_PROMPTS[model]
        elif "MLPerf" in source:
            raise NotComparable(
                "the mean input length of the data set is not published with the result"
            )
        else:  # short chat prompts: ML.ENERGY, llama.cpp with short prompts
            prompt = 100.0
    if output is None:
        capped = re.search(r"output cap (\d+)", note)
        output = 0.8 * float(capped.group(1)) if capped else 128.0
    actual = re.search(r"actual mean output (\d+)", note)
    if actual:
        output = float(actual.group(1))
    return max(prompt, 1.0), max(output, 1.0)


def _value(
    row: Measurement,
    quantity: Quantity,
    per_chip: bool,
    total: bool,
    layout: Layout,
    output: float,
) -> float:
    """The measured value of one replica (times, throughput) or one chip (power)."""
    metric, value = row.text["metric"], row.value
    if metric == "output_tok_s_per_user":
        return 1.0 / value
    if metric == "prefill_throughput":
        return (row.number("input_len") or 1.0) / value
    each = layout.chips / layout.replicas
    if quantity == "throughput":
        return value * each if per_chip else value / layout.replicas
    if quantity == "power":
        return value / (row.number("n_chips") or layout.chips) if total else value
    return value

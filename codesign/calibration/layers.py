"""Layers of knowledge: every coefficient's logarithm is a sum of a generic value and of what its
relatives add.

A device that nobody measured inherits its architecture's value, an unknown architecture its
vendor's, an unknown vendor the generic one; what it might add itself, at the layer's standard
deviation, widens its band.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from codesign.calibration.cases import Case
from codesign.calibration.machine import Machine
from codesign.calibration.names import Engine, Formats, architecture_name
from codesign.calibration.profile import Profile, join
from codesign.performance.kernel_coefficients import COEFFICIENTS


@dataclasses.dataclass(frozen=True)
class Prior:
    """A coefficient before any data: its value, how far it may be off [natural log], and how far
    each layer may move it."""

    value: float
    spread: float
    layers: dict[str, float]
    reason: str


_FLOOR = {"vendor": 0.3, "architecture": 0.3, "device": 0.1, "library": 0.2}
_LOSS = {"vendor": 0.4, "architecture": 0.4, "device": 0.25, "library": 0.3}
_SCALE = {
    "vendor": 0.4,  # a vendor's first software may be several times slower: Max 1550, MI250
    "architecture": 0.12,
    "device": 0.1,
    "engine": 0.12,
    "variant": 0.12,
    "release": 0.08,
    "engine_format": 0.1,
    "model": 0.12,
}
_SYNC = {"vendor": 0.3, "architecture": 0.2, "device": 0.2, "library": 0.3}
_REST = {"vendor": 0.3, "architecture": 0.3, "engine": 0.3, "variant": 0.3}
_ENGINE_SCALE = {"engine": 0.15, "variant": 0.15, "release": 0.1}
_HANDLING = {"engine": 0.5, "variant": 0.5, "release": 0.3}
_EFFICIENCY = (
    "kernel tables of github:ai-dynamo/aiconfigurator: 0.67-0.9 of the peaks (hardware_priors"
    " attainable.csv)"
)

PRIORS: dict[str, Prior] = {
    "product_floor": Prior(5e-6, 0.5, {**_FLOOR, "format": 0.3}, "kernel tables: small products"),
    "product_memory": Prior(0.25, 0.6, {**_LOSS, "format": 0.3}, _EFFICIENCY),
    "product_compute": Prior(0.4, 0.6, {**_LOSS, "format": 0.4, "variant": 0.3}, _EFFICIENCY),
    "attention_floor": Prior(
        10e-6, 0.5, {**_FLOOR, "variant": 0.2}, "kernel tables: batch 1, shortest cache"
    ),
    "attention_memory": Prior(0.3, 0.6, {**_LOSS, "variant": 0.3}, _EFFICIENCY),
    "attention_compute": Prior(1.0, 0.6, _LOSS, "kernel tables: long prompts"),
    "attention_reread": Prior(
        0.01,
        1.0,
        {"vendor": 0.5, "architecture": 0.5, "library": 0.5, "engine": 0.5, "variant": 2.0},
        "judged: kernels that share a read, 0; those that read for every query head, 1",
    ),
    "prompt_floor": Prior(20e-6, 0.6, _FLOOR, "kernel tables: short prompts"),
    "prompt_compute": Prior(1.0, 0.6, _LOSS, "kernel tables: long prompts"),
    "latent_floor": Prior(15e-6, 0.5, _FLOOR, "kernel tables: batch 1, shortest cache"),
    "latent_memory": Prior(0.4, 0.6, _LOSS, _EFFICIENCY),
    "latent_compute": Prior(1.0, 0.6, _LOSS, "kernel tables: 128 heads"),
    "expert_floor": Prior(
        50e-6, 0.6, {**_FLOOR, "expert_format": 0.4, "variant": 0.25}, "kernel tables: one token"
    ),
    "expert_touched": Prior(
        0.2e-6, 1.0, {**_FLOOR, "expert_format": 0.4}, "kernel tables: slope over experts touched"
    ),
    "expert_memory": Prior(0.5, 0.6, {**_LOSS, "expert_format": 0.4}, _EFFICIENCY),
    "expert_compute": Prior(1.0, 0.6, {**_LOSS, "expert_format": 0.4, "variant": 0.3}, _EFFICIENCY),
    "layer_floor": Prior(8e-6, 0.8, _REST, "judged: three or four small kernels"),
    "sync_base": Prior(0.5, 0.5, _SYNC, "sync latency is one small all-reduce"),
    "sync_step": Prior(0.2, 0.7, _SYNC, "a two-shot one takes 1.2 times as long"),
    "sync_peer": Prior(0.04, 0.7, _SYNC, "eight chips take longer than two"),
    "link_one_shot": Prior(0.7, 0.7, _LOSS, "all-reduce tables: bus bandwidth"),
    "link_two_shot": Prior(0.5, 0.7, _LOSS, "all-reduce tables: bus bandwidth"),
    "exchange_sync": Prior(2.0, 0.7, _FLOOR, "all-to-all tables"),
    "exchange_peer": Prior(0.05, 1.0, _SYNC, "judged: as for all-reduce"),
    "exchange_link": Prior(1.0, 0.8, _LOSS, "all-to-all tables"),
    "floor_scale": Prior(
        1.0, 0.15, {**_ENGINE_SCALE, "vendor": 0.5}, "judged: kernels in a graph run back to back"
    ),
    "step_scale": Prior(
        1.05, 0.15, {**_SCALE, "group": 0.12}, "judged: norms, sampling and gaps between kernels"
    ),
    "prefill_scale": Prior(1.1, 0.2, {**_SCALE, "group": 0.12}, "judged: the same"),
    "host_step": Prior(
        0.3e-3,
        1.0,
        {"engine": 0.6, "variant": 0.6, "release": 0.3},
        "judged: scheduler and sampling of a step",
    ),
    "host_sequence": Prior(20e-6, 0.7, _HANDLING, "prototype: 10-67 us by engine"),
    "interference": Prior(0.85, 0.25, {"engine": 0.15, "variant": 0.15}, "prototype: 0.67-0.96"),
    "first_token": Prior(
        50e-3, 1.0, {**_HANDLING, "model": 0.3}, "judged: request handling and tokenizer"
    ),
    "queue": Prior(0.1, 1.0, _HANDLING, "judged: a tenth of the requests arrive at once"),
    "queue_median": Prior(
        0.02,
        1.0,
        {"engine": 0.5, "variant": 0.5},
        "judged: the median request waits for few others",
    ),
    "idle_power": Prior(
        0.45,
        0.3,
        {"vendor": 0.2, "architecture": 0.2, "device": 0.15},
        "judged: a stalled chip draws half its rating",
    ),
    "byte_energy": Prior(
        40e-12,
        0.7,
        {"architecture": 0.4, "device": 0.3},
        "HBM access and what it feeds: 24-76 pJ/B",
    ),
    "flop_energy": Prior(
        1.2e-12,
        0.7,
        {"architecture": 0.4, "device": 0.3},
        "16-bit operation with its operands: 0.8-2 pJ",
    ),
}
"""Priors of all coefficients; the values are starting points that data override, the spreads say
how easily."""

assert tuple(PRIORS) == COEFFICIENTS

LAYERS = (
    "generic",
    "vendor",
    "architecture",
    "device",
    "format",
    "expert_format",
    "library",
    "engine",
    "variant",
    "release",
    "engine_format",
    "model",
    "group",
)


def layer_keys(machine: Machine, bits: Formats, engine: Engine, model: str) -> dict[str, str]:
    """The member of each layer that a machine, formats, an engine and a model belong to; unknown
    ones are named ``""``."""
    return {
        "generic": "",
        "vendor": machine.vendor,
        "architecture": machine.architecture,
        "device": machine.name,
        "format": f"{machine.architecture}/{bits.weights:g}x{bits.product_width}",
        "expert_format": f"{machine.architecture}/{bits.experts:g}x{bits.expert_width}",
        "engine": engine.family,
        "variant": engine.variant,
        "release": f"{engine.variant}/{engine.release}",
        "engine_format": f"{engine.variant}/{bits.name}",
        "model": architecture_name(model),
        "group": f"{machine.name}|{architecture_name(model)}|{engine.variant}|{bits.name}",
    }


def case_keys(case: Case) -> dict[str, str]:
    """``layer_keys`` of a measured case."""
    return layer_keys(case.machine, case.formats, case.engine, case.model)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """All parameters of a calibration: names ``coefficient|layer|member``, with prior means and
    standard deviations."""

    names: tuple[str, ...]
    mean: np.ndarray
    spread: np.ndarray

    @property
    def index(self) -> dict[str, int]:
        """Position of each name."""
        return {name: k for k, name in enumerate(self.names)}


def layer_spread(spreads: dict[str, float], coefficient: str, layer: str) -> float:
    """Standard deviation of what a member of a layer adds: a profile's where data said something,
    the judged one elsewhere."""
    return spreads.get(f"{coefficient}|{layer}", PRIORS[coefficient].layers[layer])


def learnt_spreads(profile: Profile, trust: float = 4.0) -> dict[str, float]:
    """Standard deviations of layers from the spread of their fitted members: one step of
    expectation maximisation.

    σ² = (ν σ₀² + Σ_k (θ_k² + Var θ_k)) / (ν + n): what n members add, with the judged σ₀ worth ν of
    them (Dempster, Laird and Rubin, JRSS B 1977; the conjugate prior of a variance).

    Args:
        profile: a fit, before ``calibrate.prune``.
        trust: ν.
    """
    sums: dict[str, tuple[float, int]] = {}
    for k, name in enumerate(profile.names):
        coefficient, layer, _ = name.split("|", 2)
        if layer not in ("generic", "library"):
            total, count = sums.get(f"{coefficient}|{layer}", (0.0, 0))
            sums[f"{coefficient}|{layer}"] = (
                total + profile.mean[k] ** 2 + profile.covariance[k, k],
                count + 1,
            )
    judged = {key: PRIORS[key.split("|")[0]].layers[key.split("|")[1]] for key in sums}
    return {
        key: float(np.sqrt((trust * judged[key] ** 2 + total) / (trust + count)))
        for key, (total, count) in sums.items()
    }


def parameters(rows: Sequence[dict[str, str]], spreads: dict[str, float]) -> Parameters:
    """The parameters that rows with these layer keys touch, with their priors; ``spreads`` as in
    ``Profile``."""
    names: list[str] = []
    mean: list[float] = []
    spread: list[float] = []
    for coefficient, prior in PRIORS.items():
        names.append(f"{coefficient}|generic|")
        mean.append(float(np.log(prior.value)))
        spread.append(prior.spread)
        for layer in prior.layers:
            for member in sorted({row[layer] for row in rows if layer in row}):
                names.append(f"{coefficient}|{layer}|{member}")
                mean.append(0.0)
                spread.append(layer_spread(spreads, coefficient, layer))
    return Parameters(tuple(names), np.array(mean), np.array(spread))


def complete(profile: Profile) -> Profile:
    """A profile with the generic prior of every coefficient that it says nothing of."""
    missing = [name for name in PRIORS if f"{name}|generic|" not in profile.index]
    if not missing:
        return profile
    mean = np.log([PRIORS[name].value for name in missing])
    spread = np.array([PRIORS[name].spread for name in missing])
    return join(
        [profile, Profile(tuple(f"{name}|generic|" for name in missing), mean, np.diag(spread**2))]
    )


def membership(
    rows: Sequence[dict[str, str]], index: dict[str, int], spreads: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Which parameters add up to each coefficient of each row, and the variance of the layers that
    no parameter covers.

    Returns:
        Indices (rows, coefficients, layers), ``len(index)`` where there is none; variances (rows,
        coefficients).
    """
    none = len(index)
    table = np.full((len(rows), len(PRIORS), 1 + max(len(p.layers) for p in PRIORS.values())), none)
    unknown = np.zeros((len(rows), len(PRIORS)))
    cache: dict[tuple[tuple[str, str], ...], tuple[np.ndarray, np.ndarray]] = {}
    for r, row in enumerate(rows):
        key = tuple(row.items())
        if key not in cache:
            cache[key] = _membership(row, index, spreads, table.shape[2])
        table[r], unknown[r] = cache[key]
    return table, unknown


def _membership(
    row: dict[str, str], index: dict[str, int], spreads: dict[str, float], width: int
) -> tuple[np.ndarray, np.ndarray]:
    table = np.full((len(PRIORS), width), len(index))
    unknown = np.zeros(len(PRIORS))
    for k, (coefficient, prior) in enumerate(PRIORS.items()):
        table[k, 0] = index.get(f"{coefficient}|generic|", len(index))
        for j, layer in enumerate(prior.layers, start=1):
            found = index.get(f"{coefficient}|{layer}|{row.get(layer, '')}")
            if found is not None:
                table[k, j] = found
            elif layer in row:
                unknown[k] += layer_spread(spreads, coefficient, layer) ** 2
    return table, unknown

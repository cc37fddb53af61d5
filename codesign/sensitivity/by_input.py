"""Elasticities of every outcome of a fleet by every number that goes in, and what they are worth.

    e_i = ∂ ln f / ∂ ln x_i,    and at constant f    d ln x_i / d ln x_j = − e_j / e_i

Euler's theorem is their check: all rates of a machine times c and all its latencies over c make a
step take 1/c of its time, so Σ e over rates − Σ e over latencies of a time is −1.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import IntArray, RealArray
from codesign.sensitivity.inputs import (
    OUTCOMES,
    Inputs,
    Leaf,
    as_reals,
    fleet_at,
    is_latency,
    is_rate,
    leaves_of,
    take,
)

SIDE = 1e-6
"""Relative distance from a tie at which the slope of one side is taken."""

SAME = 1e-4
"""Difference of two one-sided elasticities from which on a point counts as a tie."""

COUNTS = ("chips", "dies", "scale_up_domain", "pipeline", "context", "data", "expert", "batch")
"""Inputs that are never below 1: at 1 they have one side only."""


class Elasticities(NamedTuple):
    """Outcomes that mean something of these machines [SI], and their elasticities [1] by name.

    ``one_sided`` has the slopes below and above (NaN where there is no below) of those quantities
    of a design whose two sides differ.
    """

    outcomes: dict[str, float]
    by_input: dict[str, dict[str, float]]
    one_sided: dict[str, dict[str, tuple[float, float]]]
    leaves: tuple[Leaf, ...]
    values: dict[str, float]  # of each input [SI]

    def of(self, exponents: Mapping[str, float]) -> dict[str, float]:
        """Elasticities of a product of powers of outcomes, by input."""
        names = [leaf.name for leaf in self.leaves]
        return {
            name: sum(power * self.by_input[outcome][name] for outcome, power in exponents.items())
            for name in names
        }

    def sums(self, outcome: str = "time_per_token") -> dict[str, float]:
        """Sums over rates and over latencies of a machine; their difference is −1 of a time."""
        own = self.by_input[outcome]
        return {
            "rates": sum(own[leaf.name] for leaf in self.leaves if is_rate(leaf.name)),
            "latencies": sum(own[leaf.name] for leaf in self.leaves if is_latency(leaf)),
        }


def elasticities_by_input(inputs: Inputs) -> Elasticities:
    """Take the elasticity of every outcome by every float that goes in, at a point.

        e_i = (x_i / f) · ∂f/∂x_i;  of a calibrated coefficient c, kept as ln c:  ∂ ln f/∂ ln c

    Args:
        inputs: the machines and all else.

    Returns:
        ``by_input[outcome][input]`` [1]: outcomes by the names of ``search`` totals, inputs by
        those of ``leaves_of``. An input that is zero has elasticity zero.

    Source: Euler's theorem on homogeneous functions checks them (module).

    >>> import codesign, hardware_priors
    >>> from codesign.sensitivity.inputs import inputs_of
    >>> chip = hardware_priors.device("h100").design(chips=8)
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> decode = codesign.Decode(batch=8, context=4096)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> sums = elasticities_by_input(inputs_of(chip, work, technology=world)).sums()
    >>> round(sums["rates"] - sums["latencies"], 9)
    -1.0
    """
    inputs = as_reals(inputs)
    leaves = tuple(leaves_of(inputs))
    logs, slopes = _slopes(inputs)
    known = [k for k, value in enumerate(logs) if np.isfinite(value)]
    by_input: dict[str, dict[str, float]] = {OUTCOMES[k]: {} for k in known}
    places = {place: k for k, place in enumerate(_floats(jax.tree.leaves(inputs)))}
    for leaf in leaves:
        slope = np.reshape(slopes[places[leaf.leaf]], (len(OUTCOMES), -1))
        value = 1.0 if leaf.logarithm else take(inputs, leaf)
        for k in known:
            elasticity = float(slope[k, leaf.element or 0]) * value
            by_input[OUTCOMES[k]][leaf.name] = elasticity if value != 0.0 else 0.0
    return Elasticities(
        {OUTCOMES[k]: float(np.exp(logs[k])) for k in known},
        by_input,
        _ties(inputs, leaves, by_input),
        leaves,
        {leaf.name: take(inputs, leaf) for leaf in leaves},
    )


def log_outcomes(inputs: Inputs) -> RealArray:
    """ln of every outcome in the order of ``OUTCOMES``; NaN of those that several machines have
    not [1]."""
    totals = fleet_at(inputs).totals
    return jnp.log(jnp.stack([getattr(totals, name) for name in OUTCOMES]))


def _slopes(inputs: Inputs) -> tuple[np.ndarray, list[np.ndarray]]:
    """ln of every outcome, and its slopes by every float leaf: of each leaf (outcomes, …)."""
    leaves, structure = jax.tree.flatten(inputs)
    floats = _floats(leaves)
    count, rows, logs = len(OUTCOMES), [], np.zeros(len(OUTCOMES))
    for k in range(count):
        value, slopes = _pullback(structure, floats, leaves, np.eye(count)[k])
        logs[k] = float(value[k])
        rows.append([np.asarray(slope) for slope in slopes])
    return logs, [np.stack(own) for own in zip(*rows, strict=True)]


@compiled(SELDOM, static_argnums=(0, 1))
def _pullback(
    structure: Hashable, floats: tuple[int, ...], leaves: list[RealArray], weights: RealArray
) -> tuple[RealArray, list[RealArray]]:
    """ln of the outcomes, and the slopes of a weighted sum of them: one small program for all
    rows, which takes a fifth of the time to compile that all of them at once do."""

    def weighted(moved: list[RealArray]) -> tuple[RealArray, RealArray]:
        found = log_outcomes(_with(structure, leaves, floats, moved))
        asked = weights != 0.0
        return jnp.sum(jnp.where(asked, weights * jnp.where(asked, found, 0.0), 0.0)), found

    slopes, logs = jax.grad(weighted, has_aux=True)([leaves[k] for k in floats])
    return logs, slopes


def _floats(leaves: Sequence[object]) -> tuple[int, ...]:
    return tuple(k for k, leaf in enumerate(leaves) if eqx.is_inexact_array(leaf))


def _with(
    structure: Hashable, leaves: list[RealArray], places: tuple[int, ...], values: list[RealArray]
) -> Inputs:
    changed = list(leaves)
    for place, value in zip(places, values, strict=True):
        changed[place] = value
    return jax.tree.unflatten(structure, changed)


def _ties(
    inputs: Inputs, leaves: Sequence[Leaf], by_input: dict[str, dict[str, float]]
) -> dict[str, dict[str, tuple[float, float]]]:
    """One-sided elasticities by the quantities of the designs and the batches, where the sides
    differ."""
    chosen = [
        leaf
        for leaf in leaves
        if leaf.element is None
        and leaf.group in ("sizes", "chips", "links", "batch")
        and not leaf.name.startswith("technology")
        and take(inputs, leaf) != 0.0
    ]
    flat, structure = jax.tree.flatten(inputs)
    places = tuple(leaf.leaf for leaf in chosen)
    found: dict[str, dict[str, tuple[float, float]]] = {outcome: {} for outcome in by_input}
    for j, leaf in enumerate(chosen):
        own = np.eye(len(places))[j]
        sides = [
            np.asarray(_one_side(structure, places, flat, own, sign * SIDE * own))
            for sign in (-1.0, 1.0)
        ]
        least = leaf.name.rpartition(".")[2] in COUNTS and take(inputs, leaf) <= 1.0
        for outcome, slopes in by_input.items():
            below, above = (float(side[OUTCOMES.index(outcome)]) for side in sides)
            below = float("nan") if least else below
            if abs(above - (slopes[leaf.name] if least else below)) > SAME:
                found[outcome][leaf.name] = (below, above)
    return {outcome: own for outcome, own in found.items() if own}


@compiled(SELDOM, static_argnums=(0, 1))
def _one_side(
    structure: Hashable,
    places: tuple[int, ...],
    leaves: list[RealArray | IntArray],
    direction: RealArray,
    offset: RealArray,
) -> RealArray:
    """Slopes of ln of the outcomes by ln of some leaves in a direction, at an offset of their
    logs."""

    def logs(moves: RealArray) -> RealArray:
        values = [leaves[place] * jnp.exp(moves[j]) for j, place in enumerate(places)]
        return log_outcomes(_with(structure, leaves, places, values))

    return jax.jvp(logs, (offset,), (direction,))[1]


class ExchangeRate(NamedTuple):
    """So much of ``given`` replaces the removal of ``amount`` of ``taken`` at constant outcome.

    Amounts in SI; ``value`` is positive where both help or both hurt alike.
    """

    outcome: str
    taken: str
    amount: float
    taken_unit: str
    given: str
    value: float
    given_unit: str


NATURAL = {
    "sync_latency": -1e-6,
    "memory_bandwidth": 1e12,
    "peak_flops": 1e15,
    "link_bandwidth": 1e11,
    "chips": 1.0,
}
"""Amounts that people speak of, in SI, by quantity of a design: a microsecond less, a TB/s more."""


def exchange_rates(found: Elasticities, outcome: str = "time_per_token") -> list[ExchangeRate]:
    """Say what a natural amount of each quantity of a machine is worth in each other one, in
    dollars and in watts a chip.

        Δx_given = (e_taken / e_given) · (Δx_taken / x_taken) · x_given

    A dollar (watt) is what a chip may cost (draw) more, at the same tokens/s/$ (tokens/s/W), for
    the tokens/s that the amount brings; what the amount itself costs is not taken off.

    Args:
        found: elasticities of one kind of machine.
        outcome: what stays constant.

    Returns:
        Rates between quantities that matter for the outcome, to first order; none for fleets of
        several kinds, whose machines have no common chip.

    >>> import codesign, hardware_priors
    >>> from codesign.sensitivity.inputs import inputs_of
    >>> chip = hardware_priors.device("h100").design(chips=8)
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> decode = codesign.Decode(batch=8, context=4096)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> rates = exchange_rates(elasticities_by_input(inputs_of(chip, work, technology=world)))
    >>> pair = ("design.sync_latency", "design.memory_bandwidth")  # a microsecond less, in TB/s
    >>> [round(one.value / 1e12, 2) for one in rates if (one.taken, one.given) == pair]
    [0.96]
    """
    rates: list[ExchangeRate] = []
    if "design.chips" not in found.values:
        return rates
    units = {leaf.name: leaf.unit for leaf in found.leaves}
    slopes = found.by_input[outcome]
    speed = found.by_input.get("system_tokens_per_second")
    mattering = [name for name in NATURAL if abs(slopes.get(f"design.{name}", 0.0)) > 1e-9]
    for taken in mattering:
        name = f"design.{taken}"
        amount = NATURAL[taken]
        share = amount / found.values[name]
        for given in mattering:
            other = f"design.{given}"
            if given != taken:
                value = slopes[name] / slopes[other] * share * found.values[other]
                rates.append(
                    ExchangeRate(outcome, name, amount, units[name], other, value, units[other])
                )
        for money, unit in (("capital_cost", "USD"), ("provisioned_power", "W")):
            if speed is None or taken == "chips" or money not in found.outcomes:
                continue
            each = found.outcomes[money] / found.values["design.chips"]
            rates.append(
                ExchangeRate(
                    "system_tokens_per_second per " + money,
                    name,
                    amount,
                    units[name],
                    f"{money} of a chip",
                    speed[name] * share * each,
                    unit,
                )
            )
    return rates

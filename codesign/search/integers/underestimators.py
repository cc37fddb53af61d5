"""A convex relaxation over a box of integers: every coefficient replaced by a monomial in them that
is nowhere above it.

Coefficients of a program depend on chips n and batch B only ((n − 1)/n, ln n, experts touched,
copies of the cache …), in ways that are neither convex nor concave. Over a box of integers each is
bounded below by α·n^a·B^b: slopes from its ends, α from its smallest ratio over a lattice of
integers, less what it could dip between them. There chips and batch are real variables of a convex
program whose optimum is below that of every integer in the box. A box of one integer is the exact
program.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.search.program.coefficients import ABSENT, Sample, sample
from codesign.search.program.geometric_program import BoundNumbers, Program, framed
from codesign.search.program.structure import Structure, owners
from codesign.search.statement.problem import ProblemBatch

SAMPLES = (8, 6)
"""Integers sampled along chips and along batch."""

ELASTICITY_RANGE = 1.0
"""How far elasticities of one coefficient may differ: work per chip falls no faster than 1/n and no
slower than constant, work of a batch grows no faster than B. Where samples show more, that counts.
"""

FLAT = 1e-9
"""A coefficient whose ratio to its monomial varies by less over the lattice is that monomial."""


class Underestimators(NamedTuple):
    """What lies below a program's coefficients over a range of chips and batch."""

    coefficients: Array  # (functions, basis) logarithms at integers of 1
    tilt: Array  # (functions, basis, integers) exponents
    samples: (
        Sample  # what bounds the lifted variables, on a lattice over the range; no coefficients
    )

    def at(self, ranges: int | np.ndarray) -> "Underestimators":
        """Some of several, along the leading axis."""
        return jax.tree.map(lambda leaf: leaf[ranges], self)


def underestimate(
    structure: Structure,
    problems: ProblemBatch,
    low: Float[Array, "counted"],
    high: Float[Array, "counted"],
) -> Underestimators:
    """Monomials below all coefficients from ``low`` to ``high``: chips of each kind, then batch of
    each service."""
    count = structure.counted
    problems = divided_evenly(structure, problems, low, high)
    first, last = jnp.log(low), jnp.log(high)
    fractions = [np.linspace(0.0, 1.0, number)[:, None] for number in SAMPLES]
    chips, batch = (
        jnp.clip(
            jnp.round(jnp.exp(first[None] + part * (last - first)[None])), low[None], high[None]
        )
        for part in fractions
    )
    one_by_one = jnp.minimum(low[None] + np.arange(SAMPLES[0])[:, None], high[None])
    chips = jnp.where(high - low < SAMPLES[0], one_by_one, chips)
    is_chips = np.arange(count) < structure.kinds
    lattice = jnp.where(is_chips, chips[:, None, :], batch[None, :, :]).reshape(-1, count)
    middle = sample(structure, problems, jnp.exp(0.5 * (first + last)))
    each = functools.partial(sample, structure, problems, orders=middle.orders)
    samples = jax.vmap(lambda integers: each(integers))(lattice)
    posynomial = not any(table.has_experts for table in problems.tables)
    coefficients, tilt = underestimating_monomials(
        structure, samples, (jnp.log(chips), jnp.log(batch)), posynomial=posynomial
    )
    return Underestimators(coefficients, tilt, samples._replace(coefficients=None, orders=()))


def divided_evenly(
    structure: Structure,
    problems: ProblemBatch,
    low: Float[Array, "counted"],
    high: Float[Array, "counted"],
) -> ProblemBatch:
    """The problem with work divided evenly where not every number of chips is sampled: never above
    what whole heads and experts take, and smooth between integers."""
    plans = tuple(
        dataclasses.replace(
            plan,
            whole_parts=jnp.where(
                high[step.kind] - low[step.kind] < SAMPLES[0], plan.whole_parts, 0.0
            ),
        )
        for plan, step in zip(problems.plans, problems.steps, strict=True)
    )
    return dataclasses.replace(problems, plans=plans)


def boxed_program(
    structure: Structure,
    problems: ProblemBatch,
    monomials: Underestimators,
    low: Float[Array, "all"],
    high: Float[Array, "all"],
    bounds: BoundNumbers,
) -> Program:
    """The relaxation over all integers from ``low`` to ``high`` (in the order of
    ``problem.integer_names``)."""
    return framed(
        structure,
        problems,
        monomials.coefficients,
        monomials.tilt,
        monomials.samples,
        low,
        high,
        bounds,
    )


def underestimating_monomials(
    structure: Structure, samples: Sample, logs: tuple[Array, Array], *, posynomial: bool
) -> tuple[Array, Array]:
    """The monomial below each coefficient: its logarithm at integers of 1, and its exponents.

    Args:
        structure: functions and monomials of the program.
        samples: coefficients on the lattice (chips by batch, flattened).
        logs: ln of the sampled integers along chips and along batch, shapes (samples, integers).
        posynomial: whether coefficients are largest of posynomials in the batch: convex in
            logarithms. Experts touched are not.
    """
    owner = owners(structure)
    shape = samples.coefficients.shape[1:]
    values = samples.coefficients.reshape(*SAMPLES, *shape)
    present = jnp.all(values > 0.5 * ABSENT, axis=(0, 1))
    values = jnp.where(present, values, 0.0)
    along = [
        _slopes(values, axis, logs[axis][:, np.maximum(own, 0)], own >= 0)
        for axis, own in enumerate(owner)
    ]
    chips, batch = along
    plane = chips.slope[None, None] * chips.at[:, None] + batch.slope[None, None] * batch.at[None]
    ratio = values - plane
    exact = jnp.max(ratio, axis=(0, 1)) - jnp.min(ratio, axis=(0, 1)) <= FLAT
    between = jnp.minimum(ratio[:, 1:], ratio[:, :-1])
    least = jnp.min(
        jnp.where(exact, between, between - _dips(values, batch, convex=posynomial)), axis=(0, 1)
    )
    dip = jnp.where(exact, 0.0, _widest_dip(values, 0, chips))
    coefficients = jnp.where(present, least - dip, ABSENT)
    integers = logs[0].shape[1]
    chips_tilt, batch_tilt = (
        jnp.where(present & (own >= 0), line.slope, 0.0)[..., None]
        * (own[..., None] == np.arange(integers))
        for line, own in zip(along, owner, strict=True)
    )
    return coefficients, chips_tilt + batch_tilt


class _Line(NamedTuple):
    """One axis of the lattice, as every coefficient sees it."""

    slope: Array  # (functions, basis) from end to end
    at: Array  # (samples, functions, basis) ln of the owning integer
    steps: Array  # (samples − 1, functions, basis) between samples
    hidden: Array  # the same, where integers lie between that were not sampled; else 0


def _slopes(values: Array, axis: int, at: Array, owned: np.ndarray) -> _Line:
    """``at`` are ln of the owning integer of each coefficient at each sample, shape (samples,
    functions, basis)."""
    at = jnp.where(owned, at, 0.0)
    rise = jnp.mean(jnp.take(values, SAMPLES[axis] - 1, axis) - jnp.take(values, 0, axis), axis=0)
    run = at[-1] - at[0]
    slope = jnp.where(run > 0, rise / jnp.where(run > 0, run, 1.0), 0.0)
    steps = at[1:] - at[:-1]
    return _Line(slope, at, steps, jnp.where(jnp.exp(at[1:]) - jnp.exp(at[:-1]) > 1.5, steps, 0.0))


def _elasticities(values: Array, axis: int, line: _Line) -> Array:
    """Slopes between neighbouring samples along an axis; the mean slope where two samples are the
    same integer."""
    shown = jnp.expand_dims(line.steps, 1 - axis)
    return jnp.where(
        shown > 0, jnp.diff(values, axis=axis) / jnp.where(shown > 0, shown, 1.0), line.slope
    )


def _widest_dip(values: Array, axis: int, line: _Line) -> Array:
    """How far a coefficient could dip below the line through any two neighbouring samples: slopes
    in a range of r dip at most r·h/4."""
    local = _elasticities(values, axis, line)
    spread = jnp.max(local, axis=(0, 1)) - jnp.min(local, axis=(0, 1))
    return jnp.max(line.hidden, axis=0) * jnp.maximum(ELASTICITY_RANGE, spread) / 4.0


def _dips(values: Array, line: _Line, *, convex: bool) -> Array:
    """The same along batch for each pair of neighbours, shape (chips, samples − 1, functions,
    basis).

    Work of a batch grows no slower than none and no faster than the batch: with slope s between two
    samples it dips deepest if it stays level first and then grows as fast as it can, by s·(1 −
    s)·h. A convex function is nowhere below the lines through the samples on either side, drawn on:
    between slopes a and b it dips by (s − a)·(b − s)/(b − a)·h at most. A coefficient that shows
    other slopes is taken as ``_widest_dip``.
    """
    local = _elasticities(values, 1, line)
    usual = jnp.all((local >= -FLAT) & (local <= 1.0 + FLAT), axis=(0, 1))
    inside = jnp.clip(local, 0.0, 1.0)
    least, most = jnp.zeros_like(inside), jnp.ones_like(inside)
    if convex:
        least = least.at[:, 1:].set(inside[:, :-1])
        most = most.at[:, :-1].set(inside[:, 1:])
    room = jnp.maximum(most - least, FLAT)
    return jnp.where(
        usual,
        jnp.maximum((inside - least) * (most - inside), 0.0) / room * line.hidden[None],
        _widest_dip(values, 1, line),
    )

"""Explanation of a difference: factors in logs, an idea each, that add up to ln(after / before).

What can be moved by degrees goes along the straight path in logs from one point to the other, and
earns what the outcome gains by its motion (Aumann, Shapley, *Values of Non-Atomic Games*, 1974).
What cannot (which model, which algorithm, which execution: *atoms*) joins at a time that is uniform
on the path, each by itself; it earns the mean of what its arrival is worth (the value of the mixed
game: Hart, "Values of mixed games", Int. J. Game Theory 2, 1973). With H(t) the mean of the outcome
over who has arrived by t,

    H(t) = Σ_S t^|S| (1 − t)^(d − |S|) ln f(x(t), S),    ln f(B) − ln f(A) = ∫ H'(t) dt,

and H' is a sum over inputs. No order is chosen, so none matters; and the way back is the same way.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from codesign.numerics.fields import Real, RealArray, Tree
from codesign.performance.collectives import ALGORITHMS
from codesign.search.statement.services import steps
from codesign.sensitivity.inputs import Inputs, as_reals, fleet_at
from codesign.sensitivity.mixed_game import Atom, Game, integrate, without


class Factor(NamedTuple):
    """What one input contributes: its two values in SI (text of an atom), and ln of its factor."""

    name: str
    group: str
    log: float
    unit: str
    before: float | str
    after: float | str


class Explanation(NamedTuple):
    """Factors, largest first, whose logs sum to ``total_log`` less ``remainder``: the rounding that
    was found and not hidden."""

    factors: tuple[Factor, ...]
    total_log: float
    remainder: float
    evaluations: int

    @property
    def groups(self) -> dict[str, float]:
        """ln of the factor of each idea, largest first."""
        found: dict[str, float] = {}
        for factor in self.factors:
            found[factor.group] = found.get(factor.group, 0.0) + factor.log
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def explain(
    outcome: Callable[[Tree], Real],
    before: Tree,
    after: Tree,
    atoms: Sequence[Atom] | None = None,
) -> Explanation:
    """Split ln f(after) − ln f(before) into one factor an input that differs.

    Args:
        outcome: positive scalar function of the inputs, such as ``outcome_named("step_time")``;
            traced, so pure.
        before, after: two points: ``Inputs`` with as many kinds of machine, services and steps
            (models, layouts and executions may be of any structure), or any two trees of floats.
        atoms: what joins as a whole; of ``Inputs`` those of ``ALWAYS_WHOLE``, and those of
            ``WHOLE_IF_UNLIKE`` whose structures differ, of other trees nothing, unless told.

    Returns:
        Factors whose logs add up, and are those of the way back with the sign turned, to 1e-12.

    Raises:
        ValueError: points that cannot be paired, or a way that leads through points of which the
            outcome is not finite.

    Source: Aumann, Shapley (1974), ch. III; Hart (1973) for what joins as a whole.

    >>> import codesign, hardware_priors
    >>> from codesign.sensitivity.inputs import inputs_of
    >>> world = hardware_priors.technology("N4", "HBM3E", "NVLink4")
    >>> decode = codesign.Decode(batch=8, context=4096)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> points = [
    ...     inputs_of(hardware_priors.device(name).design(chips=1), work, technology=world)
    ...     for name in ("h100", "h200")
    ... ]
    >>> found = explain(outcome_named("step_time"), *points)
    >>> found.factors[0].name, abs(found.remainder) < 1e-12
    ('design.memory_bandwidth', True)
    """
    before, after = as_reals(before), as_reals(after)
    if isinstance(before, Inputs) and isinstance(after, Inputs):
        before, after = _with_caps(before, after), _with_caps(after, before)
    if atoms is None:
        atoms = ()
        if isinstance(before, Inputs) and isinstance(after, Inputs):
            atoms = _differing(before, after)
    game = Game(outcome, before, after, atoms)
    shares, remainder = integrate(game)
    factors = [
        Factor(leaf.name, leaf.group, float(share), leaf.unit, *ends)
        for leaf, share, ends in zip(game.leaves, shares, game.ends, strict=False)
    ]
    for atom, share in zip(atoms, shares[len(game.leaves) :], strict=True):
        words = (atom.words(atom.where(tree)) for tree in (before, after))
        factors.append(Factor(atom.name, atom.group, float(share), "", *words))
    factors.sort(key=lambda factor: (-abs(factor.log), factor.name))
    return Explanation(tuple(factors), game.total, remainder, game.evaluations)


def _with_caps(inputs: Inputs, other: Inputs) -> Inputs:
    """Inputs in which a machine that has no power cap has its peak power for one, where the other's
    has a cap: the same outcome, and a way between them in logarithms."""
    bare = [
        float(mine.power_cap) == 0.0 < float(theirs.power_cap)
        for mine, theirs in zip(inputs.designs, other.designs, strict=False)
    ]
    if not any(bare):
        return inputs
    outcomes = fleet_at(inputs).outcomes
    kinds = [step.kind for step in steps(tuple(inputs.services))]
    designs = list(inputs.designs)
    for p in (p for p, lacks in enumerate(bare) if lacks and p in kinds):
        rated = outcomes[kinds.index(p)].rated_power
        designs[p] = dataclasses.replace(designs[p], power_cap=rated)
    return dataclasses.replace(inputs, designs=tuple(designs))


_NAMED: dict[str, Callable[[Inputs], Real]] = {}


def outcome_named(name: str) -> Callable[[Inputs], Real]:
    """Find the function that gives one outcome of a fleet, the same at every call, so that what is
    compiled for it is kept.

    Args:
        name: of the outcome (``inputs.OUTCOMES``).

    Returns:
        A function of ``Inputs``.

    >>> outcome_named("step_time") is outcome_named("step_time")
    True
    """
    if name not in _NAMED:
        _NAMED[name] = lambda inputs: getattr(fleet_at(inputs).totals, name)
    return _NAMED[name]


def _models(inputs: Inputs) -> list[object]:
    return [one.model for one in inputs.services]


def _precisions(inputs: Inputs) -> list[object]:
    return [one.precision for one in inputs.services]


def _phases(inputs: Inputs) -> list[object]:
    return [one.phase for one in inputs.services]


def _algorithms(inputs: Inputs) -> list[object]:
    return [plan.all_reduce for plan in inputs.plans]


def _tiers(inputs: Inputs) -> list[object]:
    return [plan.tiers for plan in inputs.plans]


def _execution(inputs: Inputs) -> list[object]:
    return [inputs.execution]


def _kind_names(part: list) -> str:
    return " + ".join(type(one).__name__ for one in part)


def _algorithm_names(part: list) -> str:
    """``two-shot``, or ``one-shot or two-shot`` where the faster is taken."""

    def name(row: RealArray) -> str:
        known = (key for key, numbers in ALGORITHMS.items() if np.array_equal(numbers, row))
        return next(known, "own algorithm")

    return " + ".join(
        " or ".join(name(row) for row in np.asarray(one))
        if eqx.is_array(one)
        else type(one).__name__
        for one in part
    )


ALWAYS_WHOLE = (
    Atom("model", "model", _models, lambda part: " + ".join(one.name for one in part)),
    Atom("plan.all_reduce", "plan", _algorithms, _algorithm_names),
)
"""What is never half one and half the other."""

WHOLE_IF_UNLIKE = (
    Atom("workload.precision", "precision", _precisions, _kind_names),
    Atom("workload.phase", "context", _phases, _kind_names),
    Atom("plan.tiers", "plan", _tiers, _kind_names),
    Atom("execution", "execution", _execution, _kind_names),
)
"""What joins as a whole only where the two differ in structure."""


def _shape(tree: object) -> object:
    leaves, structure = jax.tree.flatten(tree)
    return structure, tuple(np.shape(leaf) for leaf in leaves)


def _differing(before: Inputs, after: Inputs) -> list[Atom]:
    """Atoms in which two points differ."""
    found = []
    for atom in ALWAYS_WHOLE:
        parts = atom.where(before), atom.where(after)
        if _shape(parts[0]) != _shape(parts[1]) or not eqx.tree_equal(*parts):
            found.append(atom)
    for atom in WHOLE_IF_UNLIKE:
        if _shape(atom.where(before)) != _shape(atom.where(after)):
            found.append(atom)
    rest = [without(tree, found) for tree in (before, after)]
    if _shape(rest[0]) != _shape(rest[1]):
        raise ValueError(
            "the two points have different kinds of machine, services or steps:"
            f" {_counts(before)} and {_counts(after)}; expected as many of each"
        )
    return found


def _counts(inputs: Inputs) -> str:
    return (
        f"{len(inputs.designs)} machines, {len(inputs.services)} services, {len(inputs.plans)}"
        " steps"
    )

"""Explanation of a difference: factors in logs, an idea each, that add up to ln(after / before).

What can be moved by degrees goes along the straight path in logs from one point to the other, and
earns what the outcome gains by its motion (Aumann, Shapley, *Values of Non-Atomic Games*, 1974).
What cannot (which model, which algorithm, which execution: *atoms*) joins at a time that is uniform
on the path, each by itself; it earns the mean of what its arrival is worth (the value of the mixed
game: Hart, "Values of mixed games", Int. J. Game Theory 2, 1973). With H(t) the mean of the outcome
over who has arrived by t,

    H(t) = Σ_S t^|S| (1 − t)^(d − |S|) ln f(x(t), S),    ln f(B) − ln f(A) = ∫ H'(t) dt,

and H' is a sum over inputs. No order is chosen, so none matters; and the way back is the same way.

The integral is cut where the outcome bends or jumps, by bisection: a panel is done when its
quadrature agrees with the difference of its ends. Of a panel that is too short to cut, a bend is
put where both slopes meet the difference; a jump (a second chip brings collectives) goes to those
inputs that cause it.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.sensitivity.inputs import (
    Inputs,
    Leaf,
    as_reals,
    fleet_at,
    leaves_of,
    take,
)

PANELS, NODES = 8, 6
"""Equal panels that the path is cut into at first, and Gauss–Legendre nodes of each."""

CLOSED = 2e-14
"""Difference, in log units, between the quadrature of a panel and its ends that rounding
explains."""

SHORTEST = 2.0**-26
"""Panel that is not cut any more: the error of a bend in it is its square."""

LANES = 64
"""Points of the path that one call of the compiled program evaluates."""

MOST_ATOMS = 6


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


class Atom(NamedTuple):
    """A part of a tree that joins as a whole: how to find it, and what to call it."""

    name: str
    group: str
    where: Callable[[Any], Any]
    words: Callable[[Any], str]


def explain(
    outcome: Callable[[Any], Real],
    before: Any,
    after: Any,
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
    if atoms is None:
        atoms = _differing(before, after) if isinstance(before, Inputs) else ()
    game = _Game(outcome, before, after, atoms)
    shares, remainder = _integrate(game)
    factors = [
        Factor(leaf.name, leaf.group, float(share), leaf.unit, *ends)
        for leaf, share, ends in zip(game.leaves, shares, game.ends, strict=False)
    ]
    for atom, share in zip(atoms, shares[len(game.leaves) :], strict=True):
        words = (atom.words(atom.where(tree)) for tree in (before, after))
        factors.append(Factor(atom.name, atom.group, float(share), "", *words))
    factors.sort(key=lambda factor: (-abs(factor.log), factor.name))
    return Explanation(tuple(factors), game.total, remainder, game.evaluations)


_NAMED: dict[str, Callable[[Inputs], Real]] = {}


def outcome_named(name: str) -> Callable[[Inputs], Real]:
    """The function that gives one outcome of a fleet by its name (``inputs.OUTCOMES``), the same at
    every call, so that what is compiled for it is kept."""
    if name not in _NAMED:
        _NAMED[name] = lambda inputs: getattr(fleet_at(inputs).totals, name)
    return _NAMED[name]


def _models(inputs: Inputs) -> Any:
    return [one.model for one in inputs.services]


def _precisions(inputs: Inputs) -> Any:
    return [one.precision for one in inputs.services]


def _phases(inputs: Inputs) -> Any:
    return [one.phase for one in inputs.services]


def _algorithms(inputs: Inputs) -> Any:
    return [plan.all_reduce for plan in inputs.plans]


def _tiers(inputs: Inputs) -> Any:
    return [plan.tiers for plan in inputs.plans]


def _execution(inputs: Inputs) -> Any:
    return [inputs.execution]


def _kind_names(part: Any) -> str:
    return " + ".join(type(one).__name__ for one in part)


ALWAYS_WHOLE = (
    Atom("model", "model", _models, lambda part: " + ".join(one.name for one in part)),
    Atom("plan.all_reduce", "plan", _algorithms, lambda part: "algorithm"),
)
"""What is never half one and half the other."""

WHOLE_IF_UNLIKE = (
    Atom("workload.precision", "precision", _precisions, _kind_names),
    Atom("workload.phase", "context", _phases, _kind_names),
    Atom("plan.tiers", "plan", _tiers, _kind_names),
    Atom("execution", "execution", _execution, _kind_names),
)
"""What joins as a whole only where the two differ in structure."""


def _shape(tree: Any) -> Any:
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
    rest = [_without(tree, found) for tree in (before, after)]
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


def _without(tree: Any, atoms: Sequence[Atom]) -> Any:
    """The tree with its atoms taken out."""
    for atom in atoms:
        tree = _put(tree, atom, [None] * len(atom.where(tree)))
    return tree


def _put(tree: Any, atom: Atom, part: Any) -> Any:
    return eqx.tree_at(atom.where, tree, part, is_leaf=lambda leaf: leaf is None)


class _Game:
    """The outcome along the way from one point to another, with any of the atoms of either."""

    def __init__(
        self, outcome: Callable[[Any], Real], before: Any, after: Any, atoms: Sequence[Atom]
    ):
        if len(atoms) > MOST_ATOMS:
            raise ValueError(f"{len(atoms)} parts differ as wholes; expected at most {MOST_ATOMS}")
        self.outcome, self.evaluations = outcome, 0
        bare = [_without(tree, atoms) for tree in (before, after)]
        leaves, self.structure = jax.tree.flatten(bare[0])
        others = jax.tree.leaves(bare[1])
        # an integer that is no number of the model's, as the range of a batch, stays as it is
        self.leaves: list[Leaf] = [
            leaf
            for leaf in leaves_of(bare[0])
            if float(_element(leaves, leaf)) != float(_element(others, leaf))
        ]
        self.ends = [(take(bare[0], leaf), take(bare[1], leaf)) for leaf in self.leaves]
        low = np.array([float(_element(leaves, leaf)) for leaf in self.leaves])
        high = np.array([float(_element(others, leaf)) for leaf in self.leaves])
        positive = np.array([not leaf.logarithm for leaf in self.leaves], dtype=bool)
        self.logs = positive & (low > 0) & (high > 0)
        self.low, self.high, self.base = low, high, leaves
        self.coalitions = list(itertools.product((0, 1), repeat=len(atoms)))
        self.parts = [
            tuple(
                atom.where((before, after)[side])
                for atom, side in zip(atoms, coalition, strict=True)
            )
            for coalition in self.coalitions
        ]
        self.atoms = tuple(atoms)
        ends = self.means(np.array([0.0, 1.0]))
        self.total = float(ends[1] - ends[0])

    def of(self, coalition: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln f and its slopes by the places of all inputs on the path; ``at`` (points, inputs)."""
        parts, values, slopes = self.parts[coalition], [], []
        program = _program(
            self.outcome, self.structure, tuple(self.leaves), tuple(self.logs), self.atoms
        )
        for first in range(0, len(at), LANES):
            rows = at[first : first + LANES]
            filled = np.concatenate([rows, np.repeat(rows[-1:], LANES - len(rows), axis=0)])
            value, slope = program(jnp.asarray(filled), self.base, (self.low, self.high), parts)
            values.append(np.asarray(value)[: len(rows)])
            slopes.append(np.asarray(slope)[: len(rows)])
        self.evaluations += len(at)
        found = np.concatenate(values), np.concatenate(slopes)
        if not (np.isfinite(found[0]).all() and np.isfinite(found[1]).all()):
            raise ValueError(
                "the way between the two points leads through inputs of which the outcome is not"
                " finite; expected two points of machines that could be"
            )
        return found

    def diagonal(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """H and the parts of its slope: by every input, then by every atom; ``t`` (points,)."""
        at = np.repeat(t[:, None], len(self.leaves), axis=1)
        found = [self.of(k, at) for k in range(len(self.coalitions))]
        count = len(self.atoms)
        means, slopes = np.zeros(len(t)), np.zeros((len(t), len(self.leaves) + count))
        for members, (values, by_input) in zip(self.coalitions, found, strict=True):
            weight = self._chance(t, members)
            means += weight * values
            slopes[:, : len(self.leaves)] += weight[:, None] * by_input
            for k, joined in enumerate(members):
                others = members[:k] + members[k + 1 :]
                sign = 1.0 if joined else -1.0
                slopes[:, len(self.leaves) + k] += sign * self._chance(t, others) * values
        return means, slopes

    def means(self, t: np.ndarray) -> np.ndarray:
        """H at points of the path."""
        return self.diagonal(t)[0]

    @staticmethod
    def _chance(t: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
        """Probability that just these atoms have arrived by t."""
        joined = sum(members)
        return t**joined * (1.0 - t) ** (len(members) - joined)

    def jump(self, start: float, end: float) -> np.ndarray:
        """What each input alone makes of a jump between two points: the mean of moving it first and
        of moving it last, which is Shapley's value where at most two cause it."""
        count = len(self.leaves)
        found = np.zeros(count + len(self.atoms))
        middle = np.array([0.5 * (start + end)])
        moves = np.eye(count) * (end - start)
        rows = np.concatenate(
            [np.full((1, count), start), start + moves, np.full((1, count), end), end - moves]
        )
        for k, members in enumerate(self.coalitions):
            values = self.of(k, rows)[0]
            first = values[1 : 1 + count] - values[0]
            last = values[1 + count] - values[2 + count :]
            found[:count] += self._chance(middle, members) * 0.5 * (first + last)
        return found


@functools.lru_cache(maxsize=16)
def _program(
    outcome: Callable[[Any], Real],
    structure: Any,
    leaves: tuple[Leaf, ...],
    logs: tuple[bool, ...],
    atoms: tuple[Atom, ...],
) -> Callable[..., Any]:
    """ln f and its slopes at places on the path (points, inputs), compiled once a structure."""

    def log_outcome(at: Real, base: Any, ends: Any, parts: Any) -> Real:
        values = _along(at, ends[0], ends[1], np.array(logs, dtype=bool))
        changed = list(base)
        for k, leaf in enumerate(leaves):
            if leaf.element is None:
                changed[leaf.leaf] = values[k]
            else:
                index = np.unravel_index(leaf.element, np.shape(base[leaf.leaf]))
                changed[leaf.leaf] = jnp.asarray(changed[leaf.leaf]).at[index].set(values[k])
        tree = jax.tree.unflatten(structure, changed)
        for atom, part in zip(atoms, parts, strict=True):
            tree = _put(tree, atom, part)
        return jnp.log(outcome(tree))

    each = jax.vmap(jax.value_and_grad(log_outcome), in_axes=(0, None, None, None))
    return compiled(SELDOM)(each)


def _along(at: Real, low: Any, high: Any, logs: np.ndarray) -> Real:
    """Values at places between two ends, exact at both: a whole number stays whole."""
    ratio = jnp.where(logs, high, 1.0) / jnp.where(logs, low, 1.0)
    near = at < 0.5
    power = jnp.where(near, at, at - 1.0)
    end = jnp.where(near, low, high)
    return jnp.where(logs, end * ratio**power, end + power * (high - low))


def _element(leaves: Sequence[Any], leaf: Leaf) -> Any:
    value = leaves[leaf.leaf]
    return value if leaf.element is None else np.ravel(value)[leaf.element]


def _integrate(game: _Game) -> tuple[np.ndarray, float]:
    """Shares of all inputs and atoms, and what they miss of the total."""
    shares = np.zeros(len(game.leaves) + len(game.atoms))
    if not len(shares):
        return shares, game.total
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    edges = np.linspace(0.0, 1.0, PANELS + 1)
    panels = list(itertools.pairwise(edges))
    while panels:
        starts, ends = (np.array(side) for side in zip(*panels, strict=True))
        widths = ends - starts
        points = starts[:, None] + widths[:, None] * nodes
        _, inside = game.diagonal(points.ravel())
        at_ends, end_slopes = game.diagonal(np.concatenate([starts, ends]))
        gains = at_ends[len(panels) :] - at_ends[: len(panels)]
        inside = inside.reshape(len(panels), NODES, -1)
        summed = widths[:, None] * np.einsum("n,pnk->pk", weights, inside)
        missing = gains - summed.sum(axis=1)
        again = []
        for p, (start, end) in enumerate(panels):
            if abs(missing[p]) <= CLOSED:
                shares += summed[p]
            elif widths[p] > SHORTEST:
                middle = 0.5 * (start + end)
                again += [(start, middle), (middle, end)]
            else:
                slopes = end_slopes[p], end_slopes[len(panels) + p]
                shares += _at_a_break(game, start, end, float(gains[p]), slopes)
        panels = again
    return shares, float(game.total - shares.sum())


def _at_a_break(
    game: _Game, start: float, end: float, gain: float, slopes: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Shares of a panel that is too short to be cut: of a bend or of a jump."""
    width = end - start
    left, right = (float(slope.sum()) for slope in slopes)
    if left != right:
        place = (gain / width - right) / (left - right)
        if 0.0 <= place <= 1.0:
            return width * (place * slopes[0] + (1.0 - place) * slopes[1])
    smooth = 0.5 * width * (slopes[0] + slopes[1])
    missing = gain - float(smooth.sum())
    caused = game.jump(start, end)
    caused = np.where(np.abs(caused) > 0.01 * np.abs(caused).max(initial=0.0), caused, 0.0)
    total = float(caused.sum())
    return smooth + (missing / total * caused if total != 0.0 else 0.0)

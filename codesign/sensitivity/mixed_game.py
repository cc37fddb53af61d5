"""The value of a mixed game: what each input earns along the straight path between two points.

With H(t) the mean of ln f over who of the atoms has arrived by t (``explanation``), every input
earns the integral of its part of H'. The integral is cut where the outcome bends or jumps, by
bisection: a panel is done when its quadrature agrees with the difference of its ends. Of a panel
that is too short to be cut, a bend is put where both slopes meet the difference; a jump (a second
chip brings collectives) goes to those inputs that cause it.
"""

import functools
import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from codesign.numerics.compilation import SELDOM, Compiled, compiled
from codesign.numerics.fields import IntArray, Real
from codesign.sensitivity.inputs import Leaf, leaves_of, take

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

MOST_PANELS = 4096
"""Panels at a time beyond which an outcome is not what its derivative says."""


Point = TypeVar("Point")


class Atom(NamedTuple):
    """A part of a tree that joins as a whole: how to find it, and what to call it."""

    name: str
    group: str
    where: Callable[..., list]
    words: Callable[[list], str]


def without(tree: Point, atoms: Sequence[Atom]) -> Point:
    """The tree with its atoms taken out."""
    for atom in atoms:
        tree = put(tree, atom, [None] * len(atom.where(tree)))
    return tree


def put(tree: Point, atom: Atom, part: list) -> Point:
    return eqx.tree_at(atom.where, tree, part, is_leaf=lambda leaf: leaf is None)


class Game:
    """The outcome along the way from one point to another, with any of the atoms of either."""

    def __init__(
        self,
        outcome: Callable[[Point], Real],
        before: Point,
        after: Point,
        atoms: Sequence[Atom],
    ):
        if len(atoms) > MOST_ATOMS:
            raise ValueError(f"{len(atoms)} parts differ as wholes; expected at most {MOST_ATOMS}")
        self.outcome, self.evaluations = outcome, 0
        bare = [without(tree, atoms) for tree in (before, after)]
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
            self.outcome, self.structure, tuple(self.leaves), tuple(self.logs.tolist()), self.atoms
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
    outcome: Callable[[Point], Real],
    structure: Hashable,
    leaves: tuple[Leaf, ...],
    logs: tuple[bool, ...],
    atoms: tuple[Atom, ...],
) -> Compiled[tuple[Array, Array]]:
    """ln f and its slopes at places on the path (points, inputs), compiled once a structure."""

    def log_outcome(
        at: Array, base: Sequence[Real | IntArray], ends: tuple[Array, Array], parts: Sequence[list]
    ) -> Array:
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
            tree = put(tree, atom, part)
        return jnp.log(outcome(tree))

    each = jax.vmap(jax.value_and_grad(log_outcome), in_axes=(0, None, None, None))
    return compiled(SELDOM)(each)


def _along(at: Array, low: Array, high: Array, logs: np.ndarray) -> Array:
    """Values at places between two ends, exact at both: a whole number stays whole."""
    ratio = jnp.where(logs, high, 1.0) / jnp.where(logs, low, 1.0)
    near = at < 0.5
    power = jnp.where(near, at, at - 1.0)
    end = jnp.where(near, low, high)
    return jnp.where(logs, end * ratio**power, end + power * (high - low))


def _element(leaves: Sequence[Real | IntArray], leaf: Leaf) -> Real | IntArray:
    value = leaves[leaf.leaf]
    return value if leaf.element is None else np.ravel(value)[leaf.element]


def integrate(game: Game) -> tuple[np.ndarray, float]:
    """Shares of all inputs and atoms, and what they miss of the total."""
    shares = np.zeros(len(game.leaves) + len(game.atoms))
    if not len(shares):
        return shares, game.total
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = 0.5 * (nodes + 1.0), 0.5 * weights
    edges = np.linspace(0.0, 1.0, PANELS + 1)
    panels = list(itertools.pairwise(edges))
    while panels:
        if len(panels) > MOST_PANELS:
            raise ValueError(
                "the outcome changes on the way by other amounts than its derivative says;"
                " expected a function that is smooth but for bends and jumps"
            )
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
    game: Game, start: float, end: float, gain: float, slopes: tuple[np.ndarray, np.ndarray]
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

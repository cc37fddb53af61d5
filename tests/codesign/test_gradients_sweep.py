"""Every gradient is exact: reverse mode, forward mode and differences agree for every float of
every argument.

The scalar is a random mixture of logarithms of all that an evaluation or a service says, so
derivatives are elasticities and do not cancel by chance. At a tie (``numerics.ties``) the gradient
is the slope of one side: of the legal one at an end of a range. Ties within a difference's reach
count as ties.
"""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import codesign
import codesign.evaluation
from codesign.evaluation import evaluate
from codesign.limits import stack_limits
from codesign.numerics.compilation import SELDOM, compiler_options
from tests.codesign.gradient_points import EXECUTIONS, MODELS, PHASES, Point, ends, points, sizes
from tests.examples import thorough

COUNT = 100
STEP = 4e-7
"""Of a number's size: within the 1e-6 for which a group still has one chip
(``collectives.several``), before the step."""

TOLERANCE = 1e-6
"""Of an elasticity, absolute and relative."""

CURVED = 3e-6
"""The same for a one-sided difference over ``STEP``: its error is STEP/2 × curvature."""

SWITCHES = ("plan.kv_ideal",)
"""Zero or one: what lies between or beyond is out of range, where ``validity`` spoils every
outcome."""

STEEP = 10.0
"""A difference beyond this is of a step, which has no derivative."""


def mixture(point: Point, weights: Any) -> jax.Array:
    """A random mixture of the logarithms of everything that is said."""
    if point.serving is None:
        outcome = evaluate(
            point.design,
            point.work,
            point.plan,
            technology=point.technology,
            execution=point.execution,
        )
        figures = [
            outcome.step_time,
            outcome.time_per_token,
            outcome.capacity_needed,
            outcome.capital_cost,
            outcome.running_cost,
            outcome.cost_per_token,
            outcome.mean_power,
            outcome.provisioned_power,
            outcome.energy_per_token,
            outcome.area.total,
        ]
        logs = jnp.concatenate([jnp.log(jnp.stack(figures)), stack_limits(outcome.limits)])
    else:
        pool = codesign.Pool(point.design, point.plan)
        service = codesign.serve(
            point.work.model,
            point.serving,
            pool,
            technology=point.technology,
            precision=point.work.precision,
            execution=point.execution,
            first_promise=1e3,
            token_promise=1e3,
        )
        figures = [
            service.time_to_first_token,
            service.time_per_token,
            service.requests_per_second,
            service.goodput,
            service.capital_cost,
            service.running_cost,
            service.cost_per_output_token,
            service.provisioned_power,
        ]
        logs = jnp.log(jnp.stack(figures))
    return (
        jnp.sum(jnp.where(jnp.isfinite(logs), logs, 0.0) * weights[: logs.size].astype(logs.dtype))
        / logs.size
    )


def names(point: Point) -> list[str]:
    """The name of each number, elements of arrays one by one."""
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(point):
        size = int(np.prod(leaf.shape[1:]))
        found += [jax.tree_util.keystr(path) + (f"[{k}]" if size > 1 else "") for k in range(size)]
    return found


class Derivatives:
    """Elasticities by reverse and by forward mode and one-sided differences, each (points,
    numbers)."""

    def __init__(self, given: Point):
        self.point, self.names, self.ends = given, names(given), ends(given)
        weights = 1.0 + jax.random.uniform(jax.random.key(0), (40,), float)

        def everything(one: tuple[Point, Point]) -> Any:
            numbers, point_of = ravel_pytree(one[0])
            steps = jnp.diag(ravel_pytree(one[1])[0])

            def value(numbers: jax.Array) -> jax.Array:
                return mixture(point_of(numbers), weights)

            both_ways = STEP * jnp.concatenate([-steps, steps])
            moved = jax.vmap(lambda step: value(numbers + step))(both_ways)
            here, tangent = jax.linearize(value, numbers)
            (gradient,) = jax.linear_transpose(tangent, numbers)(
                jnp.ones_like(here)
            )  # what jax.grad does
            reverse, forward = steps @ gradient, jax.vmap(tangent)(steps)
            below, above = ((moved - here) / STEP).reshape(2, -1) * jnp.array([[-1.0], [1.0]])
            return reverse, forward, below, above

        run = jax.jit(
            lambda both: jax.lax.map(everything, both), compiler_options=compiler_options(SELDOM)
        )
        both = jax.tree.map(jnp.asarray, (given, sizes(given)))
        self.reverse, self.forward, self.below, self.above = map(np.asarray, run(both))

    def wrong(self) -> dict[str, str]:
        """By number, the worst point at which its gradient is not the slope of an allowed side."""
        found = {}
        for k, name in enumerate(self.names):
            if name.endswith(SWITCHES):
                continue
            reverse, below, above = self.reverse[:, k], self.below[:, k], self.above[:, k]
            margin = CURVED * (1.0 + np.abs(reverse))
            lower, upper = self.ends.get(name, (np.zeros(len(reverse), bool),) * 2)
            central = np.abs((below + above) / 2 - reverse) / TOLERANCE * CURVED
            sides = np.abs(below - reverse), np.abs(above - reverse)
            off = np.where(
                np.abs(above - below) < margin,
                np.minimum(central, np.minimum(*sides)),
                np.minimum(*sides),
            )
            off = np.where(lower & ~upper, sides[1], np.where(upper & ~lower, sides[0], off))
            off = np.where(
                (lower & upper) | (lower & (np.abs(above) > STEEP)), 0.0, off
            )  # no side is legal, or it is a step's
            worst = int(np.argmax(off / margin))
            if not off[worst] <= margin[worst]:
                count = int(np.sum(~(off <= margin)))
                found[name] = (
                    f"{count} points; at {worst}: {reverse[worst]:.8g}, below {below[worst]:.8g},"
                    f" above {above[worst]:.8g}"
                )
        return found


DAILY = [
    ("dense", "serving", "limit"),
    ("window", "prefill", "operatorwise"),
    ("latent", "draft", "smooth"),
    ("mixture", "decode", "operatorwise"),
]
"""Every phase and all models but the hybrid; compiling one takes 20 s of a processor, so all pairs
wait for the nightly profile."""

ALL = list(itertools.product(MODELS, PHASES, EXECUTIONS))


@pytest.mark.parametrize(("model", "phase", "execution"), ALL if thorough() else DAILY)
def test_reverse_mode_is_forward_mode_and_the_slope_of_the_legal_side(model, phase, execution):
    found = Derivatives(points(model, phase, execution, COUNT))
    assert np.isfinite(found.reverse).all()
    np.testing.assert_allclose(found.reverse, found.forward, rtol=1e-9, atol=1e-11)
    assert found.wrong() == {}
    assert (np.abs(found.reverse) > 1e-6).any(axis=0).mean() > 0.5, "most numbers matter somewhere"


def gradients(given: Point) -> Any:
    """Elasticities by reverse mode, (points, numbers), in the dtype of the point."""

    def one(both: tuple[Point, Point]) -> Any:
        weights = jnp.linspace(1.0, 2.0, 40, dtype=both[0].design.chips.dtype)
        return flat(jax.grad(mixture)(both[0], weights)) * flat(both[1])

    run = jax.jit(lambda both: jax.lax.map(one, both), compiler_options=compiler_options(SELDOM))
    return np.asarray(run((given, sizes(given))))


def flat(tree: Any) -> jax.Array:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


SINGLE = [("dense", "prefill"), ("mixture", "decode"), ("window", "prefill"), ("latent", "draft")]


@pytest.mark.parametrize(("model", "phase"), SINGLE if thorough() else SINGLE[:1])
def test_float32_gradients_are_those_of_float64(model, phase):
    """At random points: at ties, float32 may round to another side."""
    drawn = jax.tree.map(lambda leaf: leaf[::2], points(model, phase, "operatorwise", COUNT))
    single = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), drawn)
    exact = gradients(jax.tree.map(lambda leaf: jnp.asarray(leaf, float), single))
    with jax.enable_x64(False):
        rounded = gradients(jax.tree.map(jnp.asarray, single))
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, exact, rtol=1e-3, atol=1e-3)


HESSIANS = [("dense", "prefill", "operatorwise"), ("mixture", "decode", "dataflow")]


@pytest.mark.parametrize(("model", "phase", "execution"), HESSIANS if thorough() else ())
def test_hessians_are_symmetric(model, phase, execution):
    given = points(model, phase, execution, COUNT)
    weights = jnp.linspace(1.0, 2.0, 40)

    def sides(both: tuple[Point, Point]) -> Any:
        numbers, point_of = ravel_pytree(both[0])
        directions = (
            jax.random.normal(jax.random.key(1), (2, numbers.size)) * ravel_pytree(both[1])[0][None]
        )
        gradient = jax.grad(lambda numbers: mixture(point_of(numbers), weights))
        curved = jax.vmap(lambda direction: jax.jvp(gradient, (numbers,), (direction,))[1])(
            directions
        )
        return directions @ curved.T

    run = jax.jit(lambda both: jax.lax.map(sides, both), compiler_options=compiler_options(SELDOM))
    second = np.asarray(run(jax.tree.map(jnp.asarray, (given, sizes(given)))))
    assert np.isfinite(second).all()
    np.testing.assert_allclose(second[:, 0, 1], second[:, 1, 0], rtol=1e-8, atol=1e-8)

"""Which values are legal: concrete ones outside are refused, traced ones spoil the outcome.

Inside ``jit``, ``vmap`` and ``grad`` a value cannot be looked at. An illegal one is therefore
replaced by one inside its range, so that nothing becomes NaN, and the outcome is spoiled: every
limit is violated, every gain next to nothing, every cost next to infinite. All of them grow worse
with the distance from the range, so that an optimiser that walks out of it is sent back.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import GetAttrKey, keystr

from codesign.argument_types import check_scalars
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real, Tree, Truth
from codesign.performance.plan import Plan
from codesign.workload.phases import Phase
from codesign.workload.transformer import Transformer, routings
from codesign.workload.workload import Workload


class Range(NamedTuple):
    """Legal values of one quantity; ``above`` excludes the lower end, ``name`` is for messages
    where the field's own says too little."""

    low: float
    high: float = math.inf
    above: bool = False
    name: str = ""

    @property
    def inside(self) -> float:
        """A value well inside, which stands for an illegal one where NaN must not arise."""
        if math.isinf(self.low):
            return 0.0
        return self.low + 1.0 if math.isinf(self.high) else 0.5 * (self.low + self.high)


NOT_NEGATIVE = Range(0.0)
POSITIVE = Range(0.0, above=True)
COUNT = Range(1.0)
SHARE = Range(0.0, 1.0)

RANGES: dict[str, dict[str, Range]] = {
    "design": {
        **dict.fromkeys(
            (
                "memory_bandwidth",
                "memory_capacity",
                "peak_flops",
                "link_bandwidth",
                "sram_capacity",
                "sram_bandwidth",
                "scale_out_bandwidth",
                "clock",
            ),
            POSITIVE,
        ),
        **dict.fromkeys(("chips", "dies", "scale_up_domain"), COUNT),
    },
    "phase": {
        "batch": POSITIVE,
        "prompt": POSITIVE,
        "cached": Range(
            0.0, 1.0 - 1e-7, name="cached share of the prompt"
        ),  # below 1 in single precision too
        "length": Range(0.0, name="draft length"),
        "acceptance": Range(0.0, 1.0, name="draft acceptance"),
        "cost": Range(0.0, name="draft cost"),
        "output": POSITIVE,
        "chunk": POSITIVE,
        "load": Range(0.0, 1.0 - 1e-7),
    },
    **{
        name: {name: POSITIVE}
        for name in ("promise", "first_promise", "token_promise", "instances")
    },
    "precision": {
        **dict.fromkeys(
            (
                "weight_bits",
                "expert_weight_bits",
                "state_bits",
                "activation_bits",
                "message_bits",
                "recurrent_bits",
                "input_bits",
            ),
            POSITIVE,
        ),
    },
    "plan": {
        **{
            name: Range(1.0, name=f"plan's {name} degree")
            for name in ("pipeline", "context", "data", "expert", "expert_copies", "routing_skew")
        },
        "kv_ideal": SHARE,
        "all_reduce": Range(-math.inf),
        **dict.fromkeys(("weights_on_chip", "weights_in_pool", "state_in_pool"), SHARE),
    },
    "model": {},
    "technology": {},
}
"""Legal ranges by what is stated and its field; a field that is not named may not be negative.
Everything must be finite."""

WHOLE = 1.0 - 1e-6
"""Least tensor degree: one chip, up to the rounding of single precision."""


class Stated(NamedTuple):
    """One number that somebody stated, or that follows from several."""

    name: str
    value: Real
    range: Range


def _leaves(what: str, tree: object) -> Iterator[Stated]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        fields = [key.name for key in path if isinstance(key, GetAttrKey)] or [what]
        legal = RANGES[what].get(fields[-1], NOT_NEGATIVE)
        deep = what in ("model", "technology")
        own = (
            " ".join(fields) if what == "precision" else fields[-1]
        )  # a part of the model may have its own precision
        yield Stated(legal.name or (f"{what}{keystr(path)}" if deep else own), leaf, legal)


def _derived(design: Design, plan: Plan) -> Iterator[Stated]:
    """What must hold between several numbers."""
    groups = plan.pipeline * plan.context * plan.data
    shown = [value for value in (_concrete(design.chips), _concrete(groups)) if value is not None]
    chips, count = (f"{np.max(value):g}" for value in shown) if len(shown) == 2 else ("", "")
    yield Stated(
        f"tensor degree of {chips} chips in {count} pipeline, context and data groups",
        design.chips / groups,
        Range(WHOLE),
    )
    if plan.tiers is None:
        return
    yield Stated(
        "weights on chip and in pool together",
        plan.tiers.weights_on_chip + plan.tiers.weights_in_pool,
        SHARE,
    )
    pooled = (plan.tiers.weights_in_pool > 0.0) | (plan.tiers.state_in_pool > 0.0)
    reached = jnp.where(pooled, design.pool_bandwidth, 1.0)
    yield Stated("pool bandwidth of a plan that keeps bytes in a pool", reached, POSITIVE)


# --- concrete values ------------------------------------------------------------------------------
# -------------------------------


def check(design: Design, workload: Workload, plan: Plan, technology: Technology) -> None:
    """Refuse concrete arguments outside their range, by name and value; traced ones pass.

    Raises:
        TypeError: an array where one number is meant.
        ValueError: naming the first offending quantity, its value and what was expected.
    """
    stated = (
        ("design", design),
        ("phase", workload.phase),
        ("promise", workload.promise),
        ("precision", workload.precision),
        ("plan", plan),
        ("model", workload.model),
        ("technology", technology),
    )
    for what, tree in stated:
        check_part(what, tree)
    _check_mixtures(workload.model)
    for one in _derived(design, plan):
        _require(one)
    for what, tree in stated[:-1]:
        check_scalars(what, tree)


def check_part(what: str, tree: object) -> None:
    """Refuse concrete numbers of one part (a key of ``RANGES``) outside their range.

    Raises:
        ValueError: naming the first offending quantity, its value and what was expected.
    """
    for one in _leaves(what, tree):
        _require(one)


def _check_mixtures(model: Transformer) -> None:
    """All layers with experts must have the same number of them: routing is computed once per
    step."""
    mixtures = routings(model)
    for mixture in mixtures:
        experts, active = _concrete(mixture.experts), _concrete(mixture.active)
        if experts is not None and active is not None:
            _require(Stated("active experts", active, Range(1.0, float(np.max(experts)))))
    for name in ("experts", "active"):
        values = [
            value
            for mixture in mixtures
            if (value := _concrete(getattr(mixture, name))) is not None
        ]
        if len(values) > 1 and any((value != values[0]).any() for value in values[1:]):
            shown = ", ".join(f"{value:g}" for value in values)
            what = {"experts": "experts", "active": "active experts"}[name]
            raise ValueError(
                f"layers with experts have {shown} {what}; expected the same number in all of them"
            )


def _concrete(value: object) -> np.ndarray | None:
    return None if isinstance(value, Tracer) else np.asarray(value)


def _require(stated: Stated) -> None:
    value, legal = _concrete(stated.value), stated.range
    if value is None:
        return
    good = (
        np.isfinite(value)
        & (value > legal.low if legal.above else value >= legal.low)
        & (value <= legal.high)
    )
    if not good.all():
        relation, worst = (
            "more than" if legal.above else "at least",
            np.ravel(value)[np.argmin(np.ravel(good))],
        )
        least = "" if math.isinf(legal.low) else f" {relation} {round(legal.low, 5):g}"
        most = "" if math.isinf(legal.high) else f" and at most {round(legal.high, 5):g}"
        raise ValueError(
            f"{stated.name.replace('_', ' ')} is {worst:g}; expected a finite number{least}{most}"
        )


# --- traced values --------------------------------------------------------------------------------
# -------------------------------


class Legal(NamedTuple):
    """Arguments with illegal numbers replaced, and how far those were from their ranges: 0 where
    there were none [1]."""

    design: Design
    phase: Phase
    promise: Real
    plan: Plan
    distance: Real


def legal(design: Design, phase: Phase, promise: Real, plan: Plan) -> Legal:
    """Replace what is outside its range, number by number; legal ones keep every bit and their
    derivatives."""
    stated: list[Stated] = []

    def inside(what: str, tree: Tree) -> Tree:
        own = list(_leaves(what, tree))
        stated.extend(own)
        moved = [jnp.where(_good(one), one.value, one.range.inside) for one in own]
        return jax.tree.unflatten(jax.tree.structure(tree), moved)

    parts = inside("design", design), inside("phase", phase)
    rest = inside("promise", promise), inside("plan", plan)
    return Legal(*parts, *rest, _distance(stated))


def _good(stated: Stated) -> Truth:
    value, range_ = jnp.asarray(stated.value), stated.range
    most = float(jnp.finfo(value.dtype).max)
    good = (value > range_.low) if range_.above else (value >= max(range_.low, -most))
    return good & (value <= min(range_.high, most))


def _distance(stated: Sequence[Stated]) -> Real:
    """How far numbers are from their ranges, together; the gradient points back into them. One
    array: one small program."""
    values = jnp.concatenate([jnp.ravel(one.value) for one in stated])
    good = jnp.concatenate([jnp.ravel(_good(one)) for one in stated])
    inside = np.concatenate(
        [np.full(np.size(one.value), one.range.inside) for one in stated]
    ).astype(values.dtype)
    # not |value - inside|: a fused multiply-add leaves the rounding of the value in a difference of
    # equals
    return jnp.sum(jnp.where(good, 0.0, jnp.abs(values - inside)))


def far_from_legal(
    model: Transformer,
    technology: Technology,
    machines: Sequence[tuple[Design, Plan]],
    *parts: tuple[str, object],
) -> Real:
    """How far what ``legal`` does not look at is from its ranges: 0 where legal [1].

    That is a model, a technology, what must hold between a plan and its machine, and other parts
    (keys of ``RANGES``).
    """
    stated = [
        one
        for what, tree in (("model", model), ("technology", technology), *parts)
        for one in _leaves(what, tree)
    ]
    more = [
        Stated("", mixture.experts - mixture.active, NOT_NEGATIVE) for mixture in routings(model)
    ]
    between = [one for machine in machines for one in _derived(*machine)]
    return _distance([*stated, *more, *between])

"""How tokens fall on experts: how many experts a step touches, and how much the busiest chip gets.

Routing is a random draw. Every token picks ``active`` distinct experts out of ``experts``,
uniformly and independently of the other tokens (a *judged* idealisation of a balanced router;
popularity-skewed variants are ``codesign.workload.skewed_experts``). Chips of one group hold
``experts / groups`` whole experts each. The slowest chip sets the pace, so what counts is the
expected maximum over chips.

Both maxima are one urn problem. Draw n of N = n + u slots, split evenly over G chips: what is the
expected largest number of slots drawn on one chip, H(n, u, G)?

- Touched experts: given how many experts are touched, every set of that size is equally likely, so
  the urn with N = E is exact; the number touched varies, hence ``draws_variance``.
- Rows: m tokens send n = m·k rows. An urn with n draws has chip variance n/G·(1 − 1/G)·u/(N − 1);
  independent tokens give n/G·(1 − 1/G)·(E − k)/(E − 1). Both agree for u = (E − k)(n − 1)/(k − 1),
  which is also exact for one token (N = E) and for k = 1 (u = ∞, balls into bins).

H itself is ``codesign.workload.urn.largest_share``.

Error (experts 8, 64, 128, 256, 384; active 2, 4, 6, 8; 25 or more row counts from 1 to 2,048 or
4,096; groups every divisor ≥ 2 of experts): of ``busiest_touched`` against enumeration
(``tests/codesign/oracle_routing.py``), of ``busiest_rows`` against simulation of the uniform
routing (20,000 runs, standard error ≤ 0.3 %):

===============  =======  ======================================================================
function         worst    worst at
===============  =======  ======================================================================
busiest_touched  1.7 %    384 experts, 4 active, 101 rows, 48 groups (8 a chip, nearly all touched)
busiest_rows     1.8 %    8 experts, 6 active, 8 rows, 8 groups
===============  =======  ======================================================================

One active expert: 2.6 % (8 experts, 2 rows, 2 groups) and 1.6 %. With whole experts per chip
``busiest_touched`` never falls as rows rise (to rounding; ``busiest_rows`` by at most 4e-6).
Between whole ones both interpolate, and ``busiest_touched`` may fall by up to 3e-5 in narrow places
(5 of 1,500 random points).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero
from jaxtyping import ArrayLike

from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real, RealArray
from codesign.workload.urn import largest_share


@declares(Curvature.CONCAVE, rows=(1.0, 1e5))
def touched_experts(experts: Real, active: Real, rows: Real) -> RealArray:
    """Expected number of distinct experts that ``rows`` tokens are sent to: E (1 − (1 − k/E)^m)
    [1].

    Exact for uniform routing, since a token misses a given expert with probability 1 − k/E. All
    arguments are real and broadcast; 1 ≤ active ≤ experts, rows ≥ 1. At active = experts it is E,
    with derivatives from fewer active ones.

    Log-log curvature: log-concave in rows with the rest fixed (log(1 − e^(−a·e^s)) is concave in
    s), so that its chord in log-log is its convex envelope.

    >>> round(float(touched_experts(256.0, 8.0, 64.0)), 1)
    222.4
    """
    experts, active, rows = _floats(experts, active, rows)
    # where none is missed, 0^m has the slope 1 of one row and 0 of more
    all_active = experts - jnp.where(rows > 1.0, 0.0, experts - active)
    return jnp.where(
        active < experts, -experts * jnp.expm1(rows * _log_miss(experts, active)), all_active
    )


def _with_partials(function: Callable[..., RealArray]) -> Callable[..., RealArray]:
    """Differentiate an elementwise function by its partial derivatives, computed once and only
    where they are needed.

    Plain reverse mode would replay the function's hundreds of operations for every output; here
    that is one product.
    """
    with_partials = jax.custom_jvp(function)

    def rule(
        primals: tuple[RealArray, ...], tangents: tuple[Array | SymbolicZero, ...]
    ) -> tuple[RealArray, RealArray]:
        value, change = None, 0.0
        for k, tangent in enumerate(tangents):
            if isinstance(tangent, SymbolicZero):
                continue

            def along(x: RealArray, k: int = k) -> RealArray:
                return function(*primals[:k], x, *primals[k + 1 :])

            value, partial = jax.jvp(along, (primals[k],), (jnp.ones_like(primals[k]),))
            change = change + partial * tangent
        value = function(*primals) if value is None else value
        return value, jnp.zeros_like(value) + change

    with_partials.defjvp(rule, symbolic_zeros=True)

    @functools.wraps(function)
    def broadcasting(*values: Real) -> RealArray:
        return with_partials(*_floats(*values))

    return broadcasting


@_with_partials
def busiest(experts: RealArray, active: RealArray, rows: RealArray, groups: RealArray) -> RealArray:
    """``busiest_touched`` and ``busiest_rows``, along a leading axis: one urn problem of two, so
    one small program."""
    missed = _log_miss(experts, active)
    touched, spare = touched_experts(experts, active, rows), experts * jnp.exp(rows * missed)
    # Two given experts are both missed with probability a2 = ((1 − k/E)(1 − k/(E−1)))^m, one with
    # a1 = (1 − k/E)^m. Then Var = E (a1 − a2) + E² (a2 − a1²); second factor guarded for k > E − 1,
    # where nothing is missed twice.
    missed_next = _log_miss(jnp.maximum(experts - 1.0, active), active)
    variance = -spare * jnp.expm1(rows * missed_next) + spare**2 * jnp.expm1(
        rows * (missed_next - missed)
    )
    variance = jnp.where(
        variance > -1e-6, variance, 0.0
    )  # one token draws k for sure; rounding keeps its derivative
    draws = rows * active
    # k = 1 is the limit of infinite spare slots; 1e-3 in place of 0 keeps them finite, a variance
    # error below 0.1 %.
    undrawn = (experts - active) * (draws - 1.0) / jnp.maximum(active - 1.0, 1e-3)
    return largest_share(
        jnp.stack([touched, draws]),
        jnp.stack([spare, jnp.maximum(undrawn, 0.0)]),
        jnp.expand_dims(groups, 0),
        jnp.stack([variance, jnp.zeros_like(draws)]),
        jnp.stack([active, draws]),
    )


def busiest_touched(experts: Real, active: Real, rows: Real, groups: Real) -> RealArray:
    """Expected largest number of distinct touched experts on one of ``groups`` chips [1].

    It sets the weight bytes that the slowest chip streams. Real arguments that broadcast; 1 ≤
    active ≤ experts, rows ≥ 1, 1 ≤ groups ≤ experts. It is ``touched_experts`` at groups = 1, tends
    to experts/groups at many rows, and is 1 at groups = experts. It never falls as rows rise;
    between whole experts per chip it interpolates.

    Log-log curvature: neither convex nor concave in rows (a step wherever the busiest chip gets its
    next whole expert).
    """
    return busiest(experts, active, rows, groups)[0]


def busiest_rows(experts: Real, active: Real, rows: Real, groups: Real) -> RealArray:
    """Expected largest number of (token, expert) rows that one of ``groups`` chips receives [1].

    It sets the FLOPs and the all-to-all volume of the slowest chip; the mean is rows·active/groups.
    Real arguments that broadcast; 1 ≤ active ≤ experts, rows ≥ 1, 1 ≤ groups ≤ experts. It is
    rows·active at groups = 1.

    Log-log curvature: neither convex nor concave in rows.
    """
    return busiest(experts, active, rows, groups)[1]


def _log_miss(experts: RealArray, active: RealArray) -> RealArray:
    """log(1 − k/E), bounded below so that k = E (nothing is missed) has finite gradients."""
    tiny = float(jnp.finfo(experts.dtype).eps)
    return jnp.log(jnp.maximum((experts - active) / experts, tiny))


def _floats(*values: ArrayLike) -> list[RealArray]:
    """Broadcast numbers to floating arrays of one dtype."""
    dtype = jnp.result_type(
        float, *(v for v in values if jnp.issubdtype(getattr(v, "dtype", int), jnp.floating))
    )
    return [
        jnp.asarray(v, dtype)
        for v in jnp.broadcast_arrays(*(jnp.asarray(v, dtype) for v in values))
    ]

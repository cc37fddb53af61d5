"""Experts that differ in popularity: how many a step touches, and how many rows the busiest chip
receives. Approximations, each with its error against simulation; uniform routing is
``codesign.workload.experts``.
"""

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike

from codesign.numerics.fields import RealArray
from codesign.workload.experts import busiest_rows


def zipf_popularity(experts: int, skew: ArrayLike) -> RealArray:
    """Zipf popularity p_i ∝ (i + 1)^−skew of ``experts`` experts, summing to 1; skew = 0 is uniform
    [1].

    Raises:
        ValueError: fewer than one expert.
    """
    if experts < 1:
        raise ValueError(f"experts = {experts}: expected at least 1.")
    rank = jnp.arange(1, experts + 1, dtype=jnp.result_type(float))
    return jax.nn.softmax(-jnp.asarray(skew, rank.dtype) * jnp.log(rank))


def pick_probability(popularity: RealArray, active: ArrayLike) -> RealArray:
    """Probability that a token picks each expert, summing to ``active`` [1].

    Picks without replacement in proportion to popularity are a race of exponential clocks of rates
    p_i, which the first k win. The finishing time is taken as fixed (*approximation*; exact when
    uniform): 1 − e^(−τ p_i), with τ such that they sum to k. Needs active < experts (at equality
    all are 1, approached from below).
    """
    active = jnp.asarray(active, popularity.dtype)

    def closer(
        time: RealArray,
    ) -> RealArray:  # Newton from the left on a concave, increasing sum: monotone
        picked = -jnp.expm1(-time * popularity)
        slope = jnp.sum(popularity * jnp.exp(-time * popularity))
        return time + (active - jnp.sum(picked)) / jnp.maximum(slope, 1e-9)

    time = jax.lax.stop_gradient(jax.lax.fori_loop(0, 40, lambda _, time: closer(time), active))
    return -jnp.expm1(
        -closer(closer(time)) * popularity
    )  # two steps that carry derivatives: exact to second order


def touched_experts_skewed(popularity: RealArray, active: ArrayLike, rows: ArrayLike) -> RealArray:
    """Expected number of distinct experts that ``rows`` tokens touch when experts differ in
    popularity [1].

    ``rows`` is a scalar (``vmap`` for more). Equals ``touched_experts`` when uniform; see
    ``pick_probability`` for the approximation (within 2 % of simulation for skew ≤ 1). A sum of
    log-concave functions of rows: not declared log-concave itself.
    """
    picked = jnp.minimum(
        pick_probability(popularity, active), 1.0 - float(jnp.finfo(popularity.dtype).eps)
    )
    return jnp.sum(-jnp.expm1(jnp.asarray(rows, picked.dtype) * jnp.log1p(-picked)))


def busiest_rows_skewed(
    popularity: RealArray, active: ArrayLike, rows: ArrayLike, groups: int
) -> RealArray:
    """Expected largest number of rows that one of ``groups`` chips receives when experts differ in
    popularity [1].

    Placement, an assumption: experts sorted by popularity are dealt to and fro over the chips (1 …
    G, G … 1, …), known popularity, no replicas. Chips' counts are taken as independent; the ratio
    of their expected maximum to that without skew scales ``busiest_rows``, to which it is equal
    without skew. Against simulation at skew 0.3, 0.6 and 1 (8, 64 and 256 experts, rows 1–1,024):
    within 4 % where a chip holds four experts or more, except 7 % at one row and skew 1; within 12
    % at one expert a chip (worst at skew 1, 256 experts, 4 rows).

    Raises:
        ValueError: ``groups`` is not between 1 and the number of experts.
    """
    experts = popularity.shape[-1]
    if not 1 <= groups <= experts:
        raise ValueError(f"groups = {groups}: expected 1 to {experts}, the number of experts.")
    rows = jnp.asarray(rows, popularity.dtype)
    uniform = busiest_rows(
        float(experts), jnp.asarray(active, popularity.dtype), rows, float(groups)
    )
    if groups == 1:
        return uniform
    picked = pick_probability(popularity, active)
    even = jnp.full_like(picked, jnp.sum(picked) / experts)
    return (
        uniform
        * _independent_busiest(picked, rows, groups)
        / _independent_busiest(even, rows, groups)
    )


def _independent_busiest(picked: RealArray, rows: RealArray, groups: int) -> RealArray:
    """E max of independent chips with the right means and variances, as low + Σ_j P(max > j) over
    at most 192 cells.

    P(count ≤ j) is that of a Poisson count by the Wilson–Hilferty cube root (Abramowitz & Stegun
    26.4.14, 26.4.21), its normal deviate stretched to the chip's variance.
    """
    experts = picked.shape[-1]
    mean = rows * _deal(picked, groups)
    # E/(E − 1): what negative dependence between chips adds to the maximum, as in
    # ``_by_expansion``.
    dispersion = (
        _deal(picked * (1.0 - picked), groups) * experts / (experts - 1.0) / _deal(picked, groups)
    )
    dispersion = jnp.maximum(dispersion, 1e-3)
    spread = jnp.sqrt(mean * dispersion)
    low = jax.lax.stop_gradient(jnp.floor(jnp.maximum(jnp.max(mean - 5.0 * spread), 0.0)))
    high = jax.lax.stop_gradient(jnp.max(mean + 6.0 * spread) + 12.0)
    cell = jnp.maximum((high - low) / 192.0, 1.0)
    above = (
        low + jnp.arange(192, dtype=picked.dtype) * cell + 0.5 * (cell + 1.0)
    )  # j + 1 at the middle of each cell
    deviate = (
        3.0
        * jnp.sqrt(above)[:, None]
        * (1.0 - 1.0 / (9.0 * above[:, None]) - jnp.cbrt(mean[None] / above[:, None]))
    )
    stretched = deviate / jnp.sqrt(dispersion)[None]
    below = jnp.exp(jnp.sum(jax.scipy.stats.norm.logcdf(stretched), axis=1))
    below = jnp.where(above <= 1.0, 0.0, below)  # some chip receives a row
    return low + cell * jnp.sum(1.0 - below)


def _deal(loads: RealArray, groups: int) -> RealArray:
    """Sum of loads on each chip when they are dealt to and fro in falling order."""
    falling = jnp.sort(loads, descending=True)
    dealt = jnp.pad(falling, (0, -len(loads) % groups)).reshape(-1, groups)
    turn = jnp.arange(dealt.shape[0])[:, None] % 2 == 1
    return jnp.sum(jnp.where(turn, dealt[:, ::-1], dealt), axis=0)

"""The largest share of an urn: n of N = n + u slots are drawn, split evenly over G chips; what is
the expected largest number drawn on one chip, H(n, u, G)?

H is a sum over the first few counts, Σ_j P(max > j), where the maximum is a small integer, and a
Cornish–Fisher expansion about the normal maximum where it is larger, with a smooth passage between
the two. ``codesign.workload.experts`` has two uses of it, and the errors.
"""

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.fields import RealArray

# whole numbers of experts per chip are met despite rounding; derivatives there are those from below
_NEARLY = 1e-5
_COUNTS = 8  # counts 0 … 7 are summed one by one, beyond them the expansion is accurate


def largest_share(
    draws: RealArray,
    spare: RealArray,
    groups: RealArray,
    draws_variance: RealArray,
    fewest: RealArray,
) -> RealArray:
    """Expected largest count on a chip when ``draws`` of ``draws + spare`` slots, split evenly, are
    drawn [1].

    Args:
        draws: expected number of slots drawn, ≥ 1.
        spare: expected number of slots left, ≥ 0.
        groups: number of chips, ≥ 1, of the same rank.
        draws_variance: variance of the number drawn (0 when it is known).
        fewest: draws that there are at least.
    """
    slots = (draws + spare) / groups
    expansion = _by_expansion(draws, spare, groups, draws_variance)
    counts = _by_counts(draws, spare, groups, draws_variance, fewest)
    # The expansion takes over where the maximum is large, needs more slots than there are counts to
    # be safe, and is exact for one chip. Where and how fast (4, 0.3, 6 to 8) was chosen on the
    # simulation named at the top.
    many = jax.nn.sigmoid((expansion - 4.0) / 0.3) * _ramp((slots - 6.0) / 2.0)
    few = (1.0 - many) * _ramp(groups - 1.0)
    return expansion + few * (counts - expansion)


def _by_expansion(
    draws: RealArray, spare: RealArray, groups: RealArray, draws_variance: RealArray
) -> RealArray:
    """Cornish–Fisher expansion of a chip's count, averaged over the distribution of the maximum of
    G normals.

    With fixed draws the counts of chips are exchangeable with correlation −1/(G − 1); for normal
    counts the maximum is then that of *independent* ones of variance σ² = Var − Cov = (n u − Var
    n)/(G (N − 1)), exactly. Cornish–Fisher terms: Abramowitz & Stegun 26.2.49.
    """
    total = draws + spare
    share, left = draws / total, spare / groups
    variance = jnp.maximum(draws * spare - draws_variance, 0.0) / (
        groups * jnp.maximum(total - 1.0, 1e-3)
    )
    deviation = _safe_sqrt(variance)
    first, second, third = _normal_maximum(groups)
    skew = 1.0 - 2.0 * share  # third cumulant over variance; fourth: 1 − 6 θ (1 − θ)
    tails = (1.0 - 6.0 * share * (1.0 - share)) * (third - 3.0 * first) / 24.0
    tails = tails - skew**2 * (2.0 * third - 5.0 * first) / 36.0
    # left/(left + 0.1) and 0.05, chosen on the simulation, let the corrections fade where nearly
    # all slots are drawn and the expansion has no meaning.
    excess = deviation * first + skew * (second - 1.0) / 6.0 * left / (left + 0.1)
    excess = excess + tails * deviation / (variance + 0.05)
    # What even the busiest of several chips has left: nothing where the mean chip has less than a
    # fifth of a slot and the corrections have no meaning. Both factors grow with what the mean chip
    # has left, so the share grows with draws.
    some = 1.0 - _ramp(groups - 1.0) * (1.0 - _ramp((left - 0.2) / 0.3))
    return total / groups - jnp.maximum(left - excess, 0.0) * some


def _by_counts(
    draws: RealArray,
    spare: RealArray,
    groups: RealArray,
    draws_variance: RealArray,
    fewest: RealArray,
) -> RealArray:
    """Σ_j P(max > j), j < 8, by Levin's representation of the largest of negatively dependent
    counts.

    Levin, Annals of Statistics 9 (1981) 1123: take the chips as *independent* binomials Bin(N/G,
    n/N) and condition on their sum. P(max ≤ j) = F(j)^G · P(sum of counts truncated at j = n) /
    P(sum of counts = n). Both densities of sums by Edgeworth to the order 1/G. A random number of
    draws widens both by the same variance.
    """
    draws, spare, groups, draws_variance, fewest = (
        jnp.expand_dims(value, 0) for value in (draws, spare, groups, draws_variance, fewest)
    )  # counts are the leading axis
    slots, mean = (draws + spare) / groups, draws / groups
    odds = draws / jnp.maximum(
        spare, 1e-4 * draws
    )  # with less left, all slots are drawn for every purpose
    share, kept = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    variance = slots * share * kept
    # Var n among chips conditioned on n ~ (n, Var n): 1/Var n − 1/(G·variance) is the inverse of
    # what widens the sums.
    fraction = jnp.minimum(draws_variance / (groups * variance), 1.0 - 1e-4)
    widening = fraction / (1.0 - fraction) * variance
    skewness, tails = variance * (1.0 - 2.0 * share), variance * (1.0 - 6.0 * share * kept)
    spread = variance + widening
    height, shape = (
        -0.5 * jnp.log(spread),
        1.0 + (tails / 8.0 - skewness**2 / spread * (5.0 / 24.0)) / (groups * spread**2),
    )

    first, second, third, fourth, within = _truncated_binomial(slots, odds)
    height_within, shape_within = _edgeworth(groups, second + widening, third, fourth, mean - first)
    density_ratio = (
        jnp.exp(groups * jnp.log(within) + height_within - height)
        * shape_within
        / jnp.maximum(shape, 0.5)
    )
    count = _counts(1, mean)
    above = 1.0 - jnp.minimum(density_ratio, 1.0)
    above = above * _ramp(draws - count)  # n ≤ j draws cannot exceed j
    blur = (
        3.0 * draws_variance / jnp.sqrt(draws_variance + 0.01)
    )  # about 3σ: how far draws may stray from their mean
    beyond = jnp.maximum((draws - count * groups) / (1.0 + blur), fewest - count * groups)
    forced = _ramp(beyond)  # n > j·G draws must
    above = above + (1.0 - above) * forced
    # The last expert of a chip that holds a fraction more than j whole ones counts for that
    # fraction.
    part = _positive(slots - count)
    return 1.0 + jnp.sum(above * jnp.where(part <= 1.0 + _NEARLY, part, 1.0), axis=0)


def _truncated_binomial(
    slots: RealArray, odds: RealArray
) -> tuple[RealArray, RealArray, RealArray, RealArray, RealArray]:
    """First four cumulants of a binomial cut off above j = 1 … 7, and the probability P(≤ j) kept;
    (7, …) each.

    Arguments have a leading axis of one.
    """
    counts = np.arange(_COUNTS)
    ratio = odds * _positive(slots - _counts(0, odds)[:-1]) / _counts(1, odds)  # P(j + 1)/P(j)
    up_to = jnp.asarray(np.tril(np.ones((_COUNTS, _COUNTS - 1)), -1), odds.dtype)
    log_probability = jnp.tensordot(
        up_to, jnp.log(jnp.maximum(ratio, 1e-30)), 1, precision="highest"
    )
    probability = jnp.exp(log_probability - slots * jnp.log1p(odds))
    # Real-valued slots: the binomial series does not sum to 1 unless normalised. Beyond 7 slots it
    # is not complete.
    whole = jnp.maximum(jnp.sum(probability, axis=0, keepdims=True), 1e-30)
    total = jnp.where(slots <= _COUNTS - 1.0, whole, 1.0)
    sums = np.stack(
        [np.tril(np.ones((_COUNTS, _COUNTS)))[1:] * counts**power for power in range(5)]
    )
    cumulative, *moments = jnp.tensordot(
        jnp.asarray(sums, slots.dtype), probability / total, 1, precision="highest"
    )
    within = jnp.clip(cumulative, 1e-12, 1.0)
    m1, m2, m3, m4 = (moment / within for moment in moments)
    second = jnp.maximum(m2 - m1**2, 1e-6)
    third = m3 - 3.0 * m2 * m1 + 2.0 * m1**3
    fourth = m4 - 4.0 * m3 * m1 - 3.0 * m2**2 + 12.0 * m2 * m1**2 - 6.0 * m1**4
    return m1, second, third, fourth, within


def _counts(first: int, like: RealArray) -> RealArray:
    """Counts from ``first`` to 7 on the leading axis."""
    return jnp.arange(first, _COUNTS, dtype=like.dtype).reshape((-1,) + (1,) * (like.ndim - 1))


def _edgeworth(
    groups: RealArray, variance: RealArray, third: RealArray, fourth: RealArray, offset: RealArray
) -> tuple[RealArray, RealArray]:
    """Density of a sum of G variables, each at ``offset`` above its mean: log of the normal
    density, and a factor."""
    deviate = offset * jnp.sqrt(groups / variance)
    z = jnp.clip(deviate, -7.7, 7.7)  # e^(−30) is nothing, and powers of z stay finite in float32
    bounded = z * z
    per_root = third / (variance * _safe_sqrt(groups * variance))
    hermite3 = z * (bounded - 3.0)
    hermite4 = bounded * (bounded - 6.0) + 3.0
    hermite6 = bounded * (bounded * (bounded - 15.0) + 45.0) - 15.0
    factor = 1.0 + per_root * hermite3 / 6.0 + fourth / (groups * variance**2) * hermite4 / 24.0
    return -0.5 * (jnp.log(variance) + deviate**2), jnp.maximum(
        factor + per_root**2 * hermite6 / 72.0, 0.0
    )


def _normal_maximum(groups: RealArray) -> tuple[RealArray, RealArray, RealArray]:
    """E z, E z² and E z³ of the maximum z of G standard normals; 0, 1, 0 at G = 1.

    Rational fits in ln G to the integrals over 1 ≤ G ≤ 4,096 (within 0.0015 for z, 0.012 for z²;
    the test integrates); the third neglects the third cumulant of z (≤ 0.2).
    """
    log = jnp.log(groups)
    first = (
        log * (0.90265 + log * (1.0016 + 0.035575 * log)) / (1.0 + log * (1.2645 + 0.22116 * log))
    )
    second = 1.0 + log * (-0.59356 + log * (0.66934 + 0.26969 * log)) / (
        1.0 + log * (0.62755 + 0.14219 * log)
    )
    return first, second, first * (3.0 * second - 2.0 * first**2)


def _ramp(x: RealArray) -> RealArray:
    """Smooth step from 0 at x ≤ 0 to 1 at x ≥ 1, with continuous slope."""
    x = jnp.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _positive(x: RealArray) -> RealArray:
    """x where it is positive, else 0 with a zero gradient (from below at 0)."""
    return jnp.where(x > _NEARLY, x, 0.0)


def _safe_sqrt(x: RealArray) -> RealArray:
    """√x with a zero gradient where x = 0."""
    positive = x > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)

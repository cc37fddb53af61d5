"""What a package may draw, and how a step runs that would draw more.

A power controller averages over milliseconds, which is many layers: a cap bounds the mean power of
a step. Over it the clock falls, and the supply with it (``physical.voltage``); everything is taken
to slow down with the clock, memory and links too, which they need not.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from codesign.hardware.design import Design
from codesign.hardware.technology import Logic
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater, lesser
from codesign.physical.voltage import energy_ratio

TIE = 1e-6
"""Relative excess over a cap that passes for none: at the cap itself, where searched designs are,
derivatives are those of the side on which it does not bind."""

LEAST_ROOM = 1e-3
"""Room above static power, as a share of the cap, below which a step takes no longer: the limit on
the cap is violated by then."""

ITERATIONS = 16
"""Newton steps to the root: from the right of a convex increasing function they never overshoot."""


class Draw(eqx.Module):
    """What a step draws on one chip, as a function of the clock c at which it runs.

    P(c) = static + P_b·c·ρ(c) + (E_hot·ρ(c) + E_cold) / T(c), T(c) = t·x/c, with ρ the energy at a
    clock over that at the nominal one (``voltage.energy_ratio``) and x the design's own clock.
    """

    time: Real  # t, at the design's clock [s]
    hot: Real  # E_hot, of matrix arithmetic at the nominal clock [J]
    cold: Real  # E_cold, of everything else that a step does [J]
    busy: Real  # P_b, of a chip at work at the nominal clock (``power.busy_power``) [W]
    clock: Real  # x [1]
    logic: Logic

    def time_at(self, clock: Real, room: Real) -> Real:
        """Time at a clock, with pauses where even so it would draw more than ``room`` above static
        power [s]."""
        ratio = energy_ratio(clock, self.logic)
        left = greater(room - self.busy * clock * ratio, LEAST_ROOM * room)
        slower, needed = self.time * self.clock / clock, (self.hot * ratio + self.cold) / left
        return jnp.where(needed > slower * (1.0 + TIE), needed, slower)

    def power_at(self, clock: Real, time: Real) -> Real:
        """Mean power above static power of a step that runs at a clock and takes ``time``, pauses
        included [W]."""
        ratio = energy_ratio(clock, self.logic)
        return (self.hot * ratio + self.cold) / time + self.busy * clock * ratio


def rated_power(design: Design, peak: Real) -> Real:
    """What a package may draw: its cap, or ``peak`` where it has none [W]."""
    return jnp.where(design.power_cap > 0.0, design.power_cap, peak)


def room_above(static: Real, rated: Real) -> Real:
    """Power that a cap leaves above static power, at least a little [W]."""
    return greater(rated - static, LEAST_ROOM * rated)


def fastest_clock(draw: Draw, room: Real) -> Real:
    """Fastest clock at which a step draws no more than ``room`` above static power [1].

    With s = c/x, the root of g(s) = P(x·s) − room, at most s = 1; below the slowest useful clock
    the supply falls no further and the step pauses instead. g is convex and increasing, so Newton's
    method from s = 1 descends to the root; derivatives are those of the implicit function.

    Args:
        draw: of the step.
        room: the cap less static power [W].

    >>> import hardware_priors
    >>> logic = hardware_priors.technology("N4").logic
    >>> draw = Draw(time=1e-3, hot=0.3, cold=0.2, busy=100.0, clock=1.0, logic=logic)
    >>> float(fastest_clock(draw, 600.0))  # it draws 600 W
    1.0
    >>> round(float(fastest_clock(draw, 400.0)), 3)
    0.813
    """

    share = _share(draw, room)
    full = draw.power_at(draw.clock, draw.time)
    share = jnp.where(full > room * (1.0 + TIE), share, 1.0)
    return greater(share * draw.clock, lesser(draw.logic.clock_fewest, draw.clock))


def _excess(share: Real, draw: Draw, room: Real) -> Real:
    """Power over a cap at a share of the design's clock [W]."""
    slowest = lesser(draw.logic.clock_fewest, draw.clock)
    clock = at_least(share * draw.clock, slowest)
    ratio = energy_ratio(clock, draw.logic)
    done = share * (draw.hot * ratio + draw.cold) / draw.time
    return done + draw.busy * clock * ratio - room


def _slope(share: Real, draw: Draw, room: Real) -> tuple[Real, Real]:
    """Power over a cap, and its derivative by the share."""
    return jax.jvp(lambda s: _excess(s, draw, room), (share,), (jnp.ones_like(share),))


@jax.custom_jvp
def _share(draw: Draw, room: Real) -> Real:
    """Share of the design's clock at which a step draws just what a cap leaves [1]."""

    def improved(_: Int[Array, ""], share: Real) -> Real:
        value, slope = _slope(share, draw, room)
        return share - value / slope

    first = jnp.ones_like(jnp.asarray(room + draw.time + draw.clock))
    return jax.lax.fori_loop(0, ITERATIONS, improved, first)


@_share.defjvp
def _share_jvp(primals: tuple[Draw, Real], tangents: tuple[Draw, Real]) -> tuple[Real, Real]:
    """Implicit differentiation of g(s, θ) = 0: ds = −(∂g/∂θ · dθ) / (∂g/∂s)."""
    share = _share(*primals)
    _, slope = _slope(share, *primals)
    _, moved = jax.jvp(lambda draw, room: _excess(share, draw, room), primals, tangents)
    return share, -moved / slope

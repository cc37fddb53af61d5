"""Shadow prices against problems whose limit is really moved, within 1 %; their ranges; steps of
integers."""

import math

import numpy as np
import pytest

from codesign.sensitivity.shadow_prices import (
    HOLDS,
    integer_steps,
    moved_limits,
    shadow_prices,
)
from tests.codesign.sensitivity.optima import (
    SCENARIOS,
    again,
    optimum,
    question,
    with_leaf,
    with_promise,
)
from tests.examples import thorough

NAMES = ("tight", *(SCENARIOS if thorough() else ()))

LEAVES = {
    "die area": "logic.reticle_area",
    "shoreline": "packaging.usable_edge",
    "power density": "cooling.power_density",
    "package power": "cooling.package_power",
    "interposer area": "packaging.interposer_most",
    "fastest clock": "logic.clock_most",
}
"""Limits with a number of the technology that allows just them."""

STEP = 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_a_price_is_what_the_limit_is_worth_when_it_is_moved(name):
    """The number of the technology or the promise itself is changed, and all is posed and solved
    anew. The reticle also gives the die more edge, so its own multiplier and the edge's are
    summed."""
    found = optimum(name)
    prices = {price.limit: price for price in shadow_prices(found)}
    assert prices
    checked = 0
    for limit, price in prices.items():
        if limit == "promise":
            change, expected = with_promise, price.elasticity
        elif limit in LEAVES and not (limit == "die area" and "shoreline" in prices):
            change, expected = (lambda f, leaf=LEAVES[limit]: with_leaf(leaf, f)), price.elasticity
        else:
            continue
        step = min(STEP, 0.1 * min(1 - price.low, price.high - 1))
        up, down = again(name, change(math.exp(step))), again(name, change(math.exp(-step)))
        assert (down - up) / (2 * step) == pytest.approx(expected, rel=0.01), limit
        checked += 1
    assert checked >= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_range_ends_where_the_price_stops_to_hold(name):
    found = optimum(name)
    prices = [price for price in shadow_prices(found) if price.low < 1.0 < price.high]
    assert prices
    for price in prices:
        for end, is_open in ((price.low, price.open_low), (price.high, price.open_high)):
            if is_open:
                continue
            inside, outside = 0.95 * math.log(end), 1.05 * math.log(end)
            values, multipliers = moved_limits(found, [(price.row, inside), (price.row, outside)])
            change = np.abs(multipliers[:, price.row] / price.elasticity - 1.0)
            assert math.isfinite(values[0]) and change[0] <= HOLDS, price
            assert not math.isfinite(values[1]) or change[1] > 0.95 * HOLDS, price


def test_a_unit_of_a_limit_is_a_share_of_it():
    price = next(one for one in shadow_prices(optimum("tight")) if one.limit == "die area")
    assert price.allowed == pytest.approx(858e-6) and price.unit == "m^2"
    assert price.gain(1e-6) == pytest.approx(price.elasticity / 858)


def test_whole_numbers_are_priced_by_solving_their_neighbours():
    found = optimum("small")
    steps = {(one.name, one.step): one.gain for one in integer_steps(found)}
    more = found.subproblem._replace(integers=(2, *found.subproblem.integers[1:]))
    assert steps["chips", 1] == pytest.approx(math.exp(found.value - found.pool.value(more)) - 1)
    assert steps["batch", -1] < 1e-6 and ("chips", -1) not in steps
    assert len(question("small").choices) == 1

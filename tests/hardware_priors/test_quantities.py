"""Units: known answers, refusals, and a round trip of every unit that is on offer."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_priors.quantities import _KNOWN, formatted, parse, same_kind, to_si, unit

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any SI coefficient of links or
energies pass."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.35 TB/s", 3.35e12),
        ("96 GiB", 96 * 2**30),
        ("400 Gbit/s", 50e9),
        ("1.979 PFLOP/s", 1.979e15),
        ("0.1 1/cm^2", 1000.0),
        ("4.6 pJ/bit", 36.8e-12),
        ("85 K mm^2/W", 85e-6),
        ("8 USD/(GB/s)", 8e-9),
        ("0.07 mm^2/(GB/s)", 0.07e-6 / 1e9),
        ("40 degC", 313.15),
        ("0.075 USD/kWh", 0.075 / 3.6e6),
        ("2.5", 2.5),
    ],
)
def test_known_answers(text, expected):
    assert parse(text) == approx(expected, rel=1e-12)


def test_a_slash_divides_by_everything_after_it_and_parentheses_regroup():
    assert unit("TFLOP/s/mm^2").factor == approx(1e12 / 1e-6)
    assert unit("USD/(GB/s)").dimension == unit("USD s/GB").dimension


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("3 TBs", "'TB'"),
        ("400 Gb/s", "'Gbit'"),
        ("5 Gflop/s", "'GFLOP'"),
        ("3 KiloB", "unknown 'KiloB'"),
        ("7 mB", "unknown 'mB'"),
        ("fast", "not a quantity"),
        ("3 TB/(s", "expected a unit"),
        ("3 TB+s", "cannot read"),
    ],
)
def test_unknown_units_are_refused_by_name(text, named):
    with pytest.raises(ValueError, match=named.replace("(", r"\(").replace("+", r"\+")):
        parse(text)


def test_another_kind_of_unit_is_refused():
    with pytest.raises(ValueError, match="converts to 'B/s'"):
        parse("3 TB", like="B/s")
    assert not same_kind("FLOP/s", "OP/s"), "an integer peak is no floating-point peak"


@given(st.sampled_from(sorted(_KNOWN)), st.floats(1e-6, 1e6))
def test_round_trip_through_text(symbol, number):
    value = number * unit(symbol).factor
    assert parse(formatted(value, symbol, digits=17)) == approx(value, rel=1e-12)


@given(st.floats(-200, 200))
def test_round_trip_of_temperature(celsius):
    assert parse(formatted(to_si(celsius, "degC"), "degC", digits=17)) == approx(
        celsius + 273.15, rel=1e-12
    )

"""Objectives are products of powers: the exponents, the outcome's own ratios, senses, unknown
names."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.numerics.fields import units_of
from codesign.outcome import Outcome
from objectives import OBJECTIVES, objective

LLAMA_8B = codesign.dense(
    hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
)

PRODUCTS = {
    "tokens/s/$": {"tokens_per_second_per_dollar": 1},
    "tokens/s/W": {"tokens_per_second_per_watt": 1},
    "tokens/s/user": {"user_tokens_per_second": 1},
    "tokens/s": {"system_tokens_per_second": 1},
    "$/token": {"cost_per_token": 1},
    "J/token": {"energy_per_token": 1},
    "capital": {"capital_cost": 1},
    "power": {"provisioned_power": 1},
}


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    design = hardware_priors.device("h100").design(chips=2)
    work = codesign.Workload(LLAMA_8B, codesign.Decode(batch=16, context=4096))
    technology = hardware_priors.technology("N4", "HBM3", "NVLink4")
    return codesign.evaluate(design, work, technology=technology)


def test_exponents():
    assert {name: dict(each.exponents) for name, each in OBJECTIVES.items()} == PRODUCTS


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("tokens/s/$", "tokens_per_second_per_dollar"),
        ("tokens/s/W", "tokens_per_second_per_watt"),
        ("tokens/s/user", "user_tokens_per_second"),
        ("tokens/s", "system_tokens_per_second"),
        ("$/token", "cost_per_token"),
        ("J/token", "energy_per_token"),
        ("capital", "capital_cost"),
        ("power", "provisioned_power"),
    ],
)
def test_value_is_the_outcomes_own(outcome, name, field):
    assert float(objective(name)(outcome)) == pytest.approx(
        float(getattr(outcome, field)), rel=1e-14, abs=0.0
    )
    assert objective(name).unit == units_of(Outcome)[field]


def test_senses_more_tokens_less_money_and_energy():
    rising = {name for name, each in OBJECTIVES.items() if each.sense == 1}
    assert rising == {"tokens/s/$", "tokens/s/W", "tokens/s/user", "tokens/s"}
    assert {each.sense for each in OBJECTIVES.values()} == {1, -1}


def test_any_power():
    cube_root: Any = dataclasses.replace(
        objective("tokens/s"), exponents={"system_tokens_per_second": 1 / 3, "capital_cost": -2}
    )
    stated: Any = SimpleNamespace(
        system_tokens_per_second=jnp.array(8.0), capital_cost=jnp.array(4.0)
    )
    assert float(cube_root(stated)) == pytest.approx(0.125, rel=1e-14, abs=0.0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_logarithm_is_linear_with_the_exponents(name):
    exponents = OBJECTIVES[name].exponents

    def value(logs: dict[str, jax.Array]) -> jax.Array:
        stated: Any = SimpleNamespace(**{key: jnp.exp(log) for key, log in logs.items()})
        return jnp.log(OBJECTIVES[name](stated))

    slopes = jax.grad(value)({key: jnp.array(1.3) for key in exponents})
    for key, exponent in exponents.items():
        assert float(slopes[key]) == pytest.approx(exponent, rel=1e-12, abs=0.0)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("tokens/s/usd", "tokens/s/user"), ("$/tokens", r"\$/token"), ("powr", "power")],
)
def test_unknown_name_offers_the_nearest(wrong, nearest):
    with pytest.raises(
        ValueError, match=f"unknown objective '{wrong.replace('$', '[$]')}'; nearest: {nearest}"
    ):
        objective(wrong)


def test_a_name_like_no_other_offers_all():
    with pytest.raises(ValueError, match="nearest: " + ", ".join(OBJECTIVES).replace("$", "[$]")):
        objective("xyzzy?!")

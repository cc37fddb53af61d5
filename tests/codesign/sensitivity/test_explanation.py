"""Explanations: closed forms of the path integral, bends, jumps and wholes; and real machines both
ways."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.sensitivity.explanation import Atom, explain, outcome_named
from codesign.sensitivity.inputs import GROUPS, Inputs, fleet_at, inputs_of, leaves_of


def logs(found):
    return {factor.name: factor.log for factor in found.factors}


def both_ways(outcome, before, after, **options):
    """The way there, after it was seen to be the way back with the sign turned."""
    there, back = (
        explain(outcome, *ends, **options) for ends in ((before, after), (after, before))
    )
    assert there.total_log == pytest.approx(-back.total_log, abs=1e-14)
    assert logs(there).keys() == logs(back).keys()
    for name, log in logs(there).items():
        assert log == pytest.approx(-logs(back)[name], abs=1e-12)
    for found in (there, back):
        assert abs(sum(logs(found).values()) - found.total_log) < 1e-12
        assert abs(sum(found.groups.values()) - found.total_log) < 1e-12
    return there


def test_a_product_of_powers_is_split_into_its_powers():
    before, after = {"a": 2.0, "b": 5.0, "c": 1.0}, {"a": 6.0, "b": 4.0, "c": 1.0}
    found = both_ways(lambda x: x["a"] ** 2 / x["b"] + 0.0 * x["c"], before, after)
    assert logs(found) == pytest.approx({"a": 2 * math.log(3), "b": math.log(5 / 4)})


def test_a_sum_is_split_along_the_straight_path_in_logs():
    """∂ln(a + b)/∂ln a is a's share; b stands at 1, so a earns all though its share is half."""
    found = both_ways(lambda x: x["a"] + x["b"], {"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 1.0})
    assert logs(found) == pytest.approx({"a": math.log(2)})
    both = both_ways(lambda x: x["a"] + x["b"], {"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 3.0})
    t = (np.arange(200_000) + 0.5) / 200_000
    a, b = 4.0**t, 2.0 * 1.5**t
    assert logs(both)["a"] == pytest.approx(math.log(4) * (a / (a + b)).mean(), abs=1e-9)


def test_a_bend_is_found_to_its_last_digits():
    """max(x, y): y binds up to t*, where the two meet, and x from there."""
    found = both_ways(
        lambda p: jnp.maximum(p["x"], p["y"]), {"x": 1.0, "y": 2.0}, {"x": 4.0, "y": 3.0}
    )
    meet = math.log(2) / (math.log(4) - math.log(1.5))
    expected = {"x": (1 - meet) * math.log(4), "y": meet * math.log(1.5)}
    assert logs(found) == pytest.approx(expected, abs=1e-12)


def test_a_jump_goes_to_those_that_cause_it():
    def outcome(p):
        return p["z"] * jnp.where(p["x"] * p["y"] > 2.0, 5.0, 1.0)

    before, after = {"x": 1.0, "y": 1.0, "z": 1.0}, {"x": 2.0, "y": 3.0, "z": 7.0}
    found = both_ways(outcome, before, after)
    assert logs(found)["z"] == pytest.approx(math.log(7), abs=1e-12)
    assert logs(found)["x"] + logs(found)["y"] == pytest.approx(math.log(5), abs=1e-12)
    alone = both_ways(outcome, before, {**after, "y": 1.0, "x": 3.0})
    assert logs(alone) == pytest.approx({"x": math.log(5), "z": math.log(7)}, abs=1e-12)


def test_an_outcome_that_is_not_what_its_derivative_says_is_refused():
    def outcome(p):
        return jnp.exp(jax.lax.stop_gradient(jnp.sin(p["x"])))

    with pytest.raises(ValueError, match="than its derivative says"):
        explain(outcome, {"x": 1.0}, {"x": 2.0})


def test_a_number_that_is_zero_at_one_end_moves_in_a_straight_line():
    found = both_ways(lambda p: 1.0 + p["x"], {"x": 0.0}, {"x": 3.0})
    assert logs(found) == pytest.approx({"x": math.log(4)})


def test_wholes_share_as_in_the_value_of_the_mixed_game():
    """x alone is worth ln 2 a step, the whole alone ln 3, both together ln 5 more: half of it
    each."""
    whole = Atom("kind", "model", lambda tree: [tree["kind"]], str)

    def outcome(p):
        both = p["kind"]["on"] * jnp.log2(p["x"])
        return p["x"] * 3.0 ** p["kind"]["on"] * 5.0**both

    before, after = ({"x": 1.0 + k, "kind": {"on": float(k)}} for k in (0, 1))
    found = both_ways(outcome, before, after, atoms=[whole])
    expected = {"x": math.log(2) + 0.5 * math.log(5), "kind": math.log(3) + 0.5 * math.log(5)}
    assert logs(found) == pytest.approx(expected, abs=1e-12)


def point(device, model, chips, batch, **options) -> Inputs:
    chip = hardware_priors.device(device)
    decode = codesign.Decode(batch=batch, context=8192)
    work = codesign.Workload(codesign.model(model), decode, codesign.uniform(8))
    world = hardware_priors.technology_of(chip)
    return inputs_of(chip.design(chips), work, technology=world, **options)


PER_DOLLAR = outcome_named("tokens_per_second_per_dollar")


def test_two_machines():
    found = both_ways(
        PER_DOLLAR, point("h100", "llama-3.1-8b", 1, 8), point("b200", "llama-3.1-8b", 4, 64)
    )
    assert set(found.groups) <= set(GROUPS) and found.evaluations < 20_000
    assert found.groups["batch"] > 0 and logs(found)["design.memory_bandwidth"] > 0
    assert any("price" in name for name in logs(found))


def test_two_models_of_unlike_structure_with_unlike_algorithms_and_executions():
    ring = codesign.Plan(all_reduce=codesign.ALGORITHMS["ring"][None])
    before = point("h200", "llama-3.1-8b", 2, 16, plan=ring)
    after = point("h200", "gpt-oss-20b", 2, 32, execution=codesign.Dataflow())
    found = both_ways(outcome_named("user_tokens_per_second"), before, after)
    assert {"model", "plan.all_reduce", "execution", "workload.phase.batch"} == set(logs(found))


def test_unlike_numbers_of_steps_cannot_be_paired():
    one = point("h100", "llama-3.1-8b", 1, 8)
    two = dataclasses.replace(one, designs=one.designs * 2, technologies=one.technologies * 2)
    with pytest.raises(ValueError, match="expected as many of each"):
        explain(PER_DOLLAR, one, two)


def test_every_float_has_a_name_a_unit_and_an_idea():
    inputs = point("h100", "deepseek-v3", 8, 8)
    found = leaves_of(inputs)
    assert len({leaf.name for leaf in found}) == len(found) > 150
    assert {leaf.group for leaf in found} <= set(GROUPS)
    units = {leaf.name: leaf.unit for leaf in found}
    assert units["design.memory_bandwidth"] == "B/s"
    assert units["technology.memory.layer_price"] == "USD"


def test_a_point_is_what_evaluate_says(llama_405b, machine, technology):
    phase = codesign.Prefill(batch=2, prompt=4096)
    work = codesign.Workload(llama_405b, phase)
    alone = codesign.evaluate(machine, work, technology=technology)
    totals = jax.jit(fleet_at)(inputs_of(machine, work, technology=technology)).totals
    for name in ("step_time", "tokens_per_second_per_dollar", "energy_per_token"):
        np.testing.assert_allclose(getattr(totals, name), getattr(alone, name), rtol=1e-12)

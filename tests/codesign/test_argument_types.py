"""Nothing unknown is accepted in silence: an argument of another type is refused by name, in one
sentence."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
import objectives

WORK = codesign.Workload(
    codesign.dense(hidden=256, layers=2, heads=4, kv_heads=2, width=512, vocabulary=1024),
    codesign.Decode(batch=4, context=128),
)
CHIP = hardware_priors.device("h100").design(chips=2)
WORLD = hardware_priors.technology("N5", "HBM3", "NVLink4")


def evaluate(design=CHIP, work=WORK, plan=None, technology=WORLD, execution=None):
    return codesign.evaluate(design, work, plan, technology=technology, execution=execution)


MANY = dataclasses.replace(CHIP, memory_bandwidth=jnp.array([1e12, 2e12, 3e12]))

REFUSED = {
    "swapped": (
        lambda: evaluate(WORK, CHIP),
        "design is a Workload and workload is a Design; expected the design first, then the"
        " workload",
    ),
    "a name for a design": (
        lambda: evaluate("h100"),
        "design is 'h100'; expected a Design: hardware_priors.device('h100')",
    ),
    "a device for a design": (
        lambda: evaluate(hardware_priors.device("h100")),
        "design is a Device; expected a Design",
    ),
    "a name for a technology": (lambda: evaluate(technology="N5"), "technology is 'N5'"),
    "a name for an execution": (
        lambda: evaluate(execution="limit"),
        "execution is 'limit'; expected an Execution: codesign.Operatorwise(), or a subclass",
    ),
    "a class for an execution": (
        lambda: evaluate(execution=codesign.Dataflow),
        "execution is the class Dataflow; expected an Execution",
    ),
    "many designs": (
        lambda: evaluate(MANY),
        "design.memory_bandwidth has shape (3,); expected one number: jax.vmap goes over many",
    ),
    "a name for a model": (
        lambda: codesign.Workload("llama-3.1-8b", codesign.Decode(batch=1, context=1)),
        "model is 'llama-3.1-8b'; expected a Transformer",
    ),
    "requests for a phase": (
        lambda: codesign.Workload(WORK.model, codesign.Serving(prompt=1, output=1, batch=1)),
        "phase is Serving; expected codesign.Decode or codesign.Prefill",
    ),
    "a name for attention": (
        lambda: codesign.LayerKind("grouped", None, 1.0),
        "attention is 'grouped'; expected None or a subclass of codesign.AttentionKind",
    ),
    "a design for a pool": (
        lambda: codesign.serve(
            WORK.model, codesign.Serving(prompt=8, output=8, batch=1), CHIP, technology=WORLD
        ),
        "decode is a Design; expected a Pool: codesign.Pool(design, plan)",
    ),
    "a design for a space": (
        lambda: codesign.optimize((CHIP,), (), (), objectives.OBJECTIVES.values()),
        "space is a Design; expected a Space",
    ),
    "one design for spaces": (
        lambda: codesign.optimize(CHIP, (), (), objectives.OBJECTIVES.values()),
        "space is a Design; expected a Space",
    ),
    "an objective's name for objectives": (
        lambda: codesign.optimize((), (), (), "tokens/s/$"),
        "objective 'tokens/s/$' has no name; expected name, sense",
    ),
    "a text for a number": (
        lambda: dataclasses.replace(CHIP, peak_flops="1e15"),
        "'1e15' is given for dense matrix rate of a chip at the compute precision; expected a"
        " number [FLOP/s]",
    ),
    "nothing for a number": (
        lambda: codesign.Decode(batch=None, context=128),
        "None is given for sequences in the step; expected a number [1]",
    ),
}


@pytest.mark.wrongly_typed
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_something_else_is_refused_in_one_sentence(case):
    call, expected = REFUSED[case]
    with pytest.raises(TypeError) as refusal:
        call()
    assert expected in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_search_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no space is given; expected at least one"):
        codesign.optimize((), (), (), [objectives.objective("tokens/s/$")])


def test_many_designs_go_through_vmap():
    axes = jax.tree.map(lambda leaf: 0 if jnp.ndim(leaf) else None, MANY)
    many = jax.vmap(evaluate, in_axes=(axes,))(MANY)
    assert many.step_time.shape == (3,)

"""Counts, shapes and bytes of messages, by hand and against the model that prices them."""

import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.performance.messages import messages, traffic

HIDDEN, VOCABULARY, LAYERS = 4096, 128256, 32


@pytest.fixture(scope="module")
def table():
    return codesign.operator_table(codesign.model("llama-3.1-8b"), codesign.uniform(16))


PHASES = {
    "prefill": (codesign.Prefill(batch=2, prompt=512), 1024, 2),
    "decode": (codesign.Decode(batch=4, context=512), 4, 4),
}


@pytest.mark.parametrize("name", PHASES)
@pytest.mark.parametrize(("t", "p"), [(1, 1), (4, 1), (1, 4), (4, 2)])
def test_counts_shapes_and_volumes_by_hand(table, name, t, p):
    phase, m, sampled = PHASES[name]
    found = {each.name: each for each in messages(table, phase, t, p)}
    away, whole = (t - 1) / t, m * HIDDEN * 2
    by_hand = {
        "all-reduce": (65, (m, HIDDEN), 65 * 2 * away * whole * t),
        "gather": (1, (sampled, VOCABULARY / t), away * sampled * VOCABULARY * 2),
        "send": (2 * (p - 1) * t, (m, HIDDEN / t), 2 * (p - 1) * whole),
        "all-gather": (2 * (p - 1), (m, HIDDEN), 2 * (p - 1) * away * whole * t),
    }
    assert {k for k, (*_, wire) in by_hand.items() if wire > 0} == set(found)
    for key, each in found.items():
        count, shape, wire = by_hand[key]
        assert (each.count, (each.rows, each.width)) == (count, shape)
        assert each.wire == pytest.approx(wire, rel=1e-12)
    assert traffic(list(found.values())) == pytest.approx(sum(w for *_, w in by_hand.values()))


def test_bytes_agree_with_the_collectives_that_are_priced(table, technology):
    """Tensor parallel: all chips gather logits where vLLM's go to one, all else is the same;
    pipeline: the same."""
    h100 = hardware_priors.device("h100").design(4)
    for phase, _, sampled in PHASES.values():
        for t, p in ((4, 1), (1, 4)):
            work = codesign.Workload(codesign.model("llama-3.1-8b"), phase, codesign.uniform(16))
            plan = codesign.Plan(pipeline=p, all_reduce=codesign.ALGORITHMS["ring"][None])
            step = codesign.evaluate(h100, work, plan, technology=technology).step
            gathered = (t - 1) / t * sampled * VOCABULARY * 2 * (t - 1)  # by the others too
            batches = min(p, float(phase.batch))  # micro-batches that pass one after the other
            ours = float(np.asarray(step.wire)) * t * batches - gathered
            assert ours == pytest.approx(traffic(messages(table, phase, t, p)), rel=1e-12)


def test_no_plan_of_no_chips(table):
    with pytest.raises(ValueError, match="at least 1"):
        messages(table, PHASES["decode"][0], 0, 1)

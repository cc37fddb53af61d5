"""Prefill and decode on instances of their own: the best pair against loops over all of them."""

import dataclasses
import math

import numpy as np
import pytest

import codesign
from codesign.performance.kernel_coefficients import COEFFICIENTS
from codesign.planning.answer import MachineAnswer
from codesign.planning.intervals import with_intervals
from codesign.planning.lanes import Lanes, asked, evaluate, lanes_of, offers
from codesign.planning.layouts import layouts
from codesign.planning.pools import with_pools
from codesign.planning.rates import lone_prompt

LARGEST, MOST = 400, 4


@pytest.fixture(scope="module")
def model():
    return codesign.dense(
        hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
    )


@pytest.fixture(scope="module")
def machine(technology):
    logs = np.log(np.full(len(COEFFICIENTS), 1e-3))
    design = codesign.Design(
        memory_bandwidth=3e12,
        memory_capacity=40e9,
        peak_flops=1e15,
        chips=1,
        sync_latency=3e-6,
        link_bandwidth=450e9,
        scale_up_domain=4,
    )
    execution = codesign.Calibrated(logs, np.diag(np.full(len(logs), 0.01)))
    return codesign.Machine("chip", design, technology, execution=execution)


@pytest.mark.parametrize("rate", [None, 3.0])
@pytest.mark.parametrize("first_promise", [math.inf, 0.4])
def test_the_best_pair_is_that_of_loops(model, machine, rate, first_promise):
    demand = codesign.Demand(4096, 512, token_promise=0.02, first_promise=first_promise, rate=rate)
    (group,) = offers(model, [machine])
    ways = layouts(model, 4, MOST)
    lanes = lanes_of([0] * len(ways), ways)
    nothing = [MachineAnswer("chip", "TOO SLOW")]
    (found,) = with_pools(group, lanes, nothing, asked(demand), demand, "cost", MOST)
    assert found.best is not None

    alone = evaluate(group, lanes, asked(demand))
    lone = lone_prompt(alone, lanes, demand.chunks)
    used = float(machine.technology.economics.utilisation)
    best = math.inf
    for d, decoder in enumerate(ways):
        batch = np.arange(1, LARGEST + 1)
        own = Lanes(np.zeros(LARGEST, int), np.tile(lanes.layout[d], (LARGEST, 1)), batch)
        steps = evaluate(group, own, asked(demand))
        rates = batch * decoder.groups / (demand.output * steps.decode)
        good = (steps.decode_fill <= 0) & (steps.decode <= demand.token_promise)
        if not good.any():
            continue
        at = int(np.where(good, rates, 0.0).argmax())
        for p, filler in enumerate(ways):
            for i in range(1, MOST + 1):
                for j in range(1, MOST + 1):
                    if i * decoder.chips + j * filler.chips > MOST or alone.prefill_fill[p] > 0:
                        continue
                    filled = j * filler.groups / alone.prefill[p]
                    capacity = min(filled, i * rates[at])
                    narrow = min(alone.scale_out[p], alone.scale_out[d])
                    ready = lone[p] + alone.cache[p] / narrow + float(alone.request[p])
                    share = 1.0
                    if first_promise < math.inf:
                        patience = 2.0 * max(first_promise - ready, 0.0)
                        share = patience / (lone[p] / filler.groups + patience) * filled / capacity
                    goodput = capacity * min(share, 1.0)
                    running = i * steps.decode_running[at] + j * alone.prefill_running[p]
                    if rate is None and goodput > 0:
                        best = min(best, running / (goodput * demand.output * used))
                    elif rate is not None and goodput >= rate:
                        best = min(best, running / (rate * demand.output))
    assert found.best.cost_per_token == pytest.approx(best, rel=1e-3)


def test_pools_have_intervals_too(model, machine):
    demand = codesign.Demand(4096, 512, token_promise=0.02)
    (group,) = offers(model, [machine])
    ways = layouts(model, 4, MOST)
    lanes = lanes_of([0] * len(ways), ways)
    nothing = [MachineAnswer("chip", "TOO SLOW")]
    answers = with_pools(group, lanes, nothing, asked(demand), demand, "cost", MOST)
    (one,) = with_intervals(group, answers, asked(demand), demand)
    assert one.best is not None and one.best.prefill_layout is not None
    low, high = one.best.interval or (0.0, 0.0)
    assert 0.0 < low < one.best.cost_per_token < high


def test_users_are_refused_with_pools_of_their_own(model, machine):
    demand = codesign.Demand(4096, 512, users=8)
    with pytest.raises(ValueError, match="expected a rate, or neither"):
        codesign.plan(model, demand, [machine], disaggregate=True)
    plain = dataclasses.replace(demand, users=None)
    assert codesign.plan(model, plain, [machine], most_chips=2, disaggregate=True).best

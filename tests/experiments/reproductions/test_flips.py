"""The four questions against closed forms in technologies simple enough to work by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.units import GIGA, KIBI, MICRO, TEBI
from experiments.reproductions import flips
from experiments.reproductions.flips import bands, bandwidth, capacity, machines, memories, speed
from experiments.reproductions.flips.bands import Band, Finding, Row

WEIGHTS, PER_POSITION, SYNCS = 405e9, 258_048.0, 126 * 3
"""Llama-3.1-405B at 8 bit: bytes of weights, of cache a position (2 · 8 heads · 128 · 126 layers),
syncs of the study a step."""


@pytest.fixture(scope="module")
def few():
    """Nominal and twelve drawn technologies with HBM3."""
    return bands.technologies(3, 12, node="N3", memory="HBM3", link="NVLink5")


@pytest.fixture(scope="module")
def sides(few):
    """A small grid of both sides: HBM4 of one shape, SRAM of one shape."""

    def side(memory: str) -> memories.Side:
        offered = machines.choices(memory, (1, 16, 256), pipelines=(1, 4, 16, 64))
        stacks, layers = machines.STACKS[memory][-1]
        mask = (offered.stage >= 8) & (offered.stacks == stacks) & (offered.layers == layers)
        kept = jax.tree.map(lambda leaf: leaf[mask], offered)
        technology = bands.technologies(3, 12, node="N3", memory=memory, link="NVLink5")
        return memories.Side(technology, kept, jnp.asarray(machines.MATRIX_RATE[memory]))

    return side("HBM4"), side("SRAM")


FAST = 700.0
"""Tokens/s to each user at which HBM4 leads SRAM in some draws of ``sides`` and not in others."""


@pytest.fixture(scope="module")
def crossed(sides):
    work = machines.transformer("llama-3.1-70b")
    at = (work, jnp.asarray(memories.CONTEXT), codesign.Operatorwise(), jnp.array([50.0, FAST]))
    return memories.crossings(*sides, *at)


# bands and crossings


def test_crossing_and_what_it_says_where_there_is_none():
    def fall(x):
        return 2.0 - x

    assert float(bands.crossing(fall, 1e-3, 1e3)) == pytest.approx(2.0, rel=1e-6)
    assert float(bands.crossing(fall, 4.0, 1e3)) == 0.0
    assert float(bands.crossing(fall, 1e-3, 1.0)) == math.inf
    assert float(bands.crossing(jnp.ones_like, 1e-3, 1.0)) == math.inf
    assert float(bands.crossing(lambda x: -jnp.ones_like(x), 1e-3, 1.0)) == 0.0


def test_band_has_the_nominal_apart_and_no_number_where_draws_have_none():
    assert bands.band([7.0, *range(1, 101)]) == Band(7.0, 5.0, 95.0)
    assert bands.band([math.inf, *[2.0] * 50, *[math.inf] * 50]) == Band(None, 2.0, None)
    assert bands.band([0.0, *[0.0] * 50, *[3.0] * 50]) == Band(None, None, 3.0)
    assert bands.percent([True, True, False, False, False]) == "25 %"


def test_draws_begin_with_the_nominal_technology_and_follow_the_seed():
    first, again, other = (bands.technologies(seed, 5, memory="HBM4") for seed in (0, 0, 1))
    price = first.memory.layer_price
    assert price.shape == (6,)
    assert float(price[0]) == pytest.approx(43.2)
    assert np.array_equal(price, again.memory.layer_price)
    assert not np.array_equal(price[1:], other.memory.layer_price[1:])


# capacity


@pytest.mark.parametrize(("users", "context"), [(1, 4096), (32, 65536)])
def test_bytes_of_a_server(few, users, context):
    technology = jax.tree.map(lambda leaf: leaf[0], few)
    work = machines.transformer("llama-3.1-405b")
    weights, state = capacity.kept(
        work,
        jnp.asarray(float(users)),
        jnp.asarray(float(context)),
        codesign.LimitStudy(),
        technology,
    )
    assert float(weights) == pytest.approx(WEIGHTS, rel=1e-12)
    assert float(state) == pytest.approx(users * context * PER_POSITION, rel=1e-12)


def test_a_latent_cache_is_copied_to_every_rank(few):
    """DeepSeek-V3: (512 + 64) bytes a position and layer, 61 layers; eight tensor ranks hold eight
    copies."""
    technology = jax.tree.map(lambda leaf: leaf[0], few)
    at = (machines.transformer("deepseek-v3"), jnp.asarray(32.0), jnp.asarray(1024.0))
    ideal, real = (
        capacity.kept(*at, execution, technology) for execution in machines.EXECUTIONS.values()
    )
    assert float(ideal[1]) == pytest.approx(32 * 1024 * 576 * 61, rel=1e-12)
    assert float(real[1]) == pytest.approx(8 * float(ideal[1]), rel=1e-12)
    assert float(real[0]) > float(ideal[0])


@pytest.mark.parametrize("users", [1.0, 32.0])
def test_cache_overtakes_weights(few, users):
    technology = jax.tree.map(lambda leaf: leaf[0], few)
    found = capacity.overtaking(
        machines.transformer("llama-3.1-405b"),
        jnp.asarray(users),
        codesign.LimitStudy(),
        technology,
    )
    assert found == pytest.approx(WEIGHTS / (users * PER_POSITION), rel=1e-9)


def test_chips_that_first_admit():
    """One user at 4 Ki: 406 GB; eight stacks of twelve 3 GB layers hold 288 GB a chip, so two chips
    of HBM4 do, one does not."""
    technology = bands.technologies(0, 1, node="N3", memory="HBM4", link="NVLink5")
    offered = machines.choices("HBM4", (1,), pipelines=(1,))
    work = machines.transformer("llama-3.1-405b")
    found = capacity.least_chips(
        technology, offered, work, jnp.asarray(4.0 * KIBI), codesign.Operatorwise()
    )
    assert float(found[0]) == 2.0


# bandwidth


@pytest.mark.parametrize(("chips", "sync"), [(8, 1.5), (32, 1.5), (128, 0.5)])
def test_half_and_tie_of_the_limit_are_where_streaming_takes_as_long_as_syncs(few, chips, sync):
    moved = WEIGHTS + 4096 * PER_POSITION
    found = bandwidth.asked(chips, sync, bandwidth.ALONE, "limit", few, multiple=4.0)
    multiple = moved / (chips * 4 * TEBI * SYNCS * sync * MICRO)
    assert np.asarray(found.half) == pytest.approx(multiple, rel=1e-5)
    assert np.asarray(found.tie) == pytest.approx(multiple, rel=1e-5)
    assert np.asarray(found.sync) == pytest.approx(moved / (chips * 4 * 4 * TEBI * SYNCS), rel=1e-5)


def test_bandwidth_operator_by_operator(few):
    slow, fast = (
        bandwidth.asked(32, sync, bandwidth.ALONE, "operatorwise", few) for sync in (1.5, 0.75)
    )
    ideal = bandwidth.asked(32, 1.5, bandwidth.ALONE, "limit", few)
    assert np.all(fast.half > 1.5 * slow.half), "shorter syncs make bandwidth pay for longer"
    assert np.all(slow.tie > slow.half), "transfer and vector work hold the half before the tie"
    assert np.all(slow.half > ideal.half), "fewer syncs and attainable bandwidth"
    assert np.all(slow.dollars_half < slow.dollars_peak)
    assert np.all(slow.dollars_half < slow.half), "bandwidth costs money"
    low, high = np.quantile(slow.half[1:], [0.0, 1.0])
    assert low < slow.half[0] < high


def test_half_elasticity_is_half_by_finite_differences(few):
    found = bandwidth.asked(32, 1.5, bandwidth.ALONE, "operatorwise", few)
    technology = jax.tree.map(lambda leaf: leaf[0], few)
    at = jnp.log(found.half[0] * bandwidth.STUDY_BANDWIDTH)
    service = tuple(jnp.asarray(value) for value in bandwidth.ALONE)
    rest = (
        jnp.log(1.5e-6),
        jnp.asarray(32.0),
        service,
        machines.transformer("llama-3.1-405b"),
        codesign.Operatorwise(),
    )
    more, less = (bandwidth.log_goals(at + step, *rest, technology)[0] for step in (1e-4, -1e-4))
    assert float(more - less) / 2e-4 == pytest.approx(0.5, abs=1e-5)


# DRAM and SRAM


def toy(prices: list[float], times: list[float]) -> memories.Lines:
    """Machines with that cost of a token per second at factor 1, half of it fixed; unaffected
    times."""
    cost, time = jnp.array(prices), jnp.array(times)
    return memories.Lines(cost=(0.5 * cost, cost), time=(time, time))


def test_best_machine_of_straight_lines():
    side = toy([4.0, 2.0, 1.0, jnp.inf], [1e-3, 2e-3, 1.0, jnp.inf])
    assert float(memories.best(side, jnp.asarray(400.0), jnp.asarray(1.0))) == 2.0
    assert float(memories.best(side, jnp.asarray(400.0), jnp.asarray(3.0))) == 4.0, "1 + 3 · 1"
    assert float(memories.best(side, jnp.asarray(600.0), jnp.asarray(1.0))) == 4.0
    assert float(memories.best(side, jnp.asarray(2000.0), jnp.asarray(1.0))) == math.inf


def test_crossings_by_hand():
    """DRAM costs ½ + ½x up to 1000 tokens/s/user, SRAM 2 up to 5000: they cross at x = 3 and at
    1000 tokens/s/user."""
    dram, sram = toy([1.0], [1e-3]), toy([2.0], [2e-4])
    slower = memories.Lines(
        cost=(jnp.array([1.0]), jnp.array([2.0])), time=(jnp.array([1e-4]), jnp.array([2e-4]))
    )
    left = {"price": dram, "energy": dram, "sync": dram}
    found = memories._crossings(
        (10.0, 100.0, 1.0), left, {"price": sram, "energy": sram, "sync": slower}, jnp.asarray(50.0)
    )
    assert float(found.ratio) == 2.0
    assert float(found.price) == pytest.approx(30.0, rel=1e-5)
    assert float(found.energy) == pytest.approx(300.0, rel=1e-5)
    assert float(found.speed) == pytest.approx(1000.0, rel=1e-5)
    assert float(found.instant) == 2.0, "at no latency ½ against 1"
    assert float(found.sync) == 0.0, "no crossing: the ratio is 2 at every latency"
    as_slow = dict.fromkeys(left, toy([2.0], [1e-3]))
    same = memories._crossings((10.0, 100.0, 1.0), left, as_slow, jnp.asarray(50.0))
    assert float(same.speed) == math.inf, "both fail at the same speed: nobody overtakes"


def test_at_the_crossing_both_sides_cost_the_same(sides, crossed):
    """Evaluates anew at the price and energy found: holds only if cost is affine in them."""
    evaluate = compiled(SELDOM)(machines.evaluated)
    dram, sram = sides
    work, context = machines.transformer("llama-3.1-70b"), jnp.asarray(memories.CONTEXT)

    def least(side: memories.Side, price: float, energy: float, what: str) -> float:
        technology = machines.with_memory(
            jax.tree.map(lambda leaf: leaf[0], side.technology), price, energy
        )
        found = evaluate(
            technology,
            side.offered,
            side.matrix_rate,
            work,
            context,
            codesign.Operatorwise(),
            jnp.asarray(1.0),
        )
        served = jnp.where(
            found.fits_memory & (found.user_tokens_per_second >= 50.0), getattr(found, what), 0.0
        )
        return float(jnp.max(served))

    nominal = jax.tree.map(lambda leaf: leaf[0], dram.technology)
    price = float(crossed.price[0, 0, 0] / machines.memory_price(nominal))
    energy = float(crossed.energy[0, 1, 0] / machines.access_energy(nominal))
    per_dollar, per_watt = "tokens_per_second_per_dollar", "tokens_per_second_per_watt"
    assert least(dram, price, 1.0, per_dollar) == pytest.approx(
        least(sram, 1.0, 1.0, per_dollar), rel=1e-4
    )
    assert least(dram, 1.0, energy, per_watt) == pytest.approx(
        least(sram, 1.0, 1.0, per_watt), rel=1e-4
    )
    ratio = least(dram, 1.0, 1.0, per_dollar) / least(sram, 1.0, 1.0, per_dollar)
    assert float(crossed.ratio[0, 0, 0]) == pytest.approx(ratio, rel=1e-6)


def test_crossings_lie_on_the_side_of_today_that_the_ratio_says(sides, crossed):
    """In every draw, at both speeds: where DRAM leads, it may cost and burn more than it does, and
    only there."""
    leads = np.asarray(crossed.ratio) > 1
    assert leads[0].all() and not leads[1].all(), "the draws hold both cases"
    dear = np.asarray(machines.memory_price(sides[0].technology))
    hot = np.asarray(machines.access_energy(sides[0].technology))
    assert np.all((np.asarray(crossed.price) > dear)[:, 0] == leads[:, 0])
    assert np.all((np.asarray(crossed.energy) > hot) == leads)
    assert np.all((crossed.speed[1] > FAST) == leads[1])
    assert np.all((crossed.sync < 1e-3) == (crossed.instant > 1)), (
        "no sync crossing where DRAM leads even without syncs"
    )


def test_memory_units(sides):
    nominal = jax.tree.map(lambda leaf: leaf[0], sides[0].technology)
    assert float(machines.memory_price(nominal)) == pytest.approx(
        43.2 / (3 * 2**30 / 1e9)
    )  # a layer of 24 Gbit is 3 GiB
    assert float(machines.access_energy(nominal)) == pytest.approx(4.0)


# speed


def test_fastest_of_the_limit_by_hand():
    """405B on 128 chips of eight HBM4 stacks: all bytes over all bandwidth, and three syncs a
    layer."""
    technology = bands.technologies(0, 1, node="N3", memory="HBM4", link="NVLink5")
    offered = machines.choices("HBM4", (1,), pipelines=(1,))
    work, rate = machines.transformer("llama-3.1-405b"), jnp.asarray(machines.MATRIX_RATE["HBM4"])
    found = speed.fastest(
        technology, offered, rate, work, jnp.asarray(4.0 * KIBI), codesign.LimitStudy()
    )
    sync = float(
        machines.usual_sync(jax.tree.map(lambda leaf: leaf[0], technology), jnp.asarray(128.0))
    )
    streaming = (WEIGHTS + 4096 * PER_POSITION) / (128 * 8 * 2750 * GIGA)
    total = streaming + SYNCS * sync
    assert float(found.speed[0]) == pytest.approx(1 / total, rel=1e-9)
    assert float(found.chips[0]) == 128.0
    assert np.asarray(found.shares[0]) == pytest.approx(
        [streaming / total, 0.0, SYNCS * sync / total, 0.0], abs=1e-9
    )
    halved = [total / (total - 0.5 * streaming), 1.0, total / (total - 0.5 * SYNCS * sync), 1.0]
    assert np.asarray(found.halved[0]) == pytest.approx(halved, rel=1e-9)
    assert float(found.sync_needed[0]) == 0.0, "144 µs of streaming leave nothing of 100 µs"


def test_sync_needed_reaches_the_goal():
    """Put the latency found into the design: some machine takes 100 µs, none less."""
    technology = bands.technologies(0, 1, node="N3", memory="SRAM", link="NVLink5")
    offered = machines.choices("SRAM", (1,), pipelines=(1, 4))
    work, rate, context = (
        machines.transformer("llama-3.1-70b"),
        jnp.asarray(1.13e15),
        jnp.asarray(4.0 * KIBI),
    )
    found = speed.fastest(technology, offered, rate, work, context, codesign.Operatorwise())
    assert np.sum(np.asarray(found.shares[0])) == pytest.approx(1.0)
    nominal = jax.tree.map(lambda leaf: leaf[0], technology)

    def time(choice):
        machine = machines.design(nominal, choice, rate, jnp.asarray(1.0))
        machine = dataclasses.replace(machine, sync_latency=found.sync_needed[0])
        workload = codesign.Workload(work, codesign.Decode(batch=1.0, context=context))
        outcome = codesign.evaluate(machine, workload, machines.plan_of(choice), technology=nominal)
        return jnp.where(outcome.fits_memory, outcome.step_time, jnp.inf)

    times = compiled(SELDOM)(jax.vmap(time))(offered)
    assert float(jnp.min(times)) == pytest.approx(1e-4, rel=1e-9)


# the table


def test_table_of_findings():
    """Columns and sentences as printed; None where there is no number, which JSON can hold."""
    rows = [Row("question", "setting", Band(2.0, 1.0, None), "x", "meaning")]
    table = flips.assembled([Finding(rows, ["It flips at 2 x."], ["note"])])
    assert table.rows == [("question", "setting", 2.0, 1.0, None, "x", "meaning")]
    assert list(table.record()["rows"][0]) == [
        "question",
        "setting",
        "nominal",
        "5 %",
        "95 %",
        "unit",
        "what it means",
    ]
    assert table.summary == ["It flips at 2 x."] and table.notes[-1] == "note"


def test_bandwidth_finding_holds_its_nominal_and_repeats(monkeypatch):
    drawn: dict[int, object] = {}

    def world(memory: str, seed: int):
        drawn[seed] = bands.technologies(seed, 12, node="N3", memory=memory, link="NVLink5")
        return drawn[seed]

    monkeypatch.setattr(bandwidth, "world", world)
    first, again, other = (bandwidth.finding(seed) for seed in (0, 0, 1))
    assert first == again
    assert first.rows != other.rows
    for row in first.rows:
        nominal, low, high = row.band
        assert nominal is not None and low is not None and high is not None
        assert low * (1 - 1e-9) <= nominal <= high * (1 + 1e-9), row
    assert any("5.09x HBM3" in line for line in first.summary)


def test_the_table_asks_all_four_questions(monkeypatch):
    from experiments.reproductions.flips import memory_notes
    from experiments.reproductions.table import Settings

    asked = []
    for question in (capacity, bandwidth, memory_notes, speed):
        found = Finding([], [question.__name__], [])
        monkeypatch.setattr(question, "finding", lambda seed, found=found: found)
        asked.append(question.__name__)
    assert list(flips.table(Settings()).summary) == asked

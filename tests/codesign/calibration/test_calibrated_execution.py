"""The calibrated execution: what each quantity of a design does to a step, and that the two places
that use the terms agree."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.calibration.calibrate import PREDICTIONS
from codesign.calibration.cases import map_rows
from codesign.calibration.execution import ANY_ENGINE, SCALES, calibrated, interval
from codesign.calibration.features import features
from codesign.calibration.measurements import read_measurements
from codesign.calibration.names import Engine, Formats
from codesign.calibration.service import QUANTITIES, predict
from codesign.calibration.structures import formats_of, precision
from codesign.performance.kernel_coefficients import COEFFICIENTS
from codesign.search.program.step_work import by_ratio, step_work, thresholds, time_at
from codesign.search.statement.space import CONTINUOUS
from codesign.workload.catalogue import index, model
from hardware_priors.machines import find_machine, machine
from hardware_priors.profiles import kernel_profile, profile
from tests.codesign.calibration.synthetic import line, write
from tests.examples import thorough

BITS = Formats(
    weights=8.0, experts=8.0, cache=8.0, activations=8.0, product_width=8, expert_width=8
)
PRECISION = precision(BITS)
"""As measured FP8 checkpoints are: head and embedding at 16 bit."""

WIDTH = float(PRECISION.compute_bits)
LLAMA = model("llama-3.1-8b")
VLLM = Engine("vllm", "vllm")
H100 = hardware_priors.device("h100").design(1, WIDTH)


@pytest.fixture(scope="module")
def execution():
    return calibrated(kernel_profile(), machine("h100"), BITS, VLLM, "llama-3.1-8b")


def outcome(execution, chips=4, batch=16.0, change=None, phase=None, plan=None, transformer=LLAMA):
    design = hardware_priors.device("h100").design(chips, WIDTH)
    design = dataclasses.replace(
        design, **{key: getattr(design, key) * factor for key, factor in (change or {}).items()}
    )
    phase = codesign.Decode(batch=batch, context=2048.0) if phase is None else phase
    work = codesign.Workload(transformer, phase, PRECISION)
    technology = hardware_priors.technology_of(hardware_priors.device("h100"))
    return codesign.evaluate(design, work, plan, technology=technology, execution=execution)


def test_the_parts_of_a_step_add_up(execution):
    step = outcome(execution).step
    parts = step.operators.sum() + step.latency.sum() + step.transfer.sum() + step.host
    assert float(step.time) == pytest.approx(float(parts), rel=1e-12)
    assert np.all(step.operators >= np.maximum(step.memory, step.compute))


def test_floors_do_not_move_when_bandwidth_doubles(execution):
    before, after = (
        outcome(execution).step,
        outcome(execution, change={"memory_bandwidth": 2.0}).step,
    )
    np.testing.assert_allclose(after.floor, before.floor, rtol=1e-12)
    np.testing.assert_allclose(after.memory, before.memory / 2.0, rtol=1e-12)
    assert float(after.host) == float(before.host)
    bound = before.memory / 2.0 >= before.compute  # still waiting for memory
    saved = float(
        jnp.sum(
            jnp.where(
                bound,
                before.memory / 2.0,
                before.memory - jnp.minimum(before.compute, before.memory),
            )
        )
    )
    assert float(before.time - after.time) == pytest.approx(saved, rel=1e-9)


@pytest.mark.parametrize(
    ("quantity", "part"),
    [
        ("peak_flops", "compute"),
        ("link_bandwidth", "transfer"),
        ("sync_latency", "latency"),
        ("memory_bandwidth", "memory"),
    ],
)
def test_a_quantity_moves_its_own_part_only(execution, quantity, part):
    parts = ("compute", "memory", "floor", "latency", "transfer", "host")
    before, after = outcome(execution).step, outcome(execution, change={quantity: 2.0}).step
    factor = 2.0 if quantity == "sync_latency" else 0.5
    for name in parts:
        expected = getattr(before, name) * (factor if name == part else 1.0)
        np.testing.assert_allclose(getattr(after, name), expected, rtol=1e-9, err_msg=name)


def test_halved_floors_shorten_the_step_by_half_of_them(execution):
    which = [k for k, name in enumerate(COEFFICIENTS) if name == "floor_scale"]
    halved = dataclasses.replace(execution, logs=execution.logs.at[which[0]].add(-jnp.log(2.0)))
    before, after = outcome(execution), outcome(halved)
    assert float(before.step.time - after.step.time) == pytest.approx(
        0.5 * float(before.step.floor.sum()), rel=1e-9
    )


def test_no_efficiency_exceeds_one(execution):
    """With losses that data would drive to nothing, and a scale below 1, no operator and no link
    beats the peaks."""
    losses = [
        name.endswith(("_memory", "_compute")) or name.startswith("link_") for name in COEFFICIENTS
    ]
    none = jnp.where(jnp.asarray(losses), -50.0, execution.logs)
    step = outcome(dataclasses.replace(execution, logs=jnp.where(SCALES > 0, -1.0, none))).step
    design = hardware_priors.device("h100").design(4, WIDTH)
    assert np.all(step.memory >= step.traffic.main / design.memory_bandwidth * (1.0 - 1e-12))
    link = hardware_priors.technology_of(hardware_priors.device("h100"))
    attained = outcome(codesign.Operatorwise()).step.transfer * link.attainable.link
    assert np.all(step.transfer >= attained * (1.0 - 1e-9))


DENSE_AND_MIXTURES = ("llama-3.3-70b", "gpt-oss-120b")


@pytest.mark.parametrize("name", index() if thorough() else DENSE_AND_MIXTURES)
def test_no_device_beats_its_limit(name):
    """Every shipped device, by the shipped profile, takes a step no faster than its memory."""
    transformer, bits = model(name), formats_of(PRECISION)
    machines = [found for each in hardware_priors.device_names() if (found := known_machine(each))]
    logs = jnp.stack(
        [calibrated(profile(), each, bits, ANY_ENGINE, name).logs for each in machines]
    )
    bandwidth = jnp.asarray([each.memory_bandwidth for each in machines])
    like = calibrated(profile(), machines[0], bits)

    @jax.jit
    @jax.vmap
    def over_its_limit(logs, bandwidth):
        change = {"memory_bandwidth": bandwidth / H100.memory_bandwidth}
        step = outcome(
            dataclasses.replace(like, logs=logs), 1, 1.0, change, None, None, transformer
        ).step
        return step.time * bandwidth / jnp.sum(step.traffic.main)

    assert float(jnp.min(over_its_limit(logs, bandwidth))) >= 1.0


def known_machine(name):
    try:
        return machine(name)
    except ValueError:  # a rate is not published
        return None


def test_an_interval_ends_at_the_peaks(execution):
    """A scale far below 1 holds a step at its peaks: it may be slower, never faster."""
    fast = dataclasses.replace(execution, logs=jnp.where(SCALES > 0, -30.0, execution.logs))

    def time_and_speed(execution):
        step = outcome(execution).step
        return jnp.stack([step.memory.sum(), 1.0 / step.memory.sum()])

    low, value, high = interval(time_and_speed, fast)
    assert low[0] == pytest.approx(float(value[0]), rel=1e-9) and high[0] > 1.05 * value[0]
    assert high[1] == pytest.approx(float(value[1]), rel=1e-9) and low[1] < 0.95 * value[1]


def test_experts_stream_and_compute_in_turn_and_a_search_knows_it(execution):
    """Rows of one expert are few: its arithmetic follows its weights (kernel tables). The function
    of rates that is searched takes the same time as the step, wherever the rates are."""
    for factor in (1.0, 0.02):
        step = outcome(
            execution, 8, 256.0, {"peak_flops": factor}, transformer=model("gpt-oss-20b")
        ).step
        assert 0.0 < float(jnp.sum(step.turns)) < len(step.turns)
        longer = jnp.maximum(step.memory, step.compute)
        both = jnp.where(step.turns > 0, step.memory + step.compute, longer)
        np.testing.assert_allclose(step.operators - step.floor, both, rtol=1e-9)
        design = hardware_priors.device("h100").design(8, WIDTH)
        design = dataclasses.replace(design, peak_flops=factor * design.peak_flops)
        rates = jnp.asarray([getattr(design, name) for name in CONTINUOUS])
        work = step_work(design, step, execution)
        assert float(time_at(work, rates, rates)) == pytest.approx(float(step.time), rel=1e-9)
        most = [jnp.max(m / design.peak_flops + b / design.memory_bandwidth)
                for m, b in [thresholds(work, by_ratio(work))]]  # fmt: skip
        busy = jnp.sum(step.operators - step.floor)
        assert float(most[0]) == pytest.approx(float(busy), rel=1e-9)


def test_gradients_agree_with_finite_differences(execution):
    def time(logs):
        changed = {
            "memory_bandwidth": jnp.exp(logs[0]),
            "peak_flops": jnp.exp(logs[1]),
            "sync_latency": jnp.exp(logs[2]),
        }
        return jnp.log(outcome(execution, change=changed).step_time)

    slope = jax.grad(time)(jnp.zeros(3))
    for k in range(3):
        step = jnp.zeros(3).at[k].set(1e-5)
        assert float((time(step) - time(-step)) / 2e-5) == pytest.approx(float(slope[k]), abs=1e-6)
    assert slope[0] < 0 and slope[2] > 0


def test_the_step_is_log_convex_in_the_design(execution):
    names = ("memory_bandwidth", "peak_flops", "link_bandwidth", "sync_latency")
    rng = np.random.default_rng(0)

    @jax.jit
    def time(logs):
        return jnp.log(
            outcome(execution, change=dict(zip(names, jnp.exp(logs), strict=True))).step_time
        )

    for _ in range(20):
        a, b = rng.uniform(-3, 3, (2, 4))
        middle = float(time(jnp.asarray(0.5 * (a + b))))
        assert middle <= 0.5 * (float(time(jnp.asarray(a))) + float(time(jnp.asarray(b)))) + 1e-12


@pytest.mark.parametrize("name", ["llama-3.1-8b", "gpt-oss-20b", "deepseek-v2"])
def test_prefill_and_mixtures_run(execution, name):
    plan = codesign.Plan(expert=codesign.WHOLE_EXPERTS)
    for phase in (
        codesign.Prefill(batch=1.0, prompt=512.0),
        codesign.Decode(batch=8.0, context=512.0),
    ):
        time = float(
            outcome(execution, chips=8, phase=phase, plan=plan, transformer=model(name)).step_time
        )
        assert 0 < time < 10


def test_drafts_cost_their_own_floors(execution):
    plain = outcome(execution)
    draft = codesign.Draft(length=2.0, acceptance=0.8, cost=0.1)
    drafted = outcome(execution, phase=codesign.Decode(batch=16.0, context=2048.0, draft=draft))
    assert len(drafted.step.floor) == 2 * len(plain.step.floor)
    assert float(drafted.step.floor.sum()) == pytest.approx(
        1.2 * float(plain.step.floor.sum()), rel=1e-6
    )


def test_calibration_and_evaluation_tell_the_same_time(tmp_path):
    """The decode step that calibration fits is the one that ``evaluate`` returns."""
    text = line(
        hardware="H100-SXM",
        tp=4,
        n_chips=4,
        batch_or_concurrency=16,
        precision_weights="fp8",
        precision_kv="fp8",
        phase="decode_steady_state",
        input_len=1548,
        output_len=1000,
    )
    cases, _ = map_rows(read_measurements(write(tmp_path, [text])), find_machine, index().get)
    case = cases[0]
    made = calibrated(kernel_profile(), case.machine, case.formats, case.engine, case.model)
    counted = features(cases)
    row = jax.tree.map(lambda leaf: leaf[0], counted.features)
    fitted = float(
        jnp.exp(predict(made.logs, row)[QUANTITIES.index(PREDICTIONS["decode", "time_per_token"])])
    )
    plan = codesign.Plan(all_reduce=jnp.stack([jnp.asarray(codesign.ALGORITHMS["one-shot"])]))
    other = codesign.Plan(all_reduce=jnp.stack([jnp.asarray(codesign.ALGORITHMS["two-shot"])]))
    told = [float(outcome(made, chips=4, plan=each).step_time) for each in (plan, other)]
    assert fitted == pytest.approx(
        min(told), rel=1e-3
    )  # the fit takes the better one at each collective


def test_an_unknown_engine_and_device_widen_the_interval():
    def time(execution):
        return jnp.stack([outcome(execution).step_time])

    known = calibrated(kernel_profile(), machine("h100"), BITS, VLLM, "llama-3.1-8b")
    widths = []
    for name in ("h100", "gaudi3"):
        made = calibrated(kernel_profile(), machine(name), BITS, VLLM, "llama-3.1-8b")
        low, value, high = interval(time, made)
        assert low < value < high
        widths.append(float(jnp.log(high / low)[0]))
    assert widths[1] > widths[0]
    assert known.covariance.shape == (len(COEFFICIENTS), len(COEFFICIENTS))


def test_energy_is_that_of_measurements_where_the_rating_is_known(execution):
    """Power is idle and the energies of bytes and operations, and no more than the rating."""
    measured, unknown = (
        outcome(execution),
        outcome(dataclasses.replace(execution, rated_power=None)),
    )
    c, step = execution.coefficients, measured.step
    moved = float(jnp.sum(step.traffic.main * step.load.mean_bytes))
    operations = float(
        jnp.sum(step.equivalent_flops * step.load.mean_flops)
    )  # at 16 bit, the width of the head
    power = c.idle_power * 700.0 + (c.byte_energy * moved + c.flop_energy * operations) / step.time
    assert float(measured.mean_power) == pytest.approx(min(float(power), 700.0), rel=1e-6)
    assert float(unknown.mean_power) != pytest.approx(float(measured.mean_power), rel=0.05)
    capped = outcome(
        dataclasses.replace(
            execution,
            logs=execution.logs + jnp.asarray([10.0 * (n == "byte_energy") for n in COEFFICIENTS]),
        )
    )
    assert float(capped.mean_power) == pytest.approx(700.0)


def test_serving_waits_for_the_share_of_prefills_that_was_measured(execution):
    """Handling a request delays its first token by just that and nothing else; without interference
    tokens come as in a decode step."""
    technology = hardware_priors.technology_of(hardware_priors.device("h100"))
    pool = codesign.Pool(hardware_priors.device("h100").design(1, WIDTH))
    service = codesign.Serving(prompt=512.0, output=256.0, batch=16.0, load=0.5)

    def served(**factors):
        logs = execution.logs + jnp.asarray(
            [jnp.log(factors.get(name, 1.0)) for name in COEFFICIENTS]
        )
        made = dataclasses.replace(execution, logs=logs)
        return (
            codesign.serve(
                LLAMA, service, pool, technology=technology, precision=PRECISION, execution=made
            ),
            made,
        )

    (plain, made), (slow, _), (alone, _) = (
        served(),
        served(first_token=3.0),
        served(interference=1e-12),
    )
    extra = float(slow.time_to_first_token - plain.time_to_first_token)
    assert extra == pytest.approx(2.0 * float(made.coefficients.first_token), rel=1e-6)
    assert float(slow.time_per_token) == pytest.approx(float(plain.time_per_token), rel=1e-9)
    assert float(alone.time_per_token) == pytest.approx(float(alone.decode.step_time), rel=1e-6)
    waited = float(plain.time_per_token - plain.decode.step_time)
    assert waited == pytest.approx(
        16.0 / 256.0 * float(made.coefficients.interference * plain.prefill.step_time), rel=1e-6
    )

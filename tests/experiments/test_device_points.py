"""Real devices have the designs' freedom: what is found for them is the best of an enumeration."""

import csv
import dataclasses
import io

import numpy as np
import pytest

from codesign.search.statement.goals import log_goals
from experiments.rivals.advantage import advantage, as_record, sentences
from experiments.rivals.comparison import compared
from experiments.rivals.device_rows import devices_csv, drawn, record
from experiments.rivals.dominating import own_front
from experiments.rivals.offers import Integers, evaluate
from experiments.rivals.points import (
    _offers,
    device_points,
    leading,
    objectives_of,
    one_chip,
)
from experiments.rivals.search import search
from experiments.scenarios.problem import layouts, problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import read, scenario, written
from tests.benchmarks.enumerate_devices import best_decode, best_pair
from tests.experiments.small_scenario import SMALL

FIVE = ("rubin", "tpu-v7", "b200", "mi355x", "h200")
LAYERED = SMALL.replace("context = 4096", "context = 32768").replace(
    "pipeline = [1]", "pipeline = [1, 2]\nattention_data = [1, 4]\ncontext_parallel = [1, 2]"
)
MIXTURE = (
    SMALL.replace("context = 4096", "context = 32768")
    .replace("llama-3.1-8b", "gpt-oss-20b")
    .replace("pipeline = [1]", 'pipeline = [1]\nexperts = ["sliced", "whole"]')
)
TIGHT = SMALL.replace('"20 ms"', '"2 ms"')
SERVING = SMALL.replace(
    "context = 4096", 'phase = "serving"\nprompt = 2048\noutput = 512\nfirst_promise = "30 ms"'
)
TWO_SERVICES = SMALL.replace(
    "[technology]",
    '[[workload]]\nmodel = "gpt-oss-20b"\ncontext = 2048\npromise = "1 ms"\nshare ='
    " 0.4\n[technology]",
)
TWO_SERVICES = TWO_SERVICES.replace("[workload]\n", "[[workload]]\nshare = 0.6\n", 1).replace(
    "batch = [1, 256]", "batch = [1, 20]"
)
BOUNDED = (
    SMALL + '\n[[bounds]]\noutcome = "capital_cost"\nmost = 150e3\n[[bounds]]\noutcome ='
    ' "tokens_per_second_per_watt"\nleast = 0.5\n'
)


def within(
    name: str,
    chips: tuple[int, int],
    batch: tuple[int, int],
    devices: tuple[str, ...] = FIVE,
    **search: object,
) -> Scenario:
    """A built-in scenario in a smaller range, for some devices."""
    stated = scenario(name)
    space = stated.space.model_copy(update={"chips": chips, "batch": batch})
    asked = stated.search.model_copy(update=search)
    return stated.model_copy(
        update={
            "space": space,
            "search": asked,
            "compare": stated.compare.model_copy(update={"devices": devices}),
        }
    )


def test_llama_405b_is_enumerated():
    """Every number of chips and batch in range and both collectives, by code apart from the
    search's."""
    stated = within("llama-405b", (2, 12), (1, 400))
    found = {point.name: point for point in device_points(stated, problem(stated))}
    for name in FIVE:
        best, chips, batch = best_decode(stated, name, np.arange(2, 13), np.arange(1, 401))
        assert found[name].tokens_per_second_per_dollar == pytest.approx(best, rel=1e-3)
        assert (found[name].chips, found[name].batch) == (chips, batch), name


def test_chat_is_enumerated():
    """Machines of two kinds: every pair of chip counts, every batch, with and without attention
    groups."""
    stated = within("chat", (1, 11), (1, 300), objectives=["tokens/s/$"])
    found = {point.name: point for point in device_points(stated, problem(stated))}
    for name in FIVE:
        best, decode, prefill, batch = best_pair(stated, name, np.arange(1, 12), np.arange(1, 301))
        assert found[name].tokens_per_second_per_dollar == pytest.approx(best, rel=1e-3)
        assert (found[name].best.chips, found[name].batch) == ((decode, prefill), batch), name


def test_known_devices_of_llama_405b():
    """Rubin is the best of the run's own technology, TPU v7 of the others, at rated power.

    Provisioned at the sum of all peaks, as before, Rubin had 0.0329, TPU v7 0.0181.
    """
    stated = within("llama-405b", (1, 512), (1, 4096), (*FIVE, "gb200"))
    found = {point.name: point for point in device_points(stated, problem(stated))}
    expected = {
        "rubin": (0.03689, 4, 251),
        "tpu-v7": (0.01891, 8, 122),
        "b200": (0.01780, 8, 130),
        "mi355x": (0.01353, 8, 106),
        "gb200": (0.01237, 8, 99),
        "h200": (0.00770, 8, 41),
    }
    for name, (worth, chips, batch) in expected.items():
        point = found[name]
        assert point.tokens_per_second_per_dollar == pytest.approx(worth, abs=5e-6), name
        assert (point.chips, point.batch) == (chips, batch), name
        assert point.same_generation == (name == "rubin")


@pytest.mark.parametrize(
    "text",
    [TIGHT, LAYERED, MIXTURE, SERVING, TWO_SERVICES, BOUNDED],
    ids=["tight", "layered", "mixture", "serving", "two", "bounded"],
)
@pytest.mark.parametrize(
    "goals",
    [["tokens/s/$", "tokens/s/W", "tokens/s/user"], ["$/token", "J/token"]],
    ids=["rates", "costs"],
)
def test_no_machine_of_the_range_is_better(text, goals):
    """Each objective against every machine there is, and no point of a device's front that one of
    them beats in all."""
    stated = read(text, "small", "small")
    stated = stated.model_copy(
        update={"search": stated.search.model_copy(update={"objectives": goals})}
    )
    posed, objectives = problem(stated), objectives_of(stated)
    ways = layouts(stated, posed.services)
    names = stated.model_copy(
        update={
            "compare": stated.compare.model_copy(update={"devices": ("b200", "tpu-v7", "h100")})
        }
    )
    described = [(one, [one_chip(one, 8, posed) for _ in ways]) for one in compared(names)]
    offers = _offers(stated, posed, ways, described)
    speed = [one.name for one in objectives].index("tokens/s/user")
    sought = search(offers, objectives, posed.bounds, speed)
    chips = np.arange(1, 17)
    batches = np.stack(
        np.meshgrid(
            *[np.arange(1, stated.space.batch[1] + 1)] * len(posed.services), indexing="ij"
        ),
        -1,
    )
    batches = batches.reshape(-1, len(posed.services))
    for device in range(3):
        every = []
        for offer in np.flatnonzero(offers.device == device):
            legal = chips[chips >= offers.fewest[offer, 0]]
            count = len(legal) * len(batches)
            every.append(
                Integers(
                    np.full(count, offer),
                    np.repeat(legal, len(batches))[:, None],
                    np.tile(batches, (len(legal), 1)),
                )
            )
        machines = Integers(*(np.concatenate(parts) for parts in zip(*every, strict=True)))
        found = evaluate(offers, machines)
        logs = log_goals(objectives, found.totals)
        good = (
            (found.capacity <= 0).all(axis=1)
            & (found.late <= 0).all(axis=1)
            & (found.first <= 0).all(axis=1)
        )
        for bound in posed.bounds:
            reached = getattr(found.totals, bound.outcome)
            good &= (reached <= (bound.most or np.inf)) & (reached >= (bound.least or 0.0))
        assert good.any() and not good.all()
        np.testing.assert_allclose(sought.best[device], logs[good].min(axis=0), atol=1e-3)
        seen, known = sought.seen
        own = offers.device[seen.offer] == device
        front = known[own][own_front(known[own], speed)]
        assert front.min(axis=0) == pytest.approx(sought.best[device], abs=1e-12)
        behind = [
            (row - logs[good]).min(axis=1).max() for row in front
        ]  # by how much one machine beats a point in everything
        assert np.median(behind) < 0.02 and max(behind) < (
            0.05 if len(posed.services) == 1 else 0.15
        ), behind


def test_chips_beyond_the_domain_are_allowed_and_charged():
    """As designs beyond theirs: eight H100 hold Llama-3.1-405B, but not at 20 ms a token."""
    stated = within("llama-405b", (1, 512), (1, 64), ("h100",))
    (point,) = device_points(stated, problem(stated))
    assert point.chips > 8
    (one,) = compared(stated)
    design = one_chip(one, 8, problem(stated))
    assert float(design.scale_up_domain) == 8 and float(design.scale_out_latency) == pytest.approx(
        20e-6
    )  # of scenario.toml


def test_the_generation_of_the_scenario_comes_first_and_all_others_have_reasons():
    stated = scenario("llama-405b")
    order = compared(stated)
    assert order[0].same_generation and "rubin" in [
        one.name for one in order if one.same_generation
    ]
    assert [one.same_generation for one in order] == sorted(
        (one.same_generation for one in order), reverse=True
    )
    reasons = {one.name: one.absent_because for one in order}
    assert (
        reasons["xpu-hbm4"] == "a chip of a limit study, never built"
        and "desktop" in reasons["rtx-4090"]
        and not reasons["rubin"]
    )
    assert {one.name for one in compared(scenario("offline")) if one.same_generation} >= {
        "h200",
        "b200",
        "tpu-v7",
    }  # of HBM3E


def test_what_is_announced_for_a_later_year_is_a_plan_and_not_of_the_generation():
    """mtia-500 (HBM4, 2027, announced) stood as the best device that a design of 2026 had to
    beat."""
    order = {one.name: one for one in compared(scenario("llama-405b"))}
    later, own = order["mtia-500"], order["rubin"]
    assert (
        later.announced
        and later.technology == ("N3", "HBM4", "Ethernet")
        and not later.same_generation
        and not later.absent_because
    )
    assert own.announced and own.same_generation  # for the year of its memory
    assert not order["b200"].announced


NARROW = """
memory_bandwidth = "8 TB/s"
memory_capacity = "288 GiB"
peak_flops_4bit = "10 PFLOP/s"
sync_latency = "4 us"
link_bandwidth = "900 GB/s"
technology = ["N4", "HBM3E", "NVLink5"]
"""


def test_absent_devices_say_why(tmp_path):
    (tmp_path / "narrow.toml").write_text(NARROW)
    stated = within(
        "llama-405b", (1, 4), (1, 8), ("rubin", "h100", str(tmp_path / "narrow.toml"), "groq-lpu")
    )
    points = {point.name: point for point in device_points(stated, problem(stated))}
    assert (
        "too small" in points["h100"].absent_because
        and "4 chips" in points["groq-lpu"].absent_because
    )
    assert (
        "no rate for 8-bit products" in points["narrow"].absent_because
        and not points["rubin"].absent_because
    )
    rows = list(csv.DictReader(io.StringIO(devices_csv(list(points.values()), stated))))
    assert [row["name"] for row in rows] == list(points) and rows[-1]["absent_because"]
    assert float(rows[0]["tokens/s/$ [token/s/USD]"]) == pytest.approx(
        points["rubin"].tokens_per_second_per_dollar, rel=1e-8
    )
    told = record(points["rubin"])
    assert {"name", "chips", "batch", "values", "year", "absent_because"} <= told.keys()
    assert told["absent_because"] is None and set(told["values"]) == {
        "tokens/s/$",
        "tokens/s/W",
        "tokens/s/user",
    }
    assert record(points["h100"])["chips"] is None and record(points["h100"])["values"] == {}
    assert len(told["front"]) > 1 and sum(
        told["capital_usd_per_token_per_second"].values()
    ) == pytest.approx(1 / told["values"]["tokens/s/$"])


def test_a_scenario_names_its_devices(refused, tmp_path):
    named = SMALL + '\n[compare]\ndevices = ["h100", "rtx-4090"]\n'
    stated = read(named, "small", "small")
    assert {one.name for one in compared(stated)} == {"h100", "rtx-4090"} and not any(
        one.absent_because for one in compared(stated)
    )
    assert read(written(stated), "small", "small") == stated
    (tmp_path / "wrong.toml").write_text(named.replace("h100", "h10"))
    assert "did you mean" in refused("optimize", "wrong.toml")
    (tmp_path / "wrong.toml").write_text(named.replace("devices =", "device ="))
    assert "did you mean 'devices'" in refused("optimize", "wrong.toml")


def test_a_device_of_ones_own_is_compared(tmp_path):
    text = (
        'name = "my $chip$"\nmemory_bandwidth = "8 TB/s"\nmemory_capacity = "192 GB"\npeak_flops ='
        ' "5 PFLOP/s"\n'
    )
    text += (
        'sync_latency = "2 us"\nlink_bandwidth = "900 GB/s"\nscale_up_domain = 8\ntechnology ='
        ' ["N3", "HBM4", "NVLink6"]\n'
    )
    (tmp_path / "own.toml").write_text(text)
    stated = read(SMALL + f'\n[compare]\ndevices = ["{tmp_path}/own.toml"]\n', "small", "small")
    (point,) = device_points(stated, problem(stated))
    assert (
        point.name == "my $chip$"
        and point.same_generation
        and point.best
        and drawn([point], stated) == [point]
    )
    (tmp_path / "own.toml").write_text(text.replace('technology = ["N3", "HBM4", "NVLink6"]\n', ""))
    (point,) = device_points(stated, problem(stated))
    assert "no technology is stated" in point.absent_because


def test_two_devices_of_one_name_are_refused(refused, tmp_path):
    """Nobody could tell them apart, and one would stand for both."""
    (tmp_path / "mine.toml").write_text(
        'name = "h200"\nmemory_bandwidth = "8 TB/s"\nmemory_capacity = "192 GB"\n'
        'peak_flops_8bit = "5 PFLOP/s"\nsync_latency = "2 us"\nlink_bandwidth = "900 GB/s"\n'
    )
    for names in ('"h200", "mine.toml"', '"mine.toml", "./mine.toml"'):
        (tmp_path / "small.toml").write_text(SMALL + f"\n[compare]\ndevices = [{names}]\n")
        assert "are both named 'h200'; expected a name" in refused("optimize", "small.toml")


def test_a_fleet_that_decodes_on_two_kinds_is_not_compared_and_says_so():
    text = TWO_SERVICES.replace("[technology]", "decode_machine = 1\n[technology]").replace(
        "[space]", "[[machines]]\n[[machines]]\n[space]"
    )
    stated = read(text, "small", "small")
    points = device_points(stated, problem(stated))
    assert all(
        "expected one" in point.absent_because
        or "limit study" in point.absent_because
        or not point.best
        for point in points
    )


def test_the_picture_keeps_the_best_few_of_each_generation():
    stated = read(SMALL, "small", "small")
    points = device_points(stated, problem(stated))
    shown = drawn(points, stated)
    assert 5 < len(shown) <= 12 and shown[0].same_generation
    for year in {point.year for point in shown if not point.same_generation}:
        assert sum(point.year == year and not point.same_generation for point in shown) <= 2
    best = max(
        (point for point in points if point.best),
        key=lambda point: point.best.values[leading(stated)],
    )
    assert best in shown


@pytest.fixture(scope="module")
def small_run():
    from experiments.commands.optimize import search as whole

    stated = read(
        SMALL.replace('"tokens/s/user"', '"$/token", "tokens/s/user"')
        + '\n[compare]\ndevices = ["rubin", "b200"]\n',
        "small",
        "small",
    )
    front, devices, _ = whole(stated, lambda *_: None)
    return stated, front, devices


@pytest.mark.parametrize("first", ["tokens/s/$", "$/token"])
def test_the_advantage_multiplies_up_and_is_said_in_one_sentence(small_run, first):
    stated, front, devices = small_run
    asked = [
        first,
        *(
            name
            for name in stated.search.objectives
            if name not in (first, "tokens/s/$", "$/token")
        ),
    ]
    stated = stated.model_copy(
        update={"search": stated.search.model_copy(update={"objectives": asked})}
    )
    found = advantage(front, devices, stated)
    assert found is not None and found.device.name == "rubin" and found.objective == first
    assert np.prod(list(found.factors.values())) == pytest.approx(found.ratio, rel=1e-6)
    for side in (found.design, found.other):
        whole = 1.0 / side.value if first == "tokens/s/$" else side.value
        assert sum(side.money.values()) == pytest.approx(whole, rel=1e-6)
        assert sum(side.shares.values()) == pytest.approx(1.0) and min(side.money.values()) >= 0
    text = " ".join(sentences(found, stated))
    assert (
        "rubin" in text
        and f"{found.ratio:.2f} times" in text
        and "facility" in text
        and "HBM4, same generation" in text
    )
    assert as_record(found)["factors"] == found.factors
    (b200,) = [point for point in devices if point.name == "b200"]
    assert "none of the scenario's own" in " ".join(
        sentences(advantage(front, [b200], stated), stated)
    )
    assert "No device" in " ".join(sentences(advantage(front, [], stated), stated))


def test_the_advantage_of_an_enumerated_design_by_hand(small_run):
    """Tokens/s per chip and capital per chip of the best design, from its outcome."""
    stated, front, devices = small_run
    found = advantage(front, devices, stated)
    row = int(np.argmax(front.totals.tokens_per_second_per_dollar))
    chips = float(front.design.chips[row])
    assert 1.0 / found.design.chips_busy == pytest.approx(
        front.totals.system_tokens_per_second[row] / chips, rel=1e-9
    )
    outcome = front.outcomes[0]
    share = float(outcome.cost.facility[row]) / float(outcome.cost.capital[row])
    assert found.design.shares["facility"] == pytest.approx(share, rel=1e-9)


@pytest.mark.parametrize(
    "objectives",
    [["tokens/s/user"], ["$/token"], ["tokens/s/$", "J/token", "power", "tokens/s/user"]],
)
def test_pictures_of_any_objectives_and_any_devices(small_run, tmp_path, objectives):
    """With devices, without, with names that look like mathematics."""
    from experiments.runs.picture import draw_front
    from objectives import objective

    stated, front, _ = small_run
    asked = [objective(name) for name in objectives]
    values = np.exp(-log_goals(asked, front.totals) * np.array([one.sense for one in asked]))
    front = dataclasses.replace(front, objectives=tuple(asked), values=values)
    stated = stated.model_copy(
        update={
            "search": stated.search.model_copy(update={"objectives": objectives}),
            "description": "a $^ b",
        }
    )
    own = device_points(stated, problem(stated))
    strange = [dataclasses.replace(point, name="$_{") for point in own]
    for k, several in enumerate((own, [], strange)):
        draw_front(tmp_path / f"{k}.png", front, several, stated)
        assert (tmp_path / f"{k}.png").read_bytes().startswith(b"\x89PNG")

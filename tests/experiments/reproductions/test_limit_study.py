"""The limit study: known rows, findings against hand calculations, and what is ours."""

import numpy as np
import pytest

from codesign.numerics.units import GIBI, MICRO, TEBI
from experiments.reproductions import TAKES, claims
from experiments.reproductions.flips.bands import Band
from experiments.reproductions.limit_study import findings, money, path, predictions, systems
from experiments.reproductions.limit_study.systems import answers, system
from tests.examples import thorough

WEIGHTS, PER_POSITION, LAYERS = 405e9, 258_048.0, 126
BIG = findings.BIG


def test_every_known_row_is_met():
    assert [claim.verdict for claim in findings.published_rows()] == ["met"] * 7


def test_findings_and_their_verdicts():
    """What a reader of the study may rely on: each verdict as it stands, misses included."""
    found = {each.quantity: each for each in findings.check_findings((8, 32, 128), (4096, 131072))}
    verdicts = {name: claim.verdict for name, claim in found.items() if claim.published is not None}
    assert verdicts == {
        "HBM3 at long context [token/s/user]": "met",
        "bandwidth where syncs come first [x HBM3]": ("met on 41 chips; the study names no number"),
        "syncs of 2.5 µs: elasticity by bandwidth [1]": "met",
        "tensor rate used at batch 1 [%]": "met on all but the wafer",
        "70B: 2000 token/s/user is easy on": "met",
        "405B: 2000 token/s/user is easy on": "met only with syncs of 1 µs",
        "DeepSeek-V3: 2000 token/s/user is easy on": "met only with syncs of 1 µs",
        "405B: 10 000 token/s/user": "met",
        "3D DRAM: syncs for 5 000, for 10 000 [µs]": "met",
        "error against real machines [%]": (
            "not reproducible: which machines and models is not known to us"
        ),
    }
    assert found["405B: 2000 token/s/user is easy on"].ours == "COWS; with 1 µs 3D-DRAM, SRAM, COWS"


@pytest.mark.parametrize("chips", [32, 128])
def test_bandwidth_at_which_syncs_come_first_by_hand(chips):
    streamed = (WEIGHTS + 4096 * PER_POSITION) / (chips * 4 * TEBI)
    synced = LAYERS * 3 * 1.5e-6
    (share,) = answers(BIG, [system("xpu-hbm3", chips, 4096)]).synced
    assert share == pytest.approx(synced / (synced + streamed), rel=1e-9)


def test_sync_that_a_speed_takes_gives_that_speed():
    at = system("xpu-3d-dram", 128, 4096)
    needed = findings.sync_needed(answers(BIG, [at]), at, 2000.0)
    (reached,) = answers(BIG, [at._replace(sync=needed)]).user
    assert reached == pytest.approx(2000.0, rel=1e-9)
    assert 1.0 < needed / MICRO < 1.5  # 1/2000 s less 96 µs of streaming, over 378 syncs
    slow = system("xpu-hbm3", 128, 4096)
    assert np.isnan(findings.sync_needed(answers(BIG, [slow]), slow, 2000.0))


def test_stages_are_the_fewest_that_hold_the_model():
    at = systems.holding("xpu-sram", BIG, 128, 4096)
    by_hand = np.ceil((WEIGHTS + 4096 * PER_POSITION) / (128 * 0.5 * GIBI))
    assert at.pipeline == by_hand == 6
    assert not answers(BIG, [at._replace(pipeline=at.pipeline - 1)]).fits[0]


def test_predictions_for_three_models_on_five_technologies():
    """The rows of papers.md for 405B (regression values of the fitted model), and DeepSeek-V3 as in
    ``test_published``."""
    table = predictions.by_technology(128, (4096, 131072))
    cells = {row[0]: row[1:] for row in table.rows}
    assert cells["HBM4"][:2] == ("2578 / 2525", "1375 / 1351")
    assert cells["3D-DRAM"][:2] == ("2654 / 2620", "1508 / 1490")
    assert cells["HBM3"] == ("2060 / 1914", "776 / 743", "892 / 886")
    swept = {row[0]: row[2] for row in predictions.sweeps((8, 32, 128), (4096,)).rows}
    assert swept["chips"] == "379 828 1375"


def test_the_path_from_the_limit_begins_at_it_and_loses_half_to_copied_heads():
    steps = list(path.walk_path(128, 131072).values())
    assert round(steps[0]) == 743 and round(steps[1]) == 445
    assert steps[-1] < steps[1]


@pytest.mark.skipif(not thorough(), reason="60 draws of five technologies take 15 CPU s")
def test_dram_is_about_ten_times_cheaper_than_sram():
    dollars, watts = money.over_hbm4(0)["xpu-sram"]
    assert isinstance(dollars, Band) and dollars.low is not None and dollars.high is not None
    assert dollars.low < 10.0 < dollars.high and watts.low is not None and watts.low > 1.0


def test_verdicts():
    assert claims.compare("x", 290.0, 289.6).verdict == "met"
    assert claims.compare("x", 290.0, 288.0).verdict == "off by -0.69 %"
    assert claims.bound("x", 2.0, 1.5).verdict == "met as a bound"
    table = claims.tabulate("t", [claims.compare("x", 1.0, 1.0), claims.added("y", 2.0)])
    assert table.title == "t: 1 of 1 met, 1 of ours"
    (first, second) = table.record()["rows"]
    assert first == {"quantity": "x", "published": 1.0, "ours": 1.0, "verdict": "met"}
    assert second["published"] is None


def test_a_setting_that_a_reproduction_does_not_take_is_refused(refused):
    assert "--device is given; reproduce limit-study takes" in refused(
        "reproduce", "limit-study", "--device", "h100"
    )
    assert "--seed" in refused("reproduce", "prices", "--seed", 3) and TAKES["prices"] == ()
    assert "--chips is '0'" in refused("reproduce", "limit-study", "--chips", "8,0")
    assert "expected names" in refused("reproduce", "limit-study", "--models", "a,,b")

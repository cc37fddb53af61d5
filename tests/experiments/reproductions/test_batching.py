"""Batches and replicas of arXiv 2503.08311."""

import pytest

from experiments.reproductions import batching
from experiments.reproductions.batching.published import AFFINE, DECODE, REPLICATED, STEPS
from experiments.reproductions.claims import Claim


@pytest.fixture(scope="module")
def claims():
    made = batching.table(batching.Settings())
    return {row[0]: Claim(*row) for row in made.rows}


def test_advice_on_the_logs_is_the_published_one():
    found = batching.chosen_from_logs()
    assert len(found) == 16 and all(claim.verdict == "met" for claim in found)


@pytest.mark.parametrize("name", AFFINE)
def test_decode_of_the_logs_is_affine_in_the_batch(name):
    times = [each / STEPS for each in DECODE[name].values()]
    start, slope, error = batching.affine_fit(list(DECODE[name]), times)
    assert start * 1e3 == pytest.approx(AFFINE[name][0], rel=0.02)
    assert slope * 1e6 == pytest.approx(AFFINE[name][1], rel=0.02)
    assert 100 * error <= AFFINE[name][2]


def test_the_law_of_sharing_predicts_two_replicas_from_four():
    for rates in REPLICATED["opt-1.3b"].values():
        predicted = batching.two_by_law(rates[4] / rates[1])
        assert predicted == pytest.approx(rates[2] / rates[1], rel=0.05)


def test_verdicts_of_the_model_misses_included(claims):
    """Signs of all gains are right, sizes are within 16 points."""
    verdicts = {name: row.verdict for name, row in claims.items()}
    advised = [v for name, v in verdicts.items() if "model: floor" in name]
    assert advised.count("met") == 3 and len(advised) == 4
    gains = {name: row for name, row in claims.items() if name.endswith("gain [%]")}
    assert len(gains) == 10
    wrong = [name for name, row in gains.items() if row.published * row.ours <= 0]
    assert wrong == []
    assert "off by" in verdicts["opt-1.3b, 4x256: gain [%]"]
    assert claims["opt-1.3b, 2x256: gain [%]"].published == 33.75
    assert verdicts["opt-1.3b, model: a [ms]"].startswith("off by")

"""Fitting: parameters that made the data are found, wrong rows pull little, a profile survives its
file, statistics by hand."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from codesign.calibration.calibrate import Predictions, combine, prune
from codesign.calibration.cases import map_rows
from codesign.calibration.cross_validation import LeftOut, narrowed, scores, widen, widening
from codesign.calibration.fit import Block, carry, compressed, fit
from codesign.calibration.layers import PRIORS, complete, learnt_spreads, membership, parameters
from codesign.calibration.measurements import read_measurements
from codesign.calibration.profile import Profile, join, load, save
from codesign.calibration.statistics import score
from codesign.workload.catalogue import index
from hardware_priors.machines import find_machine
from tests.codesign.calibration.synthetic import line, write

RNG = np.random.default_rng(1)


def line_block(values: np.ndarray, slopes: np.ndarray) -> Block:
    """Rows ln y = a + b·x, each with its own x; a and b are coefficients 0 and 1 and parameters 0
    and 1."""
    members = np.tile(np.array([[[0], [1]]]), (len(values), 1, 1))
    derivative = np.stack([np.ones_like(slopes), slopes], axis=1)
    return Block(
        members,
        values,
        np.full(len(values), 0.1),
        lambda logs: (logs[:, 0] + logs[:, 1] * slopes, derivative),
    )


def test_a_line_is_found_with_the_covariance_of_least_squares():
    x = np.linspace(-1, 1, 400)
    noisy = 0.7 - 0.3 * x + 0.1 * RNG.standard_t(4, 400)
    found = fit([line_block(noisy, x)], np.zeros(2), np.full(2, 100.0))
    assert found.converged
    np.testing.assert_allclose(found.mean, [0.7, -0.3], atol=0.03)
    expected = (
        0.1 / np.sqrt(400) * np.sqrt(7.0 / 5.0)
    )  # information of t(4): (ν + 1)/(ν + 3) of the normal's
    assert np.sqrt(found.covariance[0, 0]) == pytest.approx(expected, rel=0.25)


def test_wrong_rows_pull_little():
    x = np.linspace(-1, 1, 100)
    clean = 0.7 - 0.3 * x
    wrong = clean.copy()
    wrong[::20] += 3.0
    found = fit([line_block(wrong, x)], np.zeros(2), np.full(2, 100.0))
    assert abs(found.mean[0] - 0.7) < 0.02  # least squares would say 0.85


def test_without_rows_the_prior_stays():
    mean, spread = np.array([1.0, 2.0]), np.array([0.5, 0.25])
    empty = line_block(np.empty(0), np.empty(0))
    found = fit([empty], mean, spread)
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(np.diag(found.covariance), spread)


def test_layers_add_up_and_unknown_members_widen():
    row = {"generic": "", "vendor": "nvidia", "architecture": "hopper", "device": "h100"}
    made = parameters([row], {})
    theta = np.zeros(len(made.names) + 1)
    for name, value in (
        ("product_floor|generic|", -12.0),
        ("product_floor|architecture|hopper", 0.5),
        ("product_floor|device|h100", 0.25),
    ):
        theta[made.index[name]] = value
    members, unknown = membership([row, row | {"device": "h300"}], made.index, {})
    first = list(PRIORS).index("product_floor")
    np.testing.assert_allclose(theta[members].sum(axis=2)[:, first], [-11.25, -11.5])
    assert unknown[0, first] == 0.0
    assert unknown[1, first] == pytest.approx(PRIORS["product_floor"].layers["device"] ** 2)


def test_a_profile_survives_its_file(tmp_path):
    size = 6
    root = RNG.normal(size=(size, size))
    made = Profile(
        tuple(f"product_floor|device|{k}" for k in range(size)),
        RNG.normal(size=size),
        root @ root.T,
        {"power": 1.25},
        {"queue|engine": 0.4},
        {"name": "x", "date": "2026"},
    )
    save(made, tmp_path / "x.npz")
    again = load(tmp_path / "x.npz")
    assert (again.names, again.noise, again.spreads) == (
        made.names,
        {"power": 1.25},
        {"queue|engine": 0.4},
    )
    assert again.about == {"name": "x", "date": "2026"}
    deviation = np.sqrt(np.diag(made.covariance))
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(again.covariance / scale, made.covariance / scale, atol=5e-4)
    assert np.linalg.eigvalsh(again.covariance).min() > 0.0


def test_a_file_that_is_no_profile_is_refused_by_name(tmp_path):
    (tmp_path / "x.npz").write_text("no")
    with pytest.raises(ValueError, match=r"x\.npz: no calibration profile"):
        load(tmp_path / "x.npz")


def test_profiles_that_share_a_parameter_cannot_be_joined():
    one = Profile(("a|generic|",), np.zeros(1), np.eye(1))
    with pytest.raises(ValueError, match="share"):
        join([one, one])


def test_a_prior_profile_wins_over_the_layers():
    prior = Profile(("product_floor|generic|",), np.array([-9.0]), np.array([[0.04]]))
    names, mean, covariance = combine(
        ("product_floor|generic|", "queue|generic|"),
        np.array([-12.0, -2.0]),
        np.array([0.5, 1.0]),
        prior,
    )
    assert names == ("product_floor|generic|", "queue|generic|")
    np.testing.assert_allclose(mean, [-9.0, -2.0])
    np.testing.assert_allclose(np.diag(covariance), [0.04, 1.0])


def test_completing_adds_every_generic_coefficient_once():
    whole = complete(Profile(("queue|generic|",), np.array([-3.0]), np.eye(1)))
    assert sorted(whole.names) == sorted(f"{name}|generic|" for name in PRIORS)
    assert whole.mean[whole.index["queue|generic|"]] == -3.0


def test_layers_learn_how_far_their_members_lie_apart():
    """Ten engines with queues half a unit apart: the judged spread gives way; one engine says next
    to nothing."""
    judged = PRIORS["queue"].layers["engine"]

    def learnt(values):
        names = tuple(f"queue|engine|{k}" for k in range(len(values)))
        return learnt_spreads(Profile(names, np.array(values), 1e-6 * np.eye(len(names))))[
            "queue|engine"
        ]

    assert learnt([0.02, -0.02] * 20) < 0.4 * judged
    assert learnt([1.5, -1.5] * 20) == pytest.approx(1.5, rel=0.1)
    assert learnt([0.0]) > 0.8 * judged


def test_an_unmeasured_member_is_as_wide_as_its_layer_was_learnt_to_be():
    row = {"generic": "", "engine": "new"}
    _, judged = membership([row], {}, {})
    _, told = membership([row], {}, {"queue|engine": 0.125})
    at = list(PRIORS).index("queue")
    assert judged[0, at] == pytest.approx(PRIORS["queue"].layers["engine"] ** 2)
    assert told[0, at] == 0.125**2


def test_intervals_that_held_too_seldom_are_widened_for_what_nobody_measured(tmp_path):
    """Rows whose residual is twice what layers and noise of 0.3 and 0.4 say."""
    normal = scipy.stats.norm.ppf((np.arange(300) + 0.5) / 300)
    cases, _ = map_rows(
        read_measurements(write(tmp_path, [line(value=10.0)] * 300)), find_machine, index().get
    )
    told = Predictions(
        np.log(10e-3) + 1.0 * normal, np.full(300, 0.3), np.full(300, 0.5), np.full(300, 0.3)
    )
    left = LeftOut("device", np.arange(300), ["h100"] * 300, np.arange(300) < 100, told)
    factor = widening(cases, left)
    assert (0.3 * factor) ** 2 + 0.4**2 == pytest.approx(1.0, rel=0.03)
    held = scores(cases, dataclasses.replace(left, predictions=told.widened(factor)))
    assert held["quantities"]["time_per_token"]["interval_coverage"] == pytest.approx(0.9, abs=0.01)
    assert held["parts"]["time per token, engine seen elsewhere"]["n"] == 100
    assert held["coverage"]["groups"] == held["coverage"]["nominal"] == 1.0
    sharp = dataclasses.replace(left, predictions=told.widened(10.0))
    assert widening(cases, sharp) == 1.0
    made = Profile(("queue|generic|",), np.zeros(1), np.eye(1), spreads={"queue|engine": 0.5})
    wider = widen(made, {"engine": 2.0, "device": 3.0}, {"device": held})
    assert wider.spreads["queue|engine"] == 1.0
    assert wider.spreads["queue|variant"] == 2.0 * PRIORS["queue"].layers["variant"]
    assert wider.spreads["product_floor|vendor"] == 3.0 * PRIORS["product_floor"].layers["vendor"]
    assert wider.spreads["step_scale|model"] == PRIORS["step_scale"].layers["model"]
    assert wider.about["widened"] == {"engine": 2.0, "device": 3.0}
    assert wider.about["left_out"] == {"device": held}
    again = widen(wider, {"engine": 1.5}, {})
    assert again.spreads["queue|engine"] == 0.75 and again.about["left_out"] == {"device": held}
    assert narrowed(again)["queue|engine"] == 0.5


def test_what_no_row_touches_follows_by_its_covariance():
    """A fit of all parameters, and of those that rows touch with the rest carried along."""
    x = np.linspace(-1, 1, 50)
    block = line_block(0.7 - 0.3 * x, x)
    root = RNG.normal(size=(3, 3))
    mean, covariance = np.array([0.1, 0.2, 0.3]), root @ root.T + np.eye(3)
    whole = fit([block], mean, covariance)
    part = fit([block], mean[:2], covariance[:2, :2])
    carried_mean, carried_covariance = carry(mean, covariance, np.array([0, 1]), part)
    np.testing.assert_allclose(carried_mean, whole.mean, atol=1e-3)
    np.testing.assert_allclose(carried_covariance, whole.covariance, atol=1e-3)


def test_a_residual_is_squeezed_with_its_slope():
    at = np.array([-30.0, -0.5, 0.0, 1e-5, 2.0])
    value, slope = compressed(at, 4.0)
    np.testing.assert_allclose(value**2, 5.0 * np.log1p(at**2 / 4.0))
    ahead, _ = compressed(at + 1e-6, 4.0)
    np.testing.assert_allclose((ahead - value) / 1e-6, slope, rtol=1e-4)


def test_pruning_keeps_what_was_learnt():
    spread = PRIORS["queue"].layers["engine"]
    made = Profile(
        ("queue|generic|", "queue|engine|vllm", "queue|engine|other"),
        np.zeros(3),
        np.diag([1.0, 0.5 * spread**2, spread**2]),
    )
    assert prune(made).names == ("queue|generic|", "queue|engine|vllm")


def test_statistics_by_hand():
    predicted = Predictions(np.log([1.1, 2.0, 4.0]), np.zeros(3), np.full(3, 0.2), np.zeros(3))
    told = score(np.log([1.0, 2.0, 2.0]), predicted)
    assert told.mean_absolute_percentage_error == pytest.approx(100.0 * (0.1 + 0.0 + 1.0) / 3.0)
    assert told.median_absolute_percentage_error == pytest.approx(10.0)
    assert told.interval_coverage == pytest.approx(2.0 / 3.0)  # ln 2 is more than 1.645 · 0.2
    assert told.interval_width == pytest.approx(np.expm1(1.6448536 * 0.2), rel=1e-6)
    sharp = Predictions(np.log([1.0, 2.0]), np.zeros(2), np.full(2, 0.2), np.zeros(2))
    exact = score(np.log([1.0, 2.0]), sharp)
    assert exact.crps == pytest.approx(
        0.2 * (2.0 / np.sqrt(2.0 * np.pi) - 1.0 / np.sqrt(np.pi))
    )  # standard normal at its mean


def test_blocks_predict_each_configuration_once():
    block = line_block(np.zeros(3), np.array([0.0, 1.0, 2.0]))
    shared = dataclasses.replace(
        block,
        members=block.members[:1],
        configuration=np.zeros(3, int),
        predict=lambda logs: (np.tile(logs.sum(axis=1), 3), np.ones((3, 2))),
    )
    residuals, slopes = shared.evaluate(np.array([1.0, 2.0]))
    np.testing.assert_allclose(residuals, np.full(3, 30.0))
    assert slopes.shape == (3, 2)

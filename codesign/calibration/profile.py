"""A profile: fitted parameters with their covariance, provenance and date, in one NPZ file."""

import dataclasses
import json
from pathlib import Path
from typing import TypedDict

import numpy as np
import scipy.linalg
from scipy.linalg.blas import get_blas_funcs


class LeftOutScores(TypedDict, total=False):
    """Statistics of rows left out: ratios between devices and layouts, by quantity, by part of
    them, by file, by member; coverage of groups; and how much wider layers are that nobody
    measured; when and of which state."""

    ratios: dict[str, dict[str, float] | None]
    quantities: dict[str, dict[str, float]]
    parts: dict[str, dict[str, float]]
    files: dict[str, dict[str, float]]
    members: dict[str, dict[str, float]]
    coverage: dict[str, float]
    shapes: dict[str, dict[str, float]]
    widened: float
    made: str


class About(TypedDict, total=False):
    """What a profile was fitted to, and how well it did on rows left out."""

    name: str
    date: str
    source: str
    data: list[str]
    tables: list[str]
    prior: str
    rows: int
    contradicted: dict[str, list[str]]
    devices: dict[str, int]
    models: dict[str, int]
    engines: dict[str, int]
    converged: bool
    iterations: int
    license_note: str
    widened: dict[str, float]  # by layer
    left_out: dict[str, LeftOutScores]


@dataclasses.dataclass(frozen=True)
class Profile:
    """Parameters ``coefficient|layer|member`` with means and covariance.

    ``noise`` scales the residual of a row by what was measured, 1 where it says nothing.
    ``spreads`` are standard deviations of layers, ``coefficient|layer``, where data said more than
    the judged ones of ``layers.PRIORS``. ``about`` says what it was fitted to, when, and how well
    it did on rows left out.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    covariance: np.ndarray
    noise: dict[str, float] = dataclasses.field(default_factory=dict)
    spreads: dict[str, float] = dataclasses.field(default_factory=dict)
    about: About = dataclasses.field(default_factory=lambda: About())

    @property
    def index(self) -> dict[str, int]:
        """Position of each name."""
        return {name: k for k, name in enumerate(self.names)}

    def covariance_of(self, members: np.ndarray) -> np.ndarray:
        """Covariance of the coefficients that parameters add up to (coefficients, coefficients).

        Args:
            members: parameters of each coefficient (coefficients, layers), ``len(names)`` for none.
        """
        coefficient, layer = np.nonzero(members < len(self.names))
        used = members[coefficient, layer]
        select = np.zeros((len(members), len(used)))
        select[coefficient, np.arange(len(used))] = 1.0
        return select @ self.covariance[np.ix_(used, used)] @ select.T

    def keep(self, wanted: np.ndarray) -> "Profile":
        """Marginalise to some of the parameters."""
        names = tuple(self.names[k] for k in wanted)
        return dataclasses.replace(
            self,
            names=names,
            mean=self.mean[wanted],
            covariance=self.covariance[np.ix_(wanted, wanted)],
        )


def join(profiles: list[Profile]) -> Profile:
    """Profiles of disjoint parameters as one; they are independent. Noise and provenance are the
    first one's."""
    size = sum(len(profile.names) for profile in profiles)
    covariance = np.zeros((size, size))
    at = 0
    for profile in profiles:
        covariance[at : at + len(profile.names), at : at + len(profile.names)] = profile.covariance
        at += len(profile.names)
    names = tuple(name for profile in profiles for name in profile.names)
    if len(set(names)) < size:
        raise ValueError("profiles to be joined share parameters, expected disjoint ones")
    first = profiles[0]
    return Profile(
        names,
        np.concatenate([profile.mean for profile in profiles]),
        covariance,
        first.noise,
        first.spreads,
        first.about,
    )


STEPS = 4096
"""Steps to 1 in which a file keeps the entries of a correlation's Cholesky factor: standard
deviations of sums of parameters come back within 0.01 %, from a fifth of the bytes of single
precision, and no rounding makes the matrix indefinite."""


def save(profile: Profile, path: str | Path) -> None:
    """Write a profile; the covariance as standard deviations and the Cholesky factor of the
    correlations."""
    deviation = np.sqrt(np.diag(profile.covariance))
    correlation = profile.covariance / np.outer(deviation, deviation)
    correlation += 1e-9 * np.eye(len(deviation))  # what is read from a file is rounded
    factor = scipy.linalg.cholesky(correlation, lower=True)
    rows, columns = np.tril_indices(len(profile.names))
    np.savez_compressed(
        path,
        names=np.array(profile.names),
        mean=profile.mean,
        deviation=deviation,
        factor=np.round(STEPS * factor[rows, columns]).astype(np.int16),
        about=np.array(
            json.dumps({**profile.about, "noise": profile.noise, "spreads": profile.spreads})
        ),
    )


def load(path: str | Path) -> Profile:
    """Read a profile.

    Raises:
        ValueError: the file is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            names, mean = tuple(str(name) for name in stored["names"]), stored["mean"]
            about = json.loads(str(stored["about"]))
            factor = np.zeros((len(names), len(names)), np.float32)
            factor[np.tril_indices(len(names))] = stored["factor"] / np.float32(STEPS)
            deviation = stored["deviation"]
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: no calibration profile ({error}); expected an NPZ file that this version's"
            " `codesign calibrate` wrote"
        ) from None
    square = get_blas_funcs("syrk", [factor])
    lower = np.tril(square(1.0, factor, lower=1)).astype(float)  # pyright: ignore[reportCallIssue]
    correlation = lower + np.tril(lower, -1).T
    covariance = correlation * np.outer(deviation, deviation)
    noise, spreads = about.pop("noise", {}), about.pop("spreads", {})
    return Profile(
        names, mean, covariance, noise if isinstance(noise, dict) else {}, spreads, about
    )

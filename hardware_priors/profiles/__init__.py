"""Shipped calibration profiles: coefficients fitted to published measurements, with provenance and
date."""

from functools import cache
from importlib import resources
from pathlib import Path

from codesign.calibration.profile import Profile, load
from hardware_priors.quantities import nearest


def profile_names() -> list[str]:
    """Names of the shipped profiles.

    >>> "2026-11" in profile_names()
    True
    """
    folder = resources.files("hardware_priors") / "profiles"
    return sorted(
        file.name.removesuffix(".npz")
        for file in folder.iterdir()
        if file.name.endswith(".npz") and not file.name.startswith("kernels")
    )


@cache
def profile(name_or_path: str | None = None) -> Profile:
    """A shipped profile by name (the newest where none is given), or one of your own by its path.

    Raises:
        ValueError: unknown name, with the nearest; or a file that is no profile.
    """
    if name_or_path is None:
        return load(
            str(resources.files("hardware_priors") / "profiles" / f"{profile_names()[-1]}.npz")
        )
    if name_or_path.endswith(".npz") or Path(name_or_path).exists():
        return load(name_or_path)
    if name_or_path not in profile_names():
        raise ValueError(
            f"unknown profile {name_or_path!r}; did you mean"
            f" {nearest(name_or_path, profile_names())!r}?"
        )
    return load(str(resources.files("hardware_priors") / "profiles" / f"{name_or_path}.npz"))


@cache
def kernel_profile() -> Profile:
    """What kernel tables alone teach: the prior of every calibration."""
    return load(str(resources.files("hardware_priors") / "profiles" / "kernels-2026-11.npz"))

"""Fit the kernel-level coefficients to kernel tables: what every calibration starts from.

Products, attention, latent attention, experts and collectives have no coefficient in common, so
each is a fit of its own. Offsets of the libraries that the tables were made with are fitted and
then left out: a served engine fuses what they do not.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codesign.calibration.fit import fit
from codesign.calibration.kernel_rows import KernelRows
from codesign.calibration.kernel_tables import read_kernels
from codesign.calibration.layers import complete, parameters
from codesign.calibration.machine import MachineFinder
from codesign.calibration.profile import Profile, join

KINDS: dict[str, tuple[str, ...]] = {
    "product": ("product_floor", "product_memory", "product_compute"),
    "attention": (
        "attention_floor",
        "attention_memory",
        "attention_compute",
        "attention_reread",
        "prompt_floor",
        "prompt_compute",
    ),
    "latent": ("latent_floor", "latent_memory", "latent_compute"),
    "experts": ("expert_floor", "expert_touched", "expert_memory", "expert_compute"),
    "collective": (
        "sync_base",
        "sync_step",
        "sync_peer",
        "link_one_shot",
        "link_two_shot",
        "exchange_sync",
        "exchange_peer",
        "exchange_link",
    ),
}
"""Coefficients that each kind of table teaches."""

KERNEL_SPREAD = 0.15
"""Standard deviation of a kernel's time about the terms [natural log]; judged from shapes left out.
"""

SERVED_SPREAD = 0.05
"""How far a coefficient in a served engine may lie from the one of its kernel table [natural log];
judged."""

MOST_ROWS = 1500
"""Rows of a table that a fit takes: more say nothing more, since a table has few groups."""


def fit_kernels(paths: Sequence[Path], find_machine: MachineFinder, seed: int = 0) -> Profile:
    """Fit all tables of a folder.

    Args:
        paths: CSV files; those that are no kernel tables are passed over.
        find_machine: looks a printed device name up.
        seed: of the rows taken from long tables.

    Returns:
        The kernel-level parameters, ready to be the prior of a calibration.

    Raises:
        ValueError: no file is a kernel table of known devices.
    """
    tables = _read(paths, find_machine)
    draw = np.random.default_rng(seed)
    shortened = [
        table.take(np.sort(draw.permutation(len(table.seconds))[:MOST_ROWS])) for table in tables
    ]
    parts = []
    for coefficients in KINDS.values():
        chosen = [table for table in shortened if table.coefficient in coefficients]
        if chosen:
            parts.append(_fit_kind(chosen, coefficients))
    joined = join(parts)
    about = {
        "name": "kernel tables",
        "tables": [table.kind for table in tables],
        "rows": sum(len(table.seconds) for table in shortened),
    }
    widened = joined.covariance + SERVED_SPREAD**2 * np.eye(len(joined.names))
    return complete(dataclasses.replace(joined, covariance=widened, about=about))


def _read(paths: Sequence[Path], find_machine: MachineFinder) -> list[KernelRows]:
    tables = [table for path in paths if (table := read_kernels(path, find_machine)) is not None]
    if not tables:
        raise ValueError(
            "none of the files is a kernel table of a device of the catalogue; expected the schema"
            " of aiconfigurator"
        )
    return tables


HELD = 0.2
"""Share of a table's shapes that are left out."""


def leave_shapes_out(
    paths: Sequence[Path], find_machine: MachineFinder, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Predict a fifth of the shapes of every table from a fit to the rest.

    Args:
        paths, find_machine: as of ``fit_kernels``.
        seed: of the shapes.

    Returns:
        By table: rows left out, and their median and mean error [%].
    """
    draw = np.random.default_rng(seed)
    kept, held = [], []
    for table in _read(paths, find_machine):
        out = np.isin(table.shape, np.flatnonzero(draw.random(table.shape.max() + 1) < HELD))
        rest = draw.permutation(np.flatnonzero(~out))[:MOST_ROWS]
        kept.append(table.take(np.sort(rest)))
        held.append(table.take(np.flatnonzero(out)))
    found = {}
    for coefficients in KINDS.values():
        chosen = [k for k, table in enumerate(kept) if table.coefficient in coefficients]
        if chosen:
            profile = _posterior([kept[k] for k in chosen], coefficients)
            for table in (held[k] for k in chosen):
                if len(table.seconds):
                    off = table.block(profile.index, 1.0).evaluate(profile.mean)[0]
                    error = 100.0 * np.abs(np.expm1(off))
                    found[table.kind] = {
                        "n": float(len(off)),
                        "median": float(np.median(error)),
                        "mean": float(error.mean()),
                    }
    return found


def _fit_kind(tables: list[KernelRows], coefficients: tuple[str, ...]) -> Profile:
    """Fit the tables of one kind, and keep its coefficients without the libraries' offsets."""
    found = _posterior(tables, coefficients)
    kept = [k for k, name in enumerate(found.names) if name.split("|")[1] != "library"]
    return found.keep(np.array(kept))


def _posterior(tables: list[KernelRows], coefficients: tuple[str, ...]) -> Profile:
    """Fit the tables of one kind, libraries' offsets included."""
    layered = parameters([row for table in tables for row in table.keys], {})
    mine = np.array(
        [k for k, name in enumerate(layered.names) if name.split("|")[0] in coefficients]
    )
    layered = dataclasses.replace(
        layered,
        names=tuple(layered.names[k] for k in mine),
        mean=layered.mean[mine],
        spread=layered.spread[mine],
    )
    found = fit(
        [table.block(layered.index, KERNEL_SPREAD) for table in tables],
        layered.mean,
        layered.spread**2,
    )
    return Profile(layered.names, found.mean, found.covariance)

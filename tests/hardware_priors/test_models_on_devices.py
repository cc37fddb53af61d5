"""Every shipped model on every shipped device, on the smallest machine of the catalogue's chips
that holds it.

One operator table a model, padded to one length, so that two compiled programs (with experts and
without) run all pairs.
"""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.evaluation import evaluate_table
from codesign.workload.catalogue import model, model_names
from hardware_priors.devices import Device, device_names
from hardware_priors.technologies import technology

CHIPS = 2 ** np.arange(11)
"""Numbers of chips tried, tensor parallel: 1 … 1024."""

BITS = 8
FOUND = (
    "step_time",
    "time_per_token",
    "mean_power",
    "peak_power",
    "capital_cost",
    "cost_per_token",
    "energy_per_token",
)


def stacked(trees):
    return jax.tree.map(
        lambda *leaves: jnp.stack([jnp.asarray(leaf, dtype=float) for leaf in leaves]), *trees
    )


def tables():
    """Names of the models without experts and with, each with their operator tables, one above the
    other."""
    with (
        jax.disable_jit()
    ):  # some hundred small additions a model; compiling each model's own program takes longer
        every = {
            name: codesign.operator_table(model(name), codesign.uniform(BITS))
            for name in model_names()
        }
    rows = max(len(table.names) for table in every.values())
    nameless = tuple(f"row {k}" for k in range(rows))
    for experts in (False, True):
        kept = {
            name: dataclasses.replace(codesign.pad(table, rows), names=nameless)
            for name, table in every.items()
            if table.has_experts == experts
        }
        yield list(kept), stacked(kept.values())


def machines():
    """Designs, axes (devices, numbers of chips), and technologies, axis devices."""
    designs = [
        stacked([Device(name).design(float(count), BITS) for count in CHIPS])
        for name in device_names()
    ]
    priced = {
        names: technology(*names)
        for names in {Device(name).technology_names() for name in device_names()}
    }
    return stacked(designs), stacked(
        [priced[Device(name).technology_names()] for name in device_names()]
    )


@cache
def outcomes() -> tuple[list[str], dict[str, np.ndarray]]:
    """Models and, for each of ``FOUND`` and the limit of capacity, an array (models, devices,
    numbers of chips)."""
    designs, technologies = machines()
    work = codesign.Workload(
        model("llama-2-7b"), codesign.Decode(batch=1.0, context=1024.0), codesign.uniform(BITS)
    )

    def one(table, design, priced):
        outcome = evaluate_table(
            design, table, work, codesign.Plan(), priced, codesign.Operatorwise()
        )
        return {
            "capacity": outcome.limits.capacity,
            **{name: getattr(outcome, name) for name in FOUND},
        }

    everywhere = jax.vmap(jax.vmap(one, (None, 0, None)), (None, 0, 0))
    run = jax.jit(
        lambda table: jax.lax.map(lambda row: everywhere(row, designs, technologies), table)
    )
    parts = list(tables())
    answers = [jax.tree.map(np.asarray, run(table)) for _, table in parts]
    names = [name for some, _ in parts for name in some]
    return names, {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}


def smallest() -> tuple[np.ndarray, np.ndarray]:
    """Whether a pair fits on any of ``CHIPS``, and the index of the fewest that it fits on; both
    (models, devices)."""
    fits = outcomes()[1]["capacity"] <= 0.0
    return fits.any(axis=-1), fits.argmax(axis=-1)


def test_all_pairs_evaluate():
    names, found = outcomes()
    assert sorted(names) == sorted(model_names())
    assert found["capacity"].shape == (len(model_names()), len(device_names()), len(CHIPS))


@pytest.mark.parametrize("quantity", FOUND)
def test_every_quantity_is_finite_and_positive(quantity):
    names, found = outcomes()
    bad = np.argwhere(~(np.isfinite(found[quantity]) & (found[quantity] > 0)))
    pairs = [
        (names[m], device_names()[d], int(CHIPS[c]), float(found[quantity][m, d, c]))
        for m, d, c in bad[:5]
    ]
    assert not len(bad), f"{quantity}: {pairs}"


def test_only_machines_of_on_chip_memory_are_too_small():
    """Every device with DRAM holds every model on at most 1024 chips; SRAM may not: tensor slices
    stop at heads and tiles."""
    names, _ = outcomes()
    fits, _ = smallest()
    short = {(names[m], device_names()[d]) for m, d in np.argwhere(~fits)}
    on_chip = {name for name in device_names() if Device(name).technology_names()[1] == "SRAM"}
    assert short and {name for _, name in short} <= on_chip, sorted(short)[:10]


def test_more_chips_never_leave_less_room():
    _, found = outcomes()
    assert (np.diff(found["capacity"], axis=-1) <= 1e-9).all()


def test_known_machines():
    """70.6 GB of FP8 weights and 0.2 GB of cache in nine tenths: 77 GB of an H100, 4 x 23.2 of RTX
    4090, 8 x 15.5 of TPU v5e."""
    names, _ = outcomes()
    fits, index = smallest()
    row = names.index("llama-3.3-70b")
    chips = {
        name: int(CHIPS[index[row, d]]) for d, name in enumerate(device_names()) if fits[row, d]
    }
    assert {
        name: chips[name]
        for name in ("h200", "mi300x", "b300", "h100", "rtx-4090", "l4", "tpu-v5e")
    } == {
        "h200": 1,
        "mi300x": 1,
        "b300": 1,
        "h100": 1,
        "rtx-4090": 4,
        "l4": 4,
        "tpu-v5e": 8,
    }


def test_a_faster_memory_is_never_slower():
    """H200 is H100 with more and faster memory; the decode of no model is slower on it."""
    _, found = outcomes()
    at = {name: device_names().index(name) for name in ("h100", "h200")}
    assert (
        found["step_time"][:, at["h200"]] <= found["step_time"][:, at["h100"]] * (1 + 1e-9)
    ).all()

"""Models of 2026, whose states, compressed caches and precision by part are new, in a search whose
answers are proved."""

import numpy as np
import pytest

from codesign.search import Front
from experiments.commands import optimize as command
from experiments.scenarios.toml_text import read
from tests.examples import nightly
from tests.experiments.small_scenario import SMALL


@nightly
@pytest.mark.parametrize("model", ["qwen3.5-397b-a17b", "deepseek-v4-pro"])
def test_designs_are_certified(model):
    """At the precision of the file; every design is at most a millionth from the best of its plan
    and integers."""
    told = (
        SMALL.replace("llama-3.1-8b", model)
        .replace("chips = [1, 16]", "chips = [8, 32]")
        .replace("batch = [1, 256]", "batch = [4, 64]")
    )
    told = told.replace("weight_bits = 8\nkv_bits = 8\nactivation_bits = 8\n", "").replace(
        "context = 4096", "context = 32768"
    )
    stated = read(
        told.replace('"tokens/s/user"]', '"tokens/s/user"]\nprove = true'), "small", "small"
    )
    front, *_ = command.search(stated, lambda *stage: None)
    assert isinstance(front, Front) and len(front) > 0
    assert set(front.status) == {"GLOBAL"}
    assert (front.certified_gap <= 1e-6).all() and np.nanmax(front.front_gap) < np.inf

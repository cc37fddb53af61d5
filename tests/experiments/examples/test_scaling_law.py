"""The example of a scaling law: short, differentiable, and it finds a better model and machine."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from codesign.search.solver.lanes import double_precision
from experiments.examples import scaling_law
from experiments.examples.scaling_law import START, cost, design, loss


def test_it_is_forty_lines_of_code():
    path = Path(scaling_law.__file__)
    tree = ast.parse(path.read_text())
    texts = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    lines = path.read_text().splitlines()
    code = [line for k, line in enumerate(lines, start=1) if line.strip() and k not in texts]
    assert len(code) <= 40


def test_the_law_is_the_published_one():
    """70 billion parameters and 1.4 trillion tokens: 1.94 (Hoffmann et al., table A9)."""
    hidden, layers = 8192.0, 80.0
    shape = 1.0 + 0.004 * float(jnp.log(hidden / (100 * layers))) ** 2
    at = float(loss(hidden, layers, 1.4e12)) / shape
    count = 12.6 * layers * hidden**2
    assert at == pytest.approx(1.69 + 406.4 / count**0.34 + 410.7 / 1.4e12**0.28)
    assert at == pytest.approx(1.94, abs=0.01)


def test_shape_and_machine_move_together():
    logs = {name: jnp.log(jnp.asarray(value)) for name, value in START.items()}
    priced = jax.jit(jax.value_and_grad(cost))
    slopes = priced(logs, 1.86)[1]
    for name in ("hidden", "memory_bandwidth"):
        moved = [
            float(priced({**logs, name: logs[name] + step}, 1.86)[0]) for step in (-1e-5, 1e-5)
        ]
        assert float(slopes[name]) == pytest.approx((moved[1] - moved[0]) / 2e-5, rel=1e-3)
    with double_precision():  # Optax mixes dtypes
        found, costs = design(1.86, steps=150)
    assert float(costs[-1]) < float(costs[0]) - 0.1
    assert float(loss(found["hidden"], found["layers"])) == pytest.approx(1.86, rel=3e-3)
    assert abs(float(jnp.log(found["layers"] / START["layers"]))) > 0.05

"""Every declared curvature against the Hessian of ln f, and the algebra that composes them."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.numerics.curvature import (
    DECLARED,
    Curvature,
    Declaration,
    declared,
    declares,
    maximum,
)
from codesign.numerics.fields import real
from codesign.physical.power import Work
from codesign.physical.wafer import die_price

POINTS = 400


def arguments(function, technology, machine):
    """Everything a declared term takes besides its declared variables."""
    llama = codesign.dense(
        hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
    )
    workload = codesign.Workload(llama, codesign.Decode(batch=64, context=8192))
    cost = codesign.evaluate(machine, workload, technology=technology).cost
    known = {
        "table": codesign.operator_table(llama, workload.precision),
        "workload": workload,
        "plan": codesign.Plan(),
        "execution": codesign.Operatorwise(),
        "work": Work(*map(real, (1e12, 1e10, 0.0, 1e8, 1e8))),
        "cost": cost,
        "silicon": real(1e-3),
        "clock": real(1.0),
        "memory": technology.memory,
        "cooling": technology.cooling,
        "packaging": technology.packaging,
        "links": technology.links,
        "radix": real(72.0),
        "scale_up_domain": real(1e9),
        "design": machine,
        "technology": technology,
        "logic": technology.logic,
        "economics": technology.economics,
        "program": None,
        "compute_bits": jnp.asarray(8.0),
        "diameter": jnp.asarray(0.3),
        "edge_exclusion": jnp.asarray(3e-3),
        "clustering": jnp.asarray(3.0),
        "defect_density": jnp.asarray(1000.0),
        "life": jnp.asarray(1.6e8),
        "experts": jnp.asarray(256.0),
        "active": jnp.asarray(8.0),
    }
    return {name: known[name] for name in inspect.signature(function).parameters if name in known}


def total(value):
    """A term's value: an array, or the total of a price, an area or a step."""
    for name in ("capital", "total", "time"):
        value = getattr(value, name, value)
    return value


def call(function, fixed, moved):
    """Call with declared variables put in; ``argument__field`` changes one field of an argument."""
    values = dict(fixed)
    for name, value in moved.items():
        argument, _, field = name.partition("__")
        values[argument] = (
            dataclasses.replace(values[argument], **{field: value}) if field else value
        )
    return function(**values)


def eigenvalues(function, declaration: Declaration, fixed) -> np.ndarray:
    names = list(declaration.ranges)
    low, high = (
        jnp.log(jnp.array([declaration.ranges[name][k] for name in names])) for k in (0, 1)
    )
    drawn = jnp.asarray(np.random.default_rng(0).random((POINTS, len(names))))
    logs = low[None] + (high - low)[None] * drawn

    def log_value(y):
        moved = {name: jnp.exp(y[k]) for k, name in enumerate(names)}
        return jnp.log(total(call(function, fixed, moved)))

    return np.asarray(jax.vmap(lambda y: jnp.linalg.eigvalsh(jax.hessian(log_value)(y)))(logs))


def agrees(curvature: Curvature, values: np.ndarray) -> bool:
    slack = 1e-7
    return {
        Curvature.CONSTANT: np.abs(values).max() < slack,
        Curvature.MONOMIAL: np.abs(values).max() < slack,
        Curvature.CONVEX: values.min() > -slack,
        Curvature.CONCAVE: values.max() < slack,
        Curvature.UNKNOWN: True,
    }[curvature]


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_declaration_matches_hessian(name, technology, machine):
    function, declaration = DECLARED[name]
    values = eigenvalues(function, declaration, arguments(function, technology, machine))
    assert np.isfinite(values).all()
    assert agrees(declaration.curvature, values), (values.min(), values.max())


def test_a_wrong_declaration_is_seen(technology, machine):
    _, right = DECLARED["physical.wafer.die_price"]
    wrong = Declaration(Curvature.CONCAVE, right.ranges)
    values = eigenvalues(die_price, wrong, arguments(die_price, technology, machine))
    assert not agrees(wrong.curvature, values)


def test_declared_is_found_by_function():
    assert declared(die_price).curvature is Curvature.CONVEX
    with pytest.raises(KeyError, match="declares no curvature"):
        declared(len)


C, M, V, A, U = Curvature


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (C + C, C), (C + M, V), (M + M, V), (V + M, V), (A + M, U), (A + A, U), (C * A, A), (M * A, A), (V * M, V), (V * V, V),
        (A * A, A), (V * A, U), (U * C, U), (V**2, V), (V**-1, A), (A**-1, V), (M**-3, M), (U**-1, U), (V**0, C), (V / A, V),
        (V / V, U), (maximum(A), A), (maximum(M, V), V), (maximum(A, M), U),
    ],
)  # fmt: skip
def test_algebra(made, expected):
    assert made is expected


def test_only_some_can_be_minimised():
    assert [c.minimisable for c in Curvature] == [True, True, True, False, False]


def test_algebra_is_sound_on_random_functions():
    """Sum and product of random posynomials are log-convex; a ratio of two need not be."""
    random = np.random.default_rng(1)
    exponents, coefficients = random.normal(size=(2, 4, 3)), random.random((2, 4))

    def posynomial(k, y):
        return jnp.sum(coefficients[k] * jnp.exp(exponents[k] @ y))

    def least(f):
        ys = jnp.asarray(random.normal(size=(200, 3)))
        return float(
            jax.vmap(lambda y: jnp.linalg.eigvalsh(jax.hessian(lambda y: jnp.log(f(y)))(y))[0])(
                ys
            ).min()
        )

    assert least(lambda y: posynomial(0, y) + posynomial(1, y)) > -1e-10
    assert least(lambda y: posynomial(0, y) * posynomial(1, y)) > -1e-10
    assert least(lambda y: posynomial(0, y) / posynomial(1, y)) < -1e-3


def test_declares_keeps_the_function_as_it_is():
    @declares(Curvature.MONOMIAL, x=(1.0, 2.0))
    def square(x):
        return x * x

    try:
        assert square(3.0) == 9.0
    finally:
        DECLARED.pop(next(name for name, (function, _) in DECLARED.items() if function is square))

"""Fields of the public pytrees: every float is an array leaf that carries its unit."""

from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

if TYPE_CHECKING:
    Real: TypeAlias = Any  # fields take Python numbers and hold arrays: no one type says both
    Number: TypeAlias = Any
    Truth: TypeAlias = Any
else:
    Real = Float[Array | np.ndarray, "..."]
    """A real-valued leaf: a scalar, or a batch of them under ``vmap``."""
    Number = Real | float | int
    """What a user may give for one."""
    Truth = Bool[Array | np.ndarray, "..."]
    """Whether something holds, for a scalar or for a batch."""


def real(value: Any) -> Real:
    """Turn a number into a floating array leaf, so that Python floats, ints and arrays share one
    trace.

    The dtype of a floating array is kept; anything else takes JAX's default float (float64 under
    ``jax_enable_x64``).
    """
    dtype = getattr(value, "dtype", None)
    if (
        dtype is not None
        and jnp.issubdtype(dtype, jnp.floating)
        and not getattr(value, "weak_type", False)
    ):
        return jnp.asarray(value)
    return jnp.asarray(value, dtype=jnp.result_type(float))


def optional_real(value: Any) -> Any:
    """``real``, where the number may be missing."""
    return None if value is None else real(value)


def quantity(unit: str, description: str, **options: Any) -> Any:
    """Declare a float leaf of an ``equinox.Module`` with its unit and a one-line description; with
    ``default=None`` it may be missing.

    Args:
        unit: SI unit as printed in tables, ``"B/s"``; ``"1"`` for a ratio or a count.
        description: what the number is, for tables and reports.
        options: passed to ``equinox.field`` (``default=…``).
    """
    converter = optional_real if options.get("default", 0.0) is None else real
    return eqx.field(
        converter=converter, metadata={"unit": unit, "description": description}, **options
    )


def units_of(module: type[eqx.Module] | eqx.Module) -> dict[str, str]:
    """The unit of every quantity of a module, by field name.

    >>> from codesign.hardware.design import Design
    >>> units_of(Design)["memory_bandwidth"]
    'B/s'
    """
    return {
        name: field.metadata["unit"]
        for name, field in (module.__dataclass_fields__.items())  # pyright: ignore[reportAttributeAccessIssue]
        if "unit" in field.metadata
    }

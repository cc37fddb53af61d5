"""Fields of the public pytrees: every float is an array leaf that carries its unit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

RealArray: TypeAlias = Float[Array | np.ndarray, "..."]
"""An array of real numbers, of any shape."""

IntArray: TypeAlias = Int[Array | np.ndarray, "..."]
"""An array of whole numbers, of any shape."""

Real: TypeAlias = RealArray | float
"""A real number: a Python float, a scalar array, or a batch of them under ``vmap``. What a field
holds is always an array (``quantity``); what it is given may be a plain number."""

Truths: TypeAlias = Bool[Array | np.ndarray, "..."]
"""Whether something holds, of any shape."""

Truth: TypeAlias = Truths | bool
"""Whether something holds, for a scalar or for a batch."""


Tree = TypeVar("Tree")
"""A pytree of any structure; what maps it gives one of the same."""


if TYPE_CHECKING:

    class Quantity:
        """A field that is given a number and holds an array."""

        def __get__(self, module: object, owner: object = None) -> RealArray: ...
        def __set__(self, module: object, value: ArrayLike) -> None: ...

    ProgramArray: TypeAlias = Array
else:
    Quantity = Real
    """A field that is given a number and holds an array (``quantity``)."""
    ProgramArray = Array | np.ndarray
    """What compiled programs compute with, and the host keeps in NumPy between them."""


def real(value: ArrayLike | Sequence[float]) -> Float[Array, "..."]:
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


def pick(values: Real, row: int | np.integer | tuple[int, ...]) -> float:
    """One number of a batch, on the host.

    >>> pick(np.array([1.0, 2.0]), 1)
    2.0
    """
    return float(np.asarray(values)[row])


def optional_real(value: ArrayLike | None) -> Float[Array, "..."] | None:
    """``real``, where the number may be missing."""
    return None if value is None else real(value)


def quantity(unit: str, description: str, **options: Any) -> Any:  # as dataclasses.field does
    """Declare a float leaf of an ``equinox.Module`` with its unit and a one-line description; with
    ``default=None`` it may be missing.

    Args:
        unit: SI unit as printed in tables, ``"B/s"``; ``"1"`` for a ratio or a count.
        description: what the number is, for tables and reports.
        options: passed to ``equinox.field`` (``default=…``).

    Raises:
        TypeError: when a module is made with a text instead of a number, or with nothing.
    """
    missing = options.get("default", 0.0) is None

    def convert(value: ArrayLike | None) -> Float[Array, "..."] | None:
        if isinstance(value, str | bytes) or (value is None and not missing):
            raise TypeError(f"{value!r} is given for {description}; expected a number [{unit}]")
        return optional_real(value)

    return eqx.field(
        converter=convert, metadata={"unit": unit, "description": description}, **options
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

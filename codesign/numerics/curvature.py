"""Log-log curvature as a small algebra: what the proofs of ``search`` rest on.

A positive function f of positive variables x is log-convex if ln f is convex in y = ln x: a
geometric program in such functions has no local optimum that is not global (Boyd, Kim,
Vandenberghe, Hassibi, "A tutorial on geometric programming", 2007). Terms declare their curvature
with ``declares``; sums, products, powers and maxima follow by rule; a test checks every declaration
against the Hessian of ln f.

Lemmas that the declarations use, with f log-convex: (i) f < 1 ⇒ 1/(1 − f) log-convex, because −ln(1
− eˢ) is convex and increasing in s: dies per wafer, queues, c/(s − floor). (ii) u/(1 − e⁻ᵘ) is
log-convex: annuities. (iii) A log-concave factor of one variable has its chord in log-log as convex
envelope: (n − 1)/n, log₂ n, touched experts.
"""

import enum
import functools
from collections.abc import Callable
from typing import NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


class Curvature(enum.Enum):
    """Curvature of ln f in the logarithms of its variables."""

    CONSTANT = "constant"
    MONOMIAL = "monomial"  # log-affine: both convex and concave
    CONVEX = "log-convex"  # posynomials among them
    CONCAVE = "log-concave"
    UNKNOWN = "unknown"

    def __add__(self, other: "Curvature") -> "Curvature":
        """Curvature of f + g.

        >>> (Curvature.MONOMIAL + Curvature.MONOMIAL).value
        'log-convex'
        """
        if self is other is Curvature.CONSTANT:
            return self
        convex = (Curvature.CONSTANT, Curvature.MONOMIAL, Curvature.CONVEX)
        return Curvature.CONVEX if self in convex and other in convex else Curvature.UNKNOWN

    def __mul__(self, other: "Curvature") -> "Curvature":
        """Curvature of f · g.

        >>> (Curvature.CONVEX * Curvature.CONCAVE).value
        'unknown'
        """
        if self is Curvature.CONSTANT:
            return other
        if other is Curvature.CONSTANT or self is other:
            return self
        if Curvature.MONOMIAL in (self, other):
            return self if other is Curvature.MONOMIAL else other
        return Curvature.UNKNOWN

    def __pow__(self, exponent: float) -> "Curvature":
        """Curvature of f to a constant power: below zero, convex and concave change places."""
        if exponent == 0:
            return Curvature.CONSTANT
        if exponent > 0:
            return self
        return {Curvature.CONVEX: Curvature.CONCAVE, Curvature.CONCAVE: Curvature.CONVEX}.get(
            self, self
        )

    def __truediv__(self, other: "Curvature") -> "Curvature":
        """Curvature of f / g."""
        return self * other**-1

    @property
    def minimisable(self) -> bool:
        """Whether an upper bound on f, or its minimum, can be proved."""
        return self in (Curvature.CONSTANT, Curvature.MONOMIAL, Curvature.CONVEX)


def maximum(*terms: Curvature) -> Curvature:
    """Curvature of max(f, g, …): like a sum, but the maximum of one term is that term.

    >>> maximum(Curvature.MONOMIAL, Curvature.CONVEX).value
    'log-convex'
    """
    return terms[0] if len(terms) == 1 else functools.reduce(Curvature.__add__, terms)


class Declaration(NamedTuple):
    """A declared curvature, jointly in the named variables, each over a range in SI units; all else
    is held."""

    curvature: Curvature
    ranges: dict[str, tuple[float, float]]


DECLARED: dict[str, tuple[Callable[..., object], Declaration]] = {}
"""Every declared term by its dotted name."""


def declares(curvature: Curvature, **ranges: tuple[float, float]) -> Callable[[Function], Function]:
    """Declare the log-log curvature of a function in some of its arguments.

    Args:
        curvature: what it is, jointly in all named variables.
        ranges: variable → (lowest, highest) value over which it is so, SI. A variable is an
            argument, or ``argument__field`` for a field of one.
    """

    def decorate(function: Function) -> Function:
        name = f"{function.__module__.removeprefix('codesign.')}.{function.__qualname__}"
        DECLARED[name] = (function, Declaration(curvature, ranges))
        return function

    return decorate


def declared(function: Callable[..., object]) -> Declaration:
    """The declaration of a function.

    Raises:
        KeyError: it has none.
    """
    for known, declaration in DECLARED.values():
        if known is function:
            return declaration
    raise KeyError(f"{function!r} declares no curvature")

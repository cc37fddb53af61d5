"""From the degrees a user states to those that multiply to the number of chips."""

import math
from dataclasses import dataclass

from experiments.terminal.refusal import Refused


@dataclass(frozen=True)
class Parallelism:
    """Whole degrees whose product is the number of chips."""

    tensor: int
    pipeline: int
    context: int
    data: int

    @property
    def chips(self) -> int:
        """All chips of the design."""
        return self.tensor * self.pipeline * self.context * self.data


def divide(
    chips: int, tensor: int | None, pipeline: int, context: int, data: int | None
) -> Parallelism:
    """Find the degree that was not stated: data if tensor was, tensor otherwise.

    Raises:
        Refused: the stated degrees do not multiply to the chips; the nearest tensor degree (or chip
            count) that does.

    >>> divide(16, tensor=8, pipeline=1, context=1, data=None)
    Parallelism(tensor=8, pipeline=1, context=1, data=2)
    """
    others = pipeline * context * (data or 1)
    product = f"--pipeline {pipeline} × --context-parallel {context}" + (
        f" × --data {data}" if data else ""
    )
    if chips % others:
        near = max(1, round(chips / others)) * others
        raise Refused(
            f"--chips is {chips}, which {product} = {others} does not divide; the nearest that it"
            f" does is {near}"
        )
    rest = chips // others
    if tensor is None:
        return Parallelism(rest, pipeline, context, data or 1)
    if data is None and rest % tensor == 0:
        return Parallelism(tensor, pipeline, context, rest // tensor)
    if data is not None and rest == tensor:
        return Parallelism(tensor, pipeline, context, data)
    valid = [rest] if data is not None else divisors(rest)
    near = min(valid, key=lambda degree: (abs(degree - tensor), -degree))
    what = "must equal" if data is not None else "must divide"
    raise Refused(
        f"--tensor is {tensor}, which {what} {rest} (--chips {chips} over {product}); the nearest"
        f" that does is {near}"
    )


def divisors(number: int) -> list[int]:
    """All divisors of a number, in as many steps as its root.

    >>> sorted(divisors(12))
    [1, 2, 3, 4, 6, 12]
    """
    small = [degree for degree in range(1, math.isqrt(number) + 1) if number % degree == 0]
    return [*small, *(number // degree for degree in small)]

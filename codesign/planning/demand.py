"""What is asked of machines: requests of one kind, how many, and how fast."""

import dataclasses
import math
from typing import Literal, TypeAlias

from codesign.workload.phases import Draft

Objective: TypeAlias = Literal["cost", "per-dollar", "per-watt", "chips", "speed"]

OBJECTIVES: dict[Objective, str] = {
    "cost": "least cost of a token",
    "per-dollar": "most tokens/s per dollar of capital",
    "per-watt": "most tokens/s per provisioned watt",
    "chips": "fewest chips",
    "speed": "fastest tokens of one user",
}
"""By what machines are ranked, in words."""


@dataclasses.dataclass(frozen=True)
class Demand:
    """Requests of one kind, and the promises made to their users.

    With a ``rate`` the machines serve so many requests a second, waiting included; with ``users``
    so many at a time, each sending its next request when the last is answered; with neither, one
    instance serves as many as its promises allow.

    Args:
        prompt: positions of a prompt [1].
        output: tokens of an output [1].
        cached: share of the prompt already in the cache [1].
        rate: requests of all users [1/s].
        users: requests at a time [1].
        token_promise: longest mean time per token [s].
        first_promise: longest mean time to the first token, waiting included [s].
        chunk: positions prefilled between two decode steps [1].
        draft: multi-token decoding.

    Raises:
        ValueError: a number outside its range, or both a rate and users.

    >>> Demand(prompt=4096, output=1024, users=32, token_promise=0.033).context
    4608.0
    >>> Demand(prompt=4096, output=0)
    Traceback (most recent call last):
    ...
    ValueError: output is 0; expected a finite number of at least 1
    """

    prompt: float
    output: float
    cached: float = 0.0
    rate: float | None = None
    users: int | None = None
    token_promise: float = math.inf
    first_promise: float = math.inf
    chunk: float = 2048.0
    draft: Draft | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "output", "chunk", "users"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 1):
                raise ValueError(f"{name} is {value:g}; expected a finite number of at least 1")
        for name in ("rate", "token_promise", "first_promise"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name.replace('_', ' ')} is {value:g}; expected more than 0")
        if self.rate is not None and not 1e-6 <= self.rate < math.inf:
            raise ValueError(
                f"rate is {self.rate:g} requests/s; expected a finite number of at least 1e-06 (one"
                " in twelve days)"
            )
        if not 0 <= self.cached < 1:
            raise ValueError(f"cached is {self.cached:g}; expected at least 0 and below 1")
        if self.rate is not None and self.users is not None:
            raise ValueError("both rate and users are given; expected one of them")
        if self.users is not None and self.users != round(self.users):
            raise ValueError(f"users is {self.users:g}; expected a whole number")

    @property
    def context(self) -> float:
        """Cached positions halfway through an output [1]."""
        return self.prompt + 0.5 * self.output

    @property
    def chunks(self) -> float:
        """Chunks in which what is new of a prompt is prefilled [1]."""
        return max(self.prompt * (1.0 - self.cached) / self.chunk, 1.0)

"""The result of a search: designs that no other found design dominates, with what is proved of
each."""

import dataclasses
from typing import Any

import numpy as np

from codesign.hardware.design import Design
from codesign.outcome import Outcome
from codesign.search.statement.choices import Choice
from codesign.search.statement.fleet import ServiceTimes, Totals
from codesign.search.verification.infeasibility import Conflict

GLOBAL, GLOBAL_AT_ITS_INTEGERS, LOCAL = "GLOBAL", "GLOBAL AT ITS INTEGERS", "LOCAL"
"""What a status claims: proved over all integers, choices and plans of the problem to within
``branch_and_bound.TOLERANCE``; proved to within ``CERTIFIED`` for the design's own; proved of
neither."""


class Infeasible(ValueError):
    """No design in the space meets the limits; the message names those in conflict and what would
    relax them."""

    def __init__(self, message: str, conflict: Conflict | None = None):
        super().__init__(message)
        self.conflict = conflict


@dataclasses.dataclass(frozen=True)
class Front:
    """Designs that no other found design dominates, best first by the last objective.

    Shapes: N designs, G objectives. ``designs`` holds a machine of each kind, ``outcomes`` an
    outcome of each step (``step_kinds``: on which kind), ``totals`` the fleet's, ``times`` what
    users of each service wait for (N, services). ``integers`` are in the order of ``integer_names``
    (0: left free). ``values`` are in the objectives' units, larger or smaller better by their
    sense; ``certified_gap`` is the weighted sum of log objectives above its proved bound for the
    design's own choice and integers, ``front_gap`` above the bound over all choices and integers
    (NaN unless proved). ``status`` is ``GLOBAL`` where the front gap is proved to be at most
    ``branch_and_bound.TOLERANCE``, ``GLOBAL AT ITS INTEGERS`` where only the certified gap is (at
    most ``CERTIFIED``), ``LOCAL`` where nothing is. ``residual`` is the norm of the exact model's
    optimality conditions of a ``LOCAL`` design (NaN otherwise), ``spread`` how far the penalty
    search's starts ended apart for its weighting and choice (NaN for weightings added later).
    ``multipliers`` say how much that weighted sum would gain per log unit of each limit. A design
    is the best for its ``weights`` among those whose time per token is at most ``time_asked`` [s]
    (+∞: among all); where that binds, ``SPEED_ASKED`` is among its limits. ``box`` is −1, 0, 1 for
    the continuous quantities of each kind and then chips and batches.
    """

    designs: tuple[Design, ...]
    outcomes: tuple[Outcome, ...]
    totals: Totals
    machine_seconds: np.ndarray
    times: ServiceTimes
    step_kinds: tuple[int, ...]
    integers: np.ndarray
    integer_names: tuple[str, ...]
    choice: np.ndarray
    choices: tuple[Choice, ...]
    objectives: tuple[Any, ...]  # ``Goal``s, with all that their owners gave them
    values: np.ndarray
    weights: np.ndarray
    time_asked: np.ndarray
    status: tuple[str, ...]
    certified_gap: np.ndarray
    front_gap: np.ndarray
    residual: np.ndarray
    spread: np.ndarray
    binding: tuple[tuple[str, ...], ...]
    multipliers: dict[str, np.ndarray]
    box: np.ndarray
    buildable: bool
    timings: dict[str, float]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def design(self) -> Design:
        """The machines of the first kind."""
        return self.designs[0]

    @property
    def batch(self) -> np.ndarray:
        """Batches of the first service, shape (N,)."""
        return self.integers[:, len(self.designs)]

"""What a plan says: for every machine the best of its layouts, or by how much it fails and what
would do."""

import dataclasses

from codesign.planning.layouts import Layout


@dataclasses.dataclass(frozen=True)
class Planned:
    """Machines in one layout that serve a demand.

    ``layout`` is of one of ``instances`` equal instances, each decoding ``batch`` sequences; where
    prefill has machines of its own, ``prefill_layout`` and ``prefill_instances`` say which. Rates
    and prices are of all together. ``interval`` is the 90 % interval of ``cost_per_token`` where
    the execution is calibrated, ``intervals`` that of every outcome by its name.
    """

    machine: str
    layout: Layout
    instances: int
    batch: int
    time_per_token: float  # [s]
    time_to_first_token: float  # [s] mean, waiting included
    load: float  # [1] of the capacity at which that wait holds
    requests_per_second: float  # [1/s] served within the promises
    output_tokens_per_second: float  # [1/s]
    running_cost: float  # [USD/s]
    cost_per_token: float  # [USD]
    capital: float  # [USD]
    provisioned_power: float  # [W]
    memory_share: float  # [1] of what weights and caches may fill, on the fullest chip
    score: float  # what was minimised
    prefill_layout: Layout | None = None
    prefill_instances: int = 0
    interval: tuple[float, float] | None = None  # [USD]
    intervals: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    first_quantiles: tuple[float, ...] = ()  # [s] to the first token: ``random_arrivals.QUANTILES``
    token_quantiles: tuple[float, ...] = ()  # [s] per token
    no_quantiles: str = ""  # why there are none

    @property
    def chips(self) -> int:
        """Chips of all instances [1]."""
        prefill = self.prefill_layout.chips * self.prefill_instances if self.prefill_layout else 0
        return self.layout.chips * self.instances + prefill

    @property
    def user_tokens_per_second(self) -> float:
        """Speed that one user sees [1/s]."""
        return 1.0 / self.time_per_token

    def words(self) -> str:
        """Instances and layouts, as engines abbreviate them: ``3 × TP8``, ``2 × TP8 → 1 × TP4``."""
        many = f"{self.instances} × " if self.instances > 1 else ""
        own = f"{many}{self.layout.words()}"
        if self.prefill_layout is None:
            return own
        first = f"{self.prefill_instances} × " if self.prefill_instances > 1 else ""
        return f"{first}{self.prefill_layout.words()} → {own}"


PLANNED, NO_FIT, TOO_SLOW, TOO_MANY, NO_LAYOUT = (
    "PLANNED",
    "DOES NOT FIT",
    "TOO SLOW",
    "TOO MANY CHIPS",
    "NO LAYOUT",
)
"""Status words. ``PLANNED`` is the best of all layouts and batches that were enumerated, on the
model of this execution; no word says more."""


@dataclasses.dataclass(frozen=True)
class MachineAnswer:
    """One machine: its layouts that serve the demand, best first, or why there are none.

    ``excess`` is ln of how far the nearest layout is from serving: memory over what there is, time
    over what is promised, chips over the most allowed.
    """

    machine: str
    status: str
    ranked: tuple[Planned, ...] = ()
    reason: str = ""
    excess: float = 0.0
    announced: bool = False
    layouts: int = 0  # that were looked at

    @property
    def best(self) -> Planned | None:
        """The best layout."""
        return self.ranked[0] if self.ranked else None


@dataclasses.dataclass(frozen=True)
class Plans:
    """Every machine's answer, best first; ``evaluations`` counts layouts × batches that were
    timed."""

    machines: tuple[MachineAnswer, ...]
    objective: str
    most_chips: int
    evaluations: int = 0

    @property
    def best(self) -> Planned | None:
        """The best of all machines on sale; of those announced where no other serves."""
        served = [one for one in self.machines if one.best is not None]
        sold = [one for one in served if not one.announced] or served
        return min((one.best for one in sold if one.best), key=lambda one: one.score, default=None)

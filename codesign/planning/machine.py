"""What is on offer: one chip, what it can compute, and what it costs."""

import dataclasses
from collections.abc import Callable

import numpy as np

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.performance.execution import Execution
from codesign.performance.schedules import Operatorwise
from codesign.workload.precision import Precision


@dataclasses.dataclass(frozen=True)
class Machine:
    """A chip on sale or of one's own, as many as one likes.

    Args:
        name: what it is called.
        design: one chip, its peak at the width at which ``precision`` computes.
        technology: prices and physics.
        precision: what the model is stored and computed in on this chip.
        execution: how operators follow each other on it.
        sync_latencies: numbers of chips → time of one exposed minimal collective over them [s];
            that of ``design`` where it does not depend on them.
        hourly: own price of an hour of one chip, everything included [USD/h].
        price: own price of one chip with its share of server and network [USD].
        announced: whether nobody can buy it yet.

    Raises:
        ValueError: a price that is not above zero, or both prices.
    """

    name: str
    design: Design
    technology: Technology
    precision: Precision = dataclasses.field(default_factory=Precision)
    execution: Execution = dataclasses.field(default_factory=Operatorwise)
    sync_latencies: Callable[[np.ndarray], np.ndarray] | None = None
    hourly: float | None = None
    price: float | None = None
    announced: bool = False

    def __post_init__(self) -> None:
        for what in ("hourly", "price"):
            value = getattr(self, what)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(
                    f"{self.name}: {what} price is {value:g}; expected a finite number above 0"
                )
        if self.hourly is not None and self.price is not None:
            raise ValueError(f"{self.name}: an hourly and a purchase price; expected one of them")

    @property
    def domain(self) -> int:
        """Chips joined by the scale-up links [1]."""
        return int(min(float(self.design.scale_up_domain), 1e9))

    def latencies(self, chips: np.ndarray) -> np.ndarray:
        """Sync latency of so many chips [s]."""
        if self.sync_latencies is None:
            return np.full(np.shape(chips), float(self.design.sync_latency))
        return np.asarray(self.sync_latencies(np.maximum(chips, 1)), float)

"""What calibration needs to know of a device: its quantities, and the family that it inherits
from."""

import dataclasses
from typing import Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True)
class Machine:
    """One device of the catalogue in SI units, with its place among its relatives."""

    name: str
    vendor: str
    architecture: str
    memory_bandwidth: float  # [B/s]
    memory_capacity: float  # [B]
    peaks: tuple[
        float, float, float
    ]  # [FLOP/s] dense, at 16, 8 and 4 bit; a format that is missing runs at the next wider one
    link_bandwidth: float  # [B/s] one direction
    scale_up_domain: float  # [1]
    scale_out_bandwidth: float  # [B/s] one direction
    scale_out_latency: float  # [s]
    sync_latency: float  # [s] a whole small all-reduce
    rated_power: float  # [W], nan where unknown


@runtime_checkable
class MachineFinder(Protocol):
    """Looks a printed device name up in the catalogue."""

    def __call__(self, printed: str, chips: float) -> Machine | None:
        """The machine, or None where the catalogue has none of that name."""
        ...

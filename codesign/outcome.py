"""What an evaluation says: speed, fit, power, money, and how far each limit is."""

import equinox as eqx
import jax.numpy as jnp

from codesign.limits import Limits, stack_limits
from codesign.numerics.fields import Quantity, Truth, quantity
from codesign.performance.load import Footprint
from codesign.performance.step import Step
from codesign.physical.area import Area
from codesign.physical.cost import Cost


class Outcome(eqx.Module):
    """Everything that one evaluation yields.

    ``capacity_needed`` and ``capacity_available`` are of all chips; ``mean_power``, ``rated_power``
    and ``peak_power`` of one chip, without host, conversion and cooling, which
    ``provisioned_power`` adds to the rated power of all chips. ``step`` is the step as it would run
    without a power cap, ``step_time`` its time under the cap. Prices follow the technology's price
    basis.
    """

    limits: Limits
    area: Area
    cost: Cost
    footprint: Footprint
    step: Step
    step_time: Quantity = quantity("s", "time of one step")
    time_per_token: Quantity = quantity(
        "s", "time between two tokens of a user (prefill: to the first)"
    )
    user_tokens_per_second: Quantity = quantity("token/s", "speed that one user sees")
    system_tokens_per_second: Quantity = quantity("token/s", "tokens of all users")
    capacity_needed: Quantity = quantity("B", "bytes that weights and caches take")
    capacity_available: Quantity = quantity(
        "B", "bytes that they may fill: what there is less the reserve"
    )
    peak_power: Quantity = quantity("W", "one chip, everything at its peak")
    rated_power: Quantity = quantity(
        "W", "most that one chip may draw: its cap, or its peak where it has none"
    )
    mean_power: Quantity = quantity("W", "one chip, running this")
    running_clock: Quantity = quantity("1", "clock under the power cap, over the nominal one")
    provisioned_power: Quantity = quantity("W", "facility, for the rated power of all chips")
    energy_per_token: Quantity = quantity("J", "facility energy of one token")
    capital_cost: Quantity = quantity("USD", "equipment and facility")
    running_cost: Quantity = quantity("USD/s", "capital paid back, and energy")
    cost_per_token: Quantity = quantity("USD", "running cost over tokens, idle time included")
    tokens_per_second_per_dollar: Quantity = quantity(
        "token/s/USD", "system tokens/s over capital cost"
    )
    tokens_per_second_per_watt: Quantity = quantity(
        "token/s/W", "system tokens/s over provisioned power"
    )

    @property
    def fits_memory(self) -> Truth:
        """Whether weights and caches fit on every chip [bool]."""
        return self.limits.capacity <= 0.0

    @property
    def fits(self) -> Truth:
        """Whether every limit holds: memory, what the technology can build and cool, and the
        promise [bool]."""
        return jnp.all(stack_limits(self.limits) <= 0.0, axis=-1)


GAINS = (
    "user_tokens_per_second",
    "system_tokens_per_second",
    "capacity_available",
    "tokens_per_second_per_dollar",
    "tokens_per_second_per_watt",
    "requests_per_second",
    "output_tokens_per_second",
    "goodput",
)
"""Outcomes, of a step or of a service, of which more is better; all others are costs, times, areas
and bytes."""

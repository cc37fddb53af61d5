"""What an evaluation says: speed, fit, power, money, and how far each limit is."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Real, Truth, quantity
from codesign.performance.load import Footprint
from codesign.performance.step import Step
from codesign.physical.area import Area
from codesign.physical.cost import Cost


class Limits(eqx.Module):
    """ln(used / allowed) of every limit: at most 0 where the design respects it [1].

    ``layers_most`` and ``layers_fewest`` are the layers per memory stack; the two temperatures are
    rises above the coolant; ``clock_fewest`` and ``clock_most`` bound the clock; ``sync_floor`` is
    the latency that no money buys, ``promise`` the time per token.
    """

    capacity: Real = quantity("1", "memory capacity")
    die_area: Real = quantity("1", "die area against the reticle")
    dies: Real = quantity("1", "logic dies in the package")
    shoreline: Real = quantity("1", "die edge for memory and links")
    stacks: Real = quantity("1", "memory stacks on the package")
    layers_most: Real = quantity("1", "layers per stack against the most on sale")
    layers_fewest: Real = quantity("1", "layers per stack against the fewest on sale")
    power_density: Real = quantity("1", "heat flux of the die")
    package_power: Real = quantity("1", "power of the package")
    temperature: Real = quantity("1", "rise of the junction above the coolant")
    memory_temperature: Real = quantity("1", "rise of the memory above the coolant")
    interposer: Real = quantity("1", "interposer area against the largest of the year")
    warpage: Real = quantity("1", "bow of the interposer")
    clock_fewest: Real = quantity("1", "clock against the slowest useful one")
    clock_most: Real = quantity("1", "clock against the fastest one")
    sync_floor: Real = quantity("1", "sync latency against its floor")
    promise: Real = quantity("1", "time per token against the promise")


LIMIT_NAMES = tuple(field.name for field in dataclasses.fields(Limits))
"""Names of the limits, in the order of ``Limits``."""

LIMIT_WORDS: dict[str, str] = {
    "capacity": "memory capacity",
    "die_area": "die area",
    "dies": "dies in a package",
    "shoreline": "shoreline",
    "stacks": "memory stacks",
    "layers_most": "most layers",
    "layers_fewest": "fewest layers",
    "power_density": "power density",
    "package_power": "package power",
    "temperature": "junction temperature",
    "memory_temperature": "memory temperature",
    "interposer": "interposer area",
    "warpage": "warpage",
    "clock_fewest": "slowest clock",
    "clock_most": "fastest clock",
    "sync_floor": "sync latency floor",
    "promise": "promise",
    "first_token": "first-token promise",
}
"""What each limit is called wherever people read it: tables, files, reports, refusals."""


def limit_words(name: str) -> str:
    """Call a limit by its words; a bound that a user put on an outcome has its own.

    >>> limit_words("layers_most"), limit_words("cost_per_token at most")
    ('most layers', 'cost per token at most')
    """
    return LIMIT_WORDS.get(name, name.replace("_", " "))


def stack_limits(limits: Limits) -> Real:
    """The limits as one array, last axis in the order of ``LIMIT_NAMES`` [1]."""
    return jnp.stack([getattr(limits, name) for name in LIMIT_NAMES], axis=-1)


class Outcome(eqx.Module):
    """Everything that one evaluation yields.

    ``capacity_needed`` and ``capacity_available`` are of all chips; ``mean_power`` and
    ``peak_power`` of one chip, without host, conversion and cooling, which ``provisioned_power``
    adds for all chips. Prices follow the technology's price basis.
    """

    limits: Limits
    area: Area
    cost: Cost
    footprint: Footprint
    step: Step
    step_time: Real = quantity("s", "time of one step")
    time_per_token: Real = quantity(
        "s", "time between two tokens of a user (prefill: to the first)"
    )
    user_tokens_per_second: Real = quantity("token/s", "speed that one user sees")
    system_tokens_per_second: Real = quantity("token/s", "tokens of all users")
    capacity_needed: Real = quantity("B", "bytes that weights and caches take")
    capacity_available: Real = quantity(
        "B", "bytes that they may fill: what there is less the reserve"
    )
    peak_power: Real = quantity("W", "one chip, everything at its peak")
    mean_power: Real = quantity("W", "one chip, running this")
    provisioned_power: Real = quantity("W", "facility, for all chips at their peak")
    energy_per_token: Real = quantity("J", "facility energy of one token")
    capital_cost: Real = quantity("USD", "equipment and facility")
    running_cost: Real = quantity("USD/s", "capital paid back, and energy")
    cost_per_token: Real = quantity("USD", "running cost over tokens, idle time included")
    tokens_per_second_per_dollar: Real = quantity(
        "token/s/USD", "system tokens/s over capital cost"
    )
    tokens_per_second_per_watt: Real = quantity(
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

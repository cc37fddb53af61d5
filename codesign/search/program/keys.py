"""Keys of a program's variables, monomials and functions: what each is of, and its name."""

import enum
from typing import NamedTuple

from codesign.limits import ROWS, Owner
from codesign.search.statement.space import CONTINUOUS


class Of(enum.Enum):
    """What a variable, a monomial or a function of a program is of."""

    FLEET = "fleet"
    KIND = "kind of machine"
    STEP = "step"
    SERVICE = "service"
    BOUND = "bound on an outcome"


class Key(NamedTuple):
    """One variable, monomial or function: ``row`` tells those of one name apart, ``busy`` is a
    monomial times the machine-seconds of its kind."""

    of: Of
    index: int
    name: str
    row: int = 0
    busy: bool = False


KIND_VARIABLES = (*CONTINUOUS, "silicon", "power cap", "machine seconds", "chips")
STEP_VARIABLES = ("time", "step clock")
PHYSICAL = (
    "memory_bandwidth",
    "memory_capacity",
    "peak_flops",
    "link_bandwidth",
    "silicon",
    "die price",
    "sync price",
    "hot flops",
    "hot silicon",
    "cold flops",
    "power cap",
)
"""Monomials of a kind besides 1; hot is times the energy ratio of the clock, cold over the
clock."""
TIMES = {
    "sync_latency": ("sync_latency", 1.0),
    "1/link": ("link_bandwidth", -1.0),
    "1/flops": ("peak_flops", -1.0),
    "1/bandwidth": ("memory_bandwidth", -1.0),
}
"""Monomials of a step's time: variable and power."""
STEP_MONOMIALS = (
    "one",
    "energy ratio",
    "busy time",
    "time",
    "1/time",
    "energy ratio/time",
    "busy",
)
"""Monomials of a step; busy is what its machine's matrix units switch at its clock."""
ENERGIES = ("one", "energy ratio", "busy time")
"""Those of a step's energy."""
DRAWN = ("1/time", "energy ratio/time", "busy")
"""Those of the power that a step draws above static power."""
TEMPERED = {
    "hot flops": ("peak_flops", 0.0, True),
    "hot silicon": ("silicon", 0.0, True),
    "cold flops": ("peak_flops", -1.0, False),
}
"""Physical monomials that depend on the clock: variable, power of the clock, and whether hot."""
SPECIALS = ("die price", "sync price", "energy ratio")
"""Functions of one variable of each kind; each step has an energy ratio of its own clock too."""
IDLE = ("memory_capacity", "link_bandwidth", "hot silicon")
"""Physical monomials of a chip that does nothing, besides 1."""

OUTCOMES = ("capital", "provisioned", "running", "energy")
"""Per output token of the fleet: USD s, W s, USD, J."""
KIND_DEFINITIONS = ("silicon", "silicon_small")
"""Functions of a kind that define its lifted silicon."""
MACHINE_ROWS = tuple(
    row
    for monomial in (False, True)
    for row in ROWS
    if row.owner is Owner.MACHINE and row.monomial is monomial
)
"""Limits of a kind of machine: sums first, then those that are straight lines."""
SERVICE_LIMITS = ("promise", "pace", "first_token")
DEFINITIONS = (*KIND_DEFINITIONS, "rate", "pace", "step", "plan", "power", "throttle")
"""Functions that only define a lifted variable (or that a plan has chips enough): no limit of a
technology or of a user."""

"""Variables of a search by gradients: their box, and the fleet at a point."""

import numpy as np
from jaxtyping import Array, Float

from codesign.performance.execution import Execution
from codesign.physical.latency import sync_floor
from codesign.search.statement.choices import Kind
from codesign.search.statement.fleet import Fleet, fleet
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.space import CONTINUOUS

LEAST_WHITE_SILICON, MOST_WHITE_SILICON = 1e-9, 1e-3  # [m²]
LEAST_CAP, MOST_CAP = 10.0, 1e5
"""Power caps among which a search by gradients begins; none is above what may be cooled [W]."""
OWN = len(CONTINUOUS) + 3
"""Variables of each kind: the continuous quantities, white silicon, power cap, chips; after all
kinds the batch of each service."""


def box(problems: ProblemBatch) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a lane's variables in logarithms, shapes (variables,).

    In numpy, like all that prepares the search: every small JAX operation would be compiled before
    the large one.
    """
    ends = []
    sides = ((0, LEAST_WHITE_SILICON, LEAST_CAP), (1, MOST_WHITE_SILICON, MOST_CAP))
    for side, white, cap in sides:
        own = [
            np.concatenate(
                [
                    np.asarray((space.low, space.high)[side]),
                    [white, min(cap, most_power(kind)), space.chips[side]],
                ]
            )
            for space, kind in zip(problems.spaces, problems.kinds, strict=True)
        ]
        ends.append(
            np.log(
                np.concatenate(
                    [*own, np.array([float(one.batch[side]) for one in problems.services])]
                )
            )
        )
    return ends[0], ends[1]


def most_power(kind: Kind) -> float:
    """Most power that a package may be cooled for, in any choice [W]."""
    return float(np.max(np.asarray(kind.technology.cooling.package_power)))


def fleet_at(
    values: Float[Array, "variables"], problems: ProblemBatch, execution: Execution | None = None
) -> Fleet:
    """The exact model at a lane's variables (SI); a buildable machine has the latency of its
    network, and a step over its power cap breaks a limit instead of slowing down."""
    count = len(problems.spaces)
    own = values[: count * OWN].reshape(count, OWN)
    continuous = own[:, : len(CONTINUOUS)]
    for p, space in enumerate(problems.spaces):
        if space.buildable:
            kind = problems.kinds[p]
            links = kind.technology.links
            latency = sync_floor(own[p, -1], kind.scale_up_domain, links) + links.software_latency
            continuous = continuous.at[p, CONTINUOUS.index("sync_latency")].set(latency)
    batches = values[count * OWN :]
    white, caps, chips = own[:, -3], own[:, -2], own[:, -1]
    return fleet(problems, continuous, chips, batches, white, caps, execution, throttled=False)

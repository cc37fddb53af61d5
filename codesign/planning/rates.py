"""From the steps of an instance to what it serves: means, as ``performance.queueing`` has them, for
any number of groups side by side.

Every group prefills a prompt of its own, and a lone prompt flows through the pipeline in chunks:
with c chunks and p stages it takes (c + p − 1)/(c·p) of a pass of whole prompts through all stages,
the fill and drain of a pipeline (Huang et al., GPipe, arXiv 1811.06965, §2.3).
"""

from typing import NamedTuple

import numpy as np

from codesign.performance.queueing import utilisation_within, waiting_time
from codesign.planning.demand import Demand
from codesign.planning.lanes import Lanes, Steps
from codesign.workload import phases
from codesign.workload.phases import Decode
from codesign.workload.transformer import UNLIMITED


class Served(NamedTuple):
    """What one instance serves, leading axis the lanes; rates are in requests."""

    time_per_token: np.ndarray  # [s]
    first_alone: np.ndarray  # [s] to the first token, without waiting
    served: np.ndarray  # [s] of the server that requests wait for
    capacity: np.ndarray  # [1/s]
    goodput: np.ndarray  # [1/s] largest rate within memory and promises, 0 if there is none
    fits: np.ndarray  # [bool]


def tokens_per_step(demand: Demand) -> float:
    """Tokens that a step yields for each sequence [1]."""
    return float(phases.tokens_per_step(Decode(1.0, demand.context, demand.draft)))


MOST_LOAD = 0.85
"""Share of its capacity at which a machine is planned for a stated rate: judged; beyond it waits
grow without end within what calibration knows of the capacity, and the forms of waiting are not
within 10 % of a simulation (``random_arrivals``)."""


def lone_prompt(steps: Steps, lanes: Lanes, chunks: float) -> np.ndarray:
    """Prefill of a prompt that is alone, in chunks through the stages [s].

    >>> import numpy as np
    >>> two = Lanes(np.zeros(1), np.array([[1, 2, 1, 1, 1, 1.0]]), np.ones(1))
    >>> one = Steps(*[np.full(1, 3.0)] * len(Steps._fields))
    >>> float(lone_prompt(one, two, chunks=1.0)[0]), float(lone_prompt(one, two, chunks=10.0)[0])
    (3.0, 1.65)
    """
    stages = lanes.layout[:, 1]
    return steps.prefill * (chunks + stages - 1.0) / (chunks * stages)


def shared(steps: Steps, lanes: Lanes, demand: Demand) -> Served:
    """Prefill interleaved with decode on the same chips (``performance.queueing.aggregated``).

    Args:
        steps: what ``lanes`` say.
        lanes: layouts and batches.
        demand: lengths and promises.
    """
    tokens, groups, chunks = tokens_per_step(demand), lanes.groups, demand.chunks
    batch = lanes.batch * groups
    step = steps.decode + batch * tokens / demand.output * steps.waited * steps.prefill / groups
    capacity = batch * tokens / (demand.output * step)
    served = lone_prompt(steps, lanes, chunks) + chunks * steps.decode
    alone = steps.request + served
    per_token = step / tokens
    first = min(demand.first_promise, UNLIMITED)
    within = np.asarray(utilisation_within(served / groups, first - alone))
    if demand.rate is not None:
        within = np.minimum(within, MOST_LOAD)
    fits = np.maximum(steps.decode_fill, steps.prefill_fill) <= 0.0
    kept = fits & (alone <= first) & (per_token <= demand.token_promise)
    return Served(
        per_token, alone, served / groups, capacity, np.where(kept, within * capacity, 0.0), fits
    )


def first_token(served: Served, load: np.ndarray) -> np.ndarray:
    """Mean time to the first token at a load, waiting included [s]."""
    return served.first_alone + np.asarray(waiting_time(served.served, load))

"""How options state the width of what a model is stored and computed in."""

from typing import Annotated

from experiments.scenarios.sizes import FEWEST_BITS
from experiments.terminal.arguments import number

MOST_BITS = 32.0

WeightBits = (
    Annotated[float, number("weight-bits", "bit", FEWEST_BITS, MOST_BITS, include_low=True)] | None
)
"""Of all weights [bit]."""

ExpertWeightBits = (
    Annotated[float, number("expert-weight-bits", "bit", FEWEST_BITS, MOST_BITS, include_low=True)]
    | None
)
"""Of routed experts' weights [bit]."""

KVBits = Annotated[float, number("kv-bits", "bit", FEWEST_BITS, MOST_BITS, include_low=True)] | None
"""Of a cached element [bit]."""

ActivationBits = (
    Annotated[float, number("activation-bits", "bit", FEWEST_BITS, MOST_BITS, include_low=True)]
    | None
)
"""Of an activation [bit]."""

"""What ``codesign evaluate --json`` and ``codesign advise-batch --json`` print: their keys and
types; units are in the names, or in ``report.UNITS``."""

from typing import Literal, NotRequired, TypeAlias, TypedDict

Interval: TypeAlias = list[float]
"""Low and high end."""

Resource: TypeAlias = Literal[
    "memory", "compute", "vector", "sync", "transfer", "floor", "host", "power_cap"
]
"""Parts of a step, which sum to its time."""


class OperatorTime(TypedDict):
    """Seconds of an operator, what binds it, and what it would take on each resource alone."""

    time: float
    bound: str
    memory_alone: float
    compute_alone: float
    vector_alone: float
    floor: NotRequired[float]


class CollectiveTime(TypedDict):
    """Seconds of a kind of collective."""

    sync: float
    transfer: float


class Parts(TypedDict):
    """Seconds of a step by part; floors of kernels and the host's time only in the calibrated
    execution, what a power cap adds only where it does."""

    memory: float
    compute: float
    vector: float
    sync: float
    transfer: float
    floor: NotRequired[float]
    host: NotRequired[float]
    power_cap: NotRequired[float]


class Breakdown(Parts):
    """Seconds of a step by part, by operator and by collective."""

    by_operator: dict[str, OperatorTime]
    by_collective: dict[str, CollectiveTime]


class PartsOfExecution(Parts):
    """A step under one execution."""

    step_time_s: float
    interval: NotRequired[Interval]


class Split(TypedDict):
    """The result under one way of splitting caches among chips."""

    step_time_s: float
    user_tokens_per_second: float
    system_tokens_per_second: float
    fits_memory: bool
    capacity_needed_bytes: float


class Splits(TypedDict):
    """Caches replicated beyond the KV heads, and divided without limit; which one is ``used``."""

    used: str
    heads: Split
    ideal: Split


class Knowledge(TypedDict):
    """Which profile predicts, and how many measured rows it has of what is evaluated."""

    profile: str
    date: str | None
    rows: int | None
    device_rows: int
    architecture: str
    architecture_rows: int
    vendor: str
    model_rows: int
    engine: str
    engine_assumed: bool
    engine_rows: int


class Inputs(TypedDict):
    """The arguments by their names, as they were understood; of them those that are read again."""

    price_basis: str
    design_si: dict[str, float]


class Replicas(TypedDict):
    """So many replicas of one batch on a device."""

    replicas: int
    batch: int
    time_per_token_s: float
    tokens_per_second: float
    tokens_per_second_at_most: float
    gain_over_largest_batch: float
    keeps_promise: bool


class AdviceReport(TypedDict):
    """A batch, why no larger one, and what replicas of it would gain."""

    model: str
    device: str
    chips: int
    context: int
    execution: str | None
    promise_s: float
    efficiency_floor: float
    batch: int
    stopped_by: str
    time_per_token_s: float
    tokens_per_second: float
    efficiency: float
    device_idle_share: float
    elasticities_of_batch: dict[str, float]
    largest_batch_that_fits: int
    largest_batch_tokens_per_second: float
    largest_batch_time_per_token_s: float
    memory_needed_bytes: float
    memory_freed_bytes: float
    replicas: list[Replicas]


class PointReport(TypedDict):
    """Everything that one evaluation says."""

    step_time_s: float
    time_per_token_s: float
    user_tokens_per_second: float
    system_tokens_per_second: float
    fits: bool
    fits_memory: bool
    limits_broken: list[str]
    capacity_needed_bytes: float
    capacity_available_bytes: float
    bound: str
    breakdown: Breakdown
    power_w: float
    rated_power_w: float
    running_clock: float
    provisioned_power_w: float
    energy_per_token_j: float
    capital_cost_usd: float
    cost_per_million_tokens_usd: float
    tokens_per_second_per_dollar: float
    tokens_per_second_per_watt: float
    elasticities: dict[str, dict[str, float]]
    limits: dict[str, float | None]
    capital_by_part_usd_per_chip: dict[str, float]
    kv_split: NotRequired[Splits]
    time_to_first_token_s: NotRequired[float]
    interval: NotRequired[dict[str, Interval | dict[str, Interval]]]
    calibration: NotRequired[Knowledge]
    executions: NotRequired[dict[str, PartsOfExecution]]
    inputs: Inputs
    units: dict[str, str]
    warnings: list[str]

"""``codesign advise-batch``: the batch a machine should run, and replicas in what it leaves."""

import dataclasses
import json as json_format
from typing import Annotated, Any

from experiments.points.widths import KVBits, WeightBits
from experiments.scenarios.sizes import MOST_CHIPS, MOST_POSITIONS
from experiments.terminal.arguments import number, one_of, whole


@dataclasses.dataclass(frozen=True)
class AdviseBatch:
    """Find the largest batch that keeps a latency promise and still pays, and what replicas in the
    memory that it leaves would gain."""

    model: str
    """shipped name (codesign list models), or path of a config.json or a TOML file of your own"""
    device: str
    """catalogue name (codesign list devices), or path of a TOML file of your own"""
    latency_promise: str
    """longest mean time between a user's tokens, such as "40 ms"; or a multiple of that at batch
    32, such as "2x" """
    context: Annotated[int, whole("context", most=MOST_POSITIONS)] = 2048
    """cached positions of a sequence, in the mean"""
    chips: Annotated[int, whole("chips", most=MOST_CHIPS)] = 1
    """number of chips, all in one tensor group; replicas share them all"""
    efficiency_floor: Annotated[
        float, number("efficiency-floor", "", 0.0, 0.999999, include_low=True)
    ] = 0.1
    """least T(B) / (B T(1)), the gain of a batch over so many machines with one user each"""
    largest_batch: Annotated[int, whole("largest-batch", most=8192)] = 1024
    """largest batch looked at"""
    weight_bits: WeightBits = None
    """bits of all weights; as the model's file says unless told"""
    kv_bits: KVBits = None
    """bits of a cached element; as the model's file says unless told"""
    memory_capacity: str | None = None
    """capacity of a chip's memory instead of the device's, such as "64 GiB" """
    execution: Annotated[str, one_of("execution", ("calibrated", "operatorwise"))] | None = None
    """calibrated, the default for machines that exist; operatorwise knows no idle gaps, and so no
    gain by replicas"""
    engine: str | None = None
    """serving software (execution calibrated), such as vllm"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Advise and print; 0.

        Raises:
            Refused: bad input, or (exit code 3) nothing fits or keeps the promise.
        """
        from experiments.points.advice import advise, read_promise
        from experiments.points.advice_table import record, show
        from experiments.points.arguments import PointArguments
        from experiments.points.operating_point import operating_point

        promise = read_promise(self.latency_promise)
        shared = {field.name for field in dataclasses.fields(PointArguments)}
        stated: dict[str, Any] = {
            name: value for name, value in vars(self).items() if name in shared
        }
        arguments = PointArguments(**stated)
        point = operating_point(arguments, arguments.parallelism())
        found = advise(point, promise, self.efficiency_floor, self.largest_batch)
        answer = record(point, found, self.efficiency_floor)
        if self.json:
            print(json_format.dumps(answer, indent=1, allow_nan=False))
        else:
            show(answer)
        return 0

"""The options that state one machine and one workload on the command line."""

import dataclasses
from typing import Annotated

from experiments.arguments import flag_or_count, number, one_of, some_of, whole, whole_or
from experiments.parallelism import Parallelism, divide
from experiments.refusal import Refused

ALL_REDUCES = ("one-shot", "two-shot", "ring", "tree", "in-network")


@dataclasses.dataclass(frozen=True)
class PointArguments:
    """One machine running one workload."""

    model: str
    """shipped name (codesign list models), or path of a Hugging Face config.json or its folder"""
    device: str
    """catalogue name (codesign list devices), or path of a TOML file of your own"""
    chips: Annotated[int, whole("chips")] = 1
    """number of chips"""
    tensor: Annotated[int, whole("tensor")] | None = None
    """tensor-parallel degree; left out: chips / (pipeline · context-parallel · data)"""
    pipeline: Annotated[int, whole("pipeline")] = 1
    """pipeline stages"""
    data: Annotated[int, whole("data")] | None = None
    """attention-data-parallel groups; left out with --tensor given: what remains of the chips"""
    context_parallel: Annotated[int, whole("context-parallel")] = 1
    """ranks that share one sequence's cache"""
    expert: Annotated[int | str, whole_or("expert", "whole")] = 1
    """groups that whole experts are dealt to; whole: as many as chips; 1: every expert is sliced"""
    batch: Annotated[int, whole("batch")] = 1
    """sequences in the step, over the whole design"""
    context: Annotated[int, whole("context")] = 8192
    """cached positions per sequence (prefill: length of the prompt unless --prompt says otherwise)"""
    phase: Annotated[str, one_of("phase", ("decode", "prefill"))] = "decode"
    """decode or prefill"""
    prompt: Annotated[int, whole("prompt")] | None = None
    """positions of a prompt (prefill)"""
    cached: Annotated[float, number("cached", "", 0.0, 0.999999, include_low=True)] | None = None
    """share of the prompt already in the cache (prefill)"""
    weight_bits: Annotated[float, number("weight-bits", "bit", 0.0, 32.0)] = 8.0
    """bits of a weight"""
    kv_bits: Annotated[float, number("kv-bits", "bit", 0.0, 32.0)] = 8.0
    """bits of a cached element"""
    activation_bits: Annotated[float, number("activation-bits", "bit", 0.0, 32.0)] = 8.0
    """bits of an activation; arithmetic runs at the wider of weights and activations"""
    execution: Annotated[str, one_of("execution", ("operatorwise", "limit", "dataflow", "calibrated"))] = "operatorwise"
    """how operators follow each other; limit: the limit study of arXiv 2507.14397; calibrated: fitted to measurements, with intervals"""
    profile: str | None = None
    """calibration profile (execution calibrated): a shipped name or the path of one of your own; the newest shipped one unless told"""
    engine: str | None = None
    """serving software (execution calibrated), such as vllm, sglang or tensorrt-llm; left out, intervals are as wide as that"""
    compare_executions: bool = False
    """also the limit study, operator-wise and calibrated times side by side, by part"""
    kv_split: Annotated[str, one_of("kv-split", ("heads", "ideal"))] = "heads"
    """heads: caches are replicated beyond the KV heads; ideal: divided without limit"""
    collective: Annotated[tuple[str, ...], some_of("collective", ALL_REDUCES, "auto")] = ("one-shot", "two-shot")
    """all-reduce algorithms on offer, the fastest is taken; auto: all, in-network reduction included"""
    syncs_per_layer: Annotated[float, number("syncs-per-layer", "", 0.0, include_low=True)] | None = None
    """exposed syncs of a layer (execution limit; 3 unless told)"""
    syncs_per_expert_layer: Annotated[float, number("syncs-per-expert-layer", "", 0.0, include_low=True)] | None = None
    """further exposed syncs of a layer with experts (execution limit; 0 unless told)"""
    nominal_parameters: Annotated[bool | float, flag_or_count("nominal-parameters")] = False
    """round parameter count as papers use it, or a count of your own; exact otherwise"""
    node: str | None = None
    """logic process of the prices; the device's own unless told, as for memory and link"""
    memory: str | None = None
    """memory technology"""
    link: str | None = None
    """link technology"""
    cooling: str = "cold-plate"
    """cooling technology"""
    price_basis: Annotated[str, one_of("price-basis", ("builder", "buyer"))] = "builder"
    """builder: bill of materials; buyer: one vendor markup on it"""
    promise_ms: Annotated[float, number("promise-ms", "ms")] | None = None
    """longest time per output token (prefill: to the first token)"""
    sync_latency_us: Annotated[float, number("sync-latency-us", "us")] | None = None
    """one exposed minimal collective, instead of the device's own"""
    json: bool = False
    """only JSON on standard output"""

    def parallelism(self) -> Parallelism:
        """Degrees that multiply to the chips.

        Raises:
            Refused: they do not, or options contradict each other.
        """
        if self.phase == "decode":
            for option in ("prompt", "cached"):
                if getattr(self, option) is not None:
                    raise Refused(f"--{option} is given with --phase decode; expected it only with --phase prefill")
        for option in ("syncs_per_layer", "syncs_per_expert_layer"):
            if getattr(self, option) is not None and self.execution != "limit":
                name = option.replace("_", "-")
                raise Refused(f"--{name} is given with --execution {self.execution}; expected --execution limit")
        for option in ("profile", "engine"):
            if getattr(self, option) is not None and self.execution != "calibrated" and not getattr(self, "compare_executions", False):
                raise Refused(f"--{option} is given with --execution {self.execution}; expected --execution calibrated")
        return divide(self.chips, self.tensor, self.pipeline, self.context_parallel, self.data)

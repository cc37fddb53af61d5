"""The options that state one machine and one workload on the command line."""

import dataclasses
from typing import Annotated

from experiments.points.parallelism import Parallelism, divide
from experiments.points.widths import ActivationBits, ExpertWeightBits, KVBits, WeightBits
from experiments.scenarios.sizes import (
    MOST_CHIPS,
    MOST_POSITIONS,
    MOST_SEQUENCES,
    MOST_SYNCS,
)
from experiments.terminal.arguments import flag_or_count, number, one_of, some_of, whole, whole_or
from experiments.terminal.refusal import Refused

ALL_REDUCES = ("one-shot", "two-shot", "ring", "tree", "in-network")


@dataclasses.dataclass(frozen=True)
class PointArguments:
    """One machine running one workload."""

    model: str
    """shipped name (codesign list models), or path of a Hugging Face config.json, its folder, or a
    TOML file of your own"""
    device: str
    """catalogue name (codesign list devices), or path of a TOML file of your own"""
    chips: Annotated[int, whole("chips", most=MOST_CHIPS)] = 1
    """number of chips"""
    tensor: Annotated[int, whole("tensor", most=MOST_CHIPS)] | None = None
    """tensor-parallel degree; left out: chips / (pipeline · context-parallel · data)"""
    pipeline: Annotated[int, whole("pipeline", most=MOST_CHIPS)] = 1
    """pipeline stages"""
    data: Annotated[int, whole("data", most=MOST_CHIPS)] | None = None
    """attention-data-parallel groups; left out with --tensor given: what remains of the chips"""
    context_parallel: Annotated[int, whole("context-parallel", most=MOST_CHIPS)] = 1
    """ranks that share one sequence's cache"""
    expert: Annotated[int | str, whole_or("expert", "whole", most=MOST_CHIPS)] = 1
    """groups that whole experts are dealt to; whole: as many as chips; 1: every expert is sliced"""
    batch: Annotated[int, whole("batch", most=MOST_SEQUENCES)] = 1
    """sequences in the step, over the whole design"""
    context: Annotated[int, whole("context", most=MOST_POSITIONS)] = 8192
    """cached positions per sequence (prefill: length of the prompt unless --prompt says otherwise)
    """
    phase: Annotated[str, one_of("phase", ("decode", "prefill"))] = "decode"
    """decode or prefill"""
    prompt: Annotated[int, whole("prompt", most=MOST_POSITIONS)] | None = None
    """positions of a prompt (prefill)"""
    cached: Annotated[float, number("cached", "", 0.0, 0.999999, include_low=True)] | None = None
    """share of the prompt already in the cache (prefill)"""
    weight_bits: WeightBits = None
    """bits of all weights; as the model's file says unless told"""
    expert_weight_bits: ExpertWeightBits = None
    """bits of routed experts' weights; those of all weights, or as the file says"""
    kv_bits: KVBits = None
    """bits of a cached element; as the file says unless told"""
    activation_bits: ActivationBits = None
    """bits of an activation; arithmetic runs at the wider of weights and activations; as the file
    says unless told"""
    execution: (
        Annotated[str, one_of("execution", ("operatorwise", "limit", "dataflow", "calibrated"))]
        | None
    ) = None
    """how operators follow each other; calibrated, the default for machines that exist: fitted to
    measurements, with intervals; operatorwise: attainable rates; limit: the limit study of arXiv
    2507.14397"""
    profile: str | None = None
    """calibration profile (execution calibrated): a shipped name or the path of one of your own;
    the newest shipped one unless told"""
    engine: str | None = None
    """serving software (execution calibrated), such as vllm, sglang or tensorrt-llm; left out, vllm
    on machines of NVIDIA and AMD, and on others any, with intervals as wide as that"""
    compare_executions: bool = False
    """also the limit study, operator-wise and calibrated times side by side, by part"""
    kv_split: Annotated[str, one_of("kv-split", ("heads", "ideal"))] = "heads"
    """heads: caches are replicated beyond the KV heads; ideal: divided without limit"""
    collective: Annotated[tuple[str, ...], some_of("collective", ALL_REDUCES, "auto")] = (
        "one-shot",
        "two-shot",
    )
    """all-reduce algorithms on offer, the fastest is taken; auto: all, in-network reduction
    included"""
    syncs_per_layer: (
        Annotated[float, number("syncs-per-layer", "", 0.0, MOST_SYNCS, include_low=True)] | None
    ) = None
    """exposed syncs of a layer (execution limit; 3 unless told)"""
    syncs_per_expert_layer: (
        Annotated[float, number("syncs-per-expert-layer", "", 0.0, MOST_SYNCS, include_low=True)]
        | None
    ) = None
    """further exposed syncs of a layer with experts (execution limit; 0 unless told)"""
    nominal_parameters: Annotated[bool | float, flag_or_count("nominal-parameters")] = False
    """round parameter count as papers use it, or a count of your own; exact otherwise"""
    memory_bandwidth: str | None = None
    """what if: bandwidth of a chip's memory, such as "8 TB/s", instead of the device's own"""
    memory_capacity: str | None = None
    """what if: capacity of a chip's memory, such as "192 GB" """
    peak_flops: str | None = None
    """what if: dense rate of a chip at the width of the products, such as "2 PFLOP/s" """
    link_bandwidth: str | None = None
    """what if: bandwidth of a chip's scale-up links, one direction, such as "64 GB/s" for PCIe5;
    latency: --sync-latency-us"""
    scale_up_domain: Annotated[int, whole("scale-up-domain")] | None = None
    """what if: chips that the scale-up links join; beyond them the scale-out network carries"""
    pool_capacity: str | None = None
    """memory behind a chip's main one, such as "512 GB" of its host; needs --pool-bandwidth"""
    pool_bandwidth: str | None = None
    """what a chip streams from its pool, such as "80 GB/s" """
    weights_in_pool: Annotated[float, number("weights-in-pool", "", 0.0, 1.0, include_low=True)] = (
        0.0
    )
    """share of the weights kept in the pool"""
    state_in_pool: Annotated[float, number("state-in-pool", "", 0.0, 1.0, include_low=True)] = 0.0
    """share of the cache kept in the pool"""
    node: str | None = None
    """logic process of prices, area and energy (not of speed); the device's own unless told, as for
    memory and link"""
    memory: str | None = None
    """memory technology of prices, area and energy; speed and capacity stay the device's
    (--memory-bandwidth changes them)"""
    link: str | None = None
    """link technology of prices, area and energy; speed stays the device's (--link-bandwidth,
    --sync-latency-us change it)"""
    pool: str = "photonic-pool"
    """memory technology of the pool's price and energy"""
    cooling: str = "cold-plate"
    """cooling technology"""
    price_basis: Annotated[str, one_of("price-basis", ("builder", "buyer"))] = "builder"
    """builder: bill of materials; buyer: one vendor markup on it"""
    promise_ms: Annotated[float, number("promise-ms", "ms")] | None = None
    """longest time per output token (prefill: to the first token)"""
    sync_latency_us: (
        Annotated[float, number("sync-latency-us", "us", 1e-6, 1e9, include_low=True)] | None
    ) = None
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
                    raise Refused(
                        f"--{option} is given with --phase decode; expected it only with --phase"
                        " prefill"
                    )
        for option in ("syncs_per_layer", "syncs_per_expert_layer"):
            if getattr(self, option) is not None and self.execution != "limit":
                name = option.replace("_", "-")
                raise Refused(
                    f"--{name} is given with --execution {self.execution or 'calibrated'}; expected"
                    " --execution limit"
                )
        for option in ("profile", "engine"):
            if (
                getattr(self, option) is not None
                and self.execution not in (None, "calibrated")
                and not self.compare_executions
            ):
                raise Refused(
                    f"--{option} is given with --execution {self.execution}; expected --execution"
                    " calibrated"
                )
        return divide(self.chips, self.tensor, self.pipeline, self.context_parallel, self.data)

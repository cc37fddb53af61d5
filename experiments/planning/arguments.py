"""The options that state a demand and the machines on offer."""

import dataclasses
from typing import Annotated

from experiments.points.widths import ActivationBits, ExpertWeightBits, KVBits, WeightBits
from experiments.scenarios.sizes import MOST_POSITIONS, MOST_SEQUENCES
from experiments.terminal.arguments import number, one_of, whole

BY = ("cost", "per-dollar", "per-watt", "chips", "speed")
MOST_PLANNED = 1024
"""Chips of an answer: layouts are enumerated."""

MOST_DRAFTED = 64


@dataclasses.dataclass(frozen=True)
class PlanArguments:
    """A model, requests, promises, and machines."""

    model: str
    """shipped name (codesign list models), or path of a config.json, its folder, or a TOML file"""
    prompt: Annotated[int, whole("prompt", most=MOST_POSITIONS)]
    """positions of a prompt"""
    output: Annotated[int, whole("output", most=MOST_POSITIONS)]
    """tokens of an output"""
    devices: str = "all"
    """all (of data centres), or catalogue names and paths of TOML files joined by commas"""
    cached: Annotated[float, number("cached", "", 0.0, 0.999999, include_low=True)] = 0.0
    """share of a prompt already in the cache"""
    rate: str | None = None
    """requests of all users, such as "200/min", "3.5/s"; left out: as many as one instance serves
    """
    users: Annotated[int, whole("users", most=MOST_SEQUENCES)] | None = None
    """requests at a time instead of a rate"""
    promise: str | None = None
    """longest mean time per token of a user, such as "33 ms" """
    first_promise: str | None = None
    """longest mean time to the first token, waiting included, such as "1 s" """
    by: Annotated[str, one_of("by", BY)] = "cost"
    """rank by cost of a token, tokens/s per dollar or watt, fewest chips, or speed of one user"""
    max_chips: Annotated[int, whole("max-chips", most=MOST_PLANNED)] = 64
    """most chips of an answer, all instances together"""
    disaggregate: bool = False
    """also prefill and decode on instances of their own"""
    hourly: str | None = None
    """own price of a chip-hour with everything in it [USD/h]: "2.2", or "h100=2.2,rtx-4090=0.4" """
    price: str | None = None
    """own price of a chip with its share of server and network [USD]: as --hourly"""
    price_basis: Annotated[str, one_of("price-basis", ("builder", "buyer"))] = "builder"
    """builder: bill of materials; buyer: one vendor markup on it"""
    execution: Annotated[
        str, one_of("execution", ("calibrated", "operatorwise", "dataflow", "limit"))
    ] = "calibrated"
    """how operators follow each other; calibrated: as measured, with 90 % intervals"""
    profile: str | None = None
    """calibration profile; the newest shipped one unless told"""
    engine: str | None = None
    """serving software (execution calibrated), such as vllm, sglang or tensorrt-llm; left out: vllm
    on NVIDIA and AMD, where it has most measurements"""
    weight_bits: WeightBits = None
    """bits of all weights; as the model's file says unless told"""
    expert_weight_bits: ExpertWeightBits = None
    """bits of routed experts' weights"""
    kv_bits: KVBits = None
    """bits of a cached element"""
    activation_bits: ActivationBits = None
    """bits of an activation"""
    draft: Annotated[int, whole("draft", least=0, most=MOST_DRAFTED)] = 0
    """tokens drafted a step; needs --acceptance"""
    acceptance: Annotated[float, number("acceptance", "", 0.0, 1.0, include_low=True)] | None = None
    """chance that a drafted token is accepted, given that all before it were"""
    draft_cost: Annotated[float, number("draft-cost", "", 0.0, 1.0, include_low=True)] | None = None
    """draft model over the model; one of its layers unless told (EAGLE, multi-token prediction)"""
    link_bandwidth: str | None = None
    """what if: scale-up bandwidth of a chip, one direction, such as "64 GB/s" for PCIe5"""
    scale_up_domain: Annotated[int, whole("scale-up-domain")] | None = None
    """what if: chips that the scale-up links join"""
    chunk: Annotated[int, whole("chunk", most=MOST_POSITIONS)] = 2048
    """positions prefilled between two decode steps"""
    largest_batch: bool = False
    """one line: most sequences at a time that fit and keep the promises"""
    largest_context: bool = False
    """one line: longest prompt that fits and keeps the promises, for --users (1 unless told)"""
    fewest_chips: bool = False
    """one line: fewest chips that fit and keep the promises"""
    break_even: str | None = None
    """one line: "A,B": price of an hour of B at which its tokens cost what those of A do"""
    gain: str | None = None
    """one line: "OPTION=VALUE": what changes with another option, such as "kv-bits=8" """
    show_layouts: bool = False
    """layouts of the best device, ranked, with what each loses against the best"""
    why: bool = False
    """where the time of the best goes, and why devices that cannot serve cannot"""
    csv: str | None = None
    """also write every device (with --show-layouts: every layout kept) to this file"""
    json: bool = False
    """only JSON on standard output"""

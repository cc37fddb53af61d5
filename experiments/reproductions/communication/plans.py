"""Plans of so many chips for one request: what they send, and how long it takes."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import RealArray
from codesign.performance.messages import messages, traffic
from codesign.workload.operators import OperatorTable
from experiments.points.arguments import PointArguments
from experiments.points.operating_point import OperatingPoint, operating_point
from experiments.terminal.refusal import INFEASIBLE, Refused

NODE = 4
"""GPUs of a node (arXiv 2507.14392: four H100 on NVLink, nodes on InfiniBand NDR400)."""


class Request(NamedTuple):
    """Equal requests, all at once."""

    prompt: int = 128
    output: int = 128
    batch: int = 1


class Found(NamedTuple):
    """One plan for a request."""

    tensor: int
    pipeline: int
    traffic: float  # of all chips for all requests of the batch [B]
    first: float  # time to the first token [s]
    token: float  # time between tokens [s]
    end: float  # prompt to last token [s]
    fits: bool  # weights and caches do

    @property
    def name(self) -> str:
        """``TP4 PP2``."""
        parts = [f"TP{self.tensor}"] * (self.tensor > 1) + [f"PP{self.pipeline}"] * (
            self.pipeline > 1
        )
        return " ".join(parts) or "one chip"


def layouts(chips: int) -> list[tuple[int, int]]:
    """Tensor and pipeline degrees, powers of two of the tensor degree first to last, that multiply
    to the chips."""
    degrees = [t for t in range(1, chips + 1) if chips % t == 0]
    return [(t, chips // t) for t in degrees]


@functools.cache
def point(name: str, device: str, chips: int, pipeline: int) -> OperatingPoint:
    """Machine, model and execution at 16 bit, nodes of four chips."""
    arguments = PointArguments(
        model=name,
        device=device,
        chips=chips,
        pipeline=pipeline,
        weight_bits=16.0,
        kv_bits=16.0,
        activation_bits=16.0,
        scale_up_domain=NODE,
    )
    return operating_point(arguments, arguments.parallelism())


@functools.cache
def table_of(name: str, device: str) -> OperatorTable:
    """The operator table of a model at 16 bit."""
    at = point(name, device, 1, 1)
    return codesign.operator_table(
        at.workload.model,
        at.workload.precision,
        slice_columns=at.technology.attainable.slice_columns,
    )


@compiled(SELDOM)
def _times(parts: tuple, table: OperatorTable, request: RealArray) -> RealArray:
    """Prefill of the prompts, a decode step halfway through the output [s], and how far weights and
    caches overfill the fullest chip, ln(needed / there) [1]."""
    design, model, precision, plan, technology, execution = parts
    prompt, output, batch = request
    phases = (
        codesign.Prefill(batch=batch, prompt=prompt),
        codesign.Decode(batch=batch, context=prompt + 0.5 * output),
    )
    prefill, decode = (
        codesign.evaluate_table(
            design, table, codesign.Workload(model, phase, precision), plan, technology, execution
        )
        for phase in phases
    )
    return jnp.stack([prefill.step_time, decode.step_time, decode.limits.capacity])


def times(
    name: str,
    device: str,
    tensor: int,
    pipeline: int,
    request: Request,
    between_nodes: float | None = None,
) -> Found:
    """Run a request on one plan; ``between_nodes`` replaces the latency of that network [s].

    A pipeline's stages work one after the other for one sequence; with several, each stage has its
    own. The first token comes after the prefill and the host's work on a request.
    """
    at = point(name, device, tensor * pipeline, pipeline)
    work = at.workload
    design = at.design
    if between_nodes is not None:
        design = dataclasses.replace(design, scale_out_latency=jnp.asarray(between_nodes))
    parts = (design, work.model, work.precision, at.plan, at.technology, at.execution)
    asked = jnp.asarray([float(each) for each in request])
    table = table_of(name, device)
    prefill, decode, overfull = (float(each) for each in _times(parts, table, asked))
    first = prefill + float(at.execution.request_time())
    prompts = codesign.Prefill(batch=request.batch, prompt=request.prompt)
    step = codesign.Decode(batch=request.batch, context=request.prompt)
    sent = traffic(messages(table, prompts, tensor, pipeline)) + (request.output - 1) * traffic(
        messages(table, step, tensor, pipeline)
    )
    end = first + (request.output - 1) * decode
    return Found(tensor, pipeline, sent, first, decode, end, overfull <= 0.0)


def offered(name: str, device: str, chips: int, request: Request) -> list[Found]:
    """Every plan of so many chips."""
    return [times(name, device, *degrees, request) for degrees in layouts(chips)]


def best(found: Sequence[Found]) -> tuple[Found, Found]:
    """The plan that sends least, and the one that is done first, of those that fit.

    Raises:
        Refused: none fits (exit code 3).
    """
    fitting = [each for each in found if each.fits]
    if not fitting:
        raise Refused(
            "weights and caches fit no plan of so many chips; expected more of them (--chips)",
            INFEASIBLE,
        )
    least = min(fitting, key=lambda each: each.traffic)
    fastest = min(fitting, key=lambda each: each.end)
    return least, fastest

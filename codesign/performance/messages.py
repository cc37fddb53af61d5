"""What passes between chips in one pass through a model: how many messages, their shapes, their
bytes.

The counts are those of vLLM under tensor parallelism t, pipeline parallelism p and both (arXiv
2507.14392 characterises them; formulas in their standard form), with L layers, m rows, hidden width
h, vocabulary v, b bytes an element:

    all-reduce   2L + 1                [m, h]      2 (t − 1)/t · m·h·b sent by each of t chips
    gather       1                     [n, v/t]    (t − 1) · n·v·b/t to the chip that samples
    send         2 (p − 1) by t chips  [m, h/t]    hidden state and residual
    all-gather   2 (p − 1)             [m, h]      (t − 1)/t · m·h·b sent by each of t chips

``communication`` prices the same pattern in seconds.
"""

from typing import NamedTuple

from codesign.workload import phases
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Phase


class Message(NamedTuple):
    """Equal messages of one pass of a batch through all stages."""

    name: str
    count: float  # in a pass [1]
    rows: float  # of the tensor [1]
    width: float  # of the tensor on a chip that takes part, in elements [1]
    size: float  # of the tensor [B]
    wire: float  # sent by all chips together for all of them [B]


def messages(
    table: OperatorTable, phase: Phase, tensor: int, pipeline: int, element: float = 2.0
) -> list[Message]:
    """Count the messages of one pass.

    Args:
        table: the model; its activations state the bytes of a hidden state.
        phase: what the pass does, with concrete numbers.
        tensor: tensor-parallel degree t ≥ 1.
        pipeline: pipeline stages p ≥ 1.
        element: bytes of an activation [B].

    Returns:
        Those that occur, of all stages together.

    Raises:
        ValueError: a degree below one.

    >>> import codesign
    >>> llama = codesign.model("llama-3.1-8b")
    >>> table = codesign.operator_table(llama, codesign.uniform(16))
    >>> reduce, *_ = messages(table, codesign.Decode(batch=1, context=128), tensor=4, pipeline=1)
    >>> reduce.count, (reduce.rows, reduce.width), reduce.size
    (65.0, (1.0, 4096.0), 8192.0)
    """
    if tensor < 1 or pipeline < 1:
        raise ValueError(f"tensor {tensor!r}, pipeline {pipeline!r}: expected at least 1 each")
    rows, sampled = float(phases.rows(phase)), float(phases.head_rows(phase))
    hidden, logits = float(table.hidden_bytes), float(table.logit_bytes)
    layers, away = float(table.layers), (tensor - 1) / tensor
    reductions, hops = 2.0 * layers + 1.0, 2.0 * (pipeline - 1)
    whole, part = rows * hidden, hidden / element / tensor
    share = logits / element / tensor
    found = [
        Message("all-reduce", reductions, rows, hidden / element, whole,
                reductions * 2.0 * away * whole * tensor),
        Message("gather", 1.0, sampled, share, sampled * share * element,
                away * sampled * logits),
        Message("send", hops * tensor, rows, part, whole / tensor, hops * whole),
        Message("all-gather", hops, rows, hidden / element, whole, hops * away * whole * tensor),
    ]  # fmt: skip
    return [each for each in found if each.count > 0 and each.wire > 0]


def traffic(found: list[Message]) -> float:
    """Bytes that all chips send together [B]."""
    return sum(each.wire for each in found)

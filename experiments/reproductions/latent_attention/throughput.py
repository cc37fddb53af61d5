"""Tokens/s per device of a model on 32 B200 at its best batch, decode only, BF16."""

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.workload.operators import OperatorTable

DEVICE, CHIPS = "b200", 32
BATCHES = 2.0 ** np.arange(5, 17)
TENSOR_WITHOUT_EXPERTS = 8
"""A dense model is sliced over a node; the nodes share the batch."""


@compiled(SELDOM)
def _speeds(
    work: codesign.Transformer,
    table: OperatorTable,
    technology: codesign.Technology,
    design: codesign.Design,
    data: Real,
    batches: Real,
    context: Real,
) -> Real:
    expert = codesign.WHOLE_EXPERTS if table.has_experts else 1.0
    plan = codesign.Plan(data=data, expert=expert)

    def one(batch: Real) -> Real:
        phase = codesign.Decode(batch=batch, context=context)
        workload = codesign.Workload(work, phase, codesign.uniform(16))
        found = codesign.evaluate_table(
            design, table, workload, plan, technology, codesign.Operatorwise()
        )
        return jnp.where(found.fits_memory, found.system_tokens_per_second, 0.0)

    return jax.vmap(one)(batches)


def per_device(name: str, context: float, device: str = DEVICE) -> float:
    """Most tokens/s of a device over all batches that fit [token/s]."""
    work = codesign.model(name)
    table = codesign.operator_table(work, codesign.uniform(16))
    machine = hardware_priors.device(device)
    technology = hardware_priors.technology_of(machine)
    data = CHIPS if table.has_experts else CHIPS / TENSOR_WITHOUT_EXPERTS
    asked = (jnp.asarray(float(data)), jnp.asarray(BATCHES), jnp.asarray(float(context)))
    speeds = _speeds(work, table, technology, machine.design(CHIPS, 16), *asked)
    return float(np.max(np.asarray(speeds))) / CHIPS

"""From step times to a service: waiting, time to first token, time per token, capacity.

Means only: tails, congestion and the order in which a scheduler takes requests are not modelled.
"""

import equinox as eqx
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, at_most, lesser


class Service(eqx.Module):
    """What one instance (aggregated) or one set of pools (disaggregated) delivers."""

    time_to_first_token: Real  # [s]
    time_per_token: Real  # [s]
    requests_per_second: Real  # [1/s] capacity
    goodput: Real  # [1/s] largest rate that keeps both promises in the mean, 0 if none does


@declares(Curvature.CONVEX, service=(1e-4, 1e2), utilisation=(1e-3, 0.999))
def waiting_time(service: Real, utilisation: Real) -> Real:
    """Mean wait of Poisson arrivals at one server of constant service time: ρ/(2(1 − ρ)) of it
    (Pollaczek–Khinchine) [s]."""
    rho = at_most(at_least(utilisation, 0.0), 1.0 - 1e-6)
    return service * rho / (2.0 * (1.0 - rho))


def utilisation_within(service: Real, wait: Real) -> Real:
    """Largest utilisation at which the mean wait stays within ``wait``: 2w/(s + 2w), 0 for no time
    to wait [1]."""
    patience = at_least(wait, 0.0)
    return 2.0 * patience / (service + 2.0 * patience)


def transfer_time(cache: Real, sending: Design, receiving: Design, link_efficiency: Real) -> Real:
    """Time to move one prompt's cache between instances over the scale-out network, all chips of
    the smaller side at once [s].

    Args:
        cache: what is moved (``load.prompt_cache``) [B].
        sending: the machine that filled it.
        receiving: the machine that decodes.
        link_efficiency: attainable share of the network's bandwidth [1].
    """
    sent, received = (
        machine.chips * machine.scale_out_bandwidth for machine in (sending, receiving)
    )
    return cache / (lesser(sent, received) * link_efficiency)


def aggregated(
    decode: Real,
    prefill: Real,
    chunks: Real,
    tokens: Real,
    batch: Real,
    output: Real,
    load: Real,
    first_promise: Real,
    token_promise: Real,
    waited: Real = 1.0,
    request: Real = 0.0,
) -> Service:
    """Prefill chunks interleaved with decode steps on the same chips.

    Every sequence that ends after ``output`` tokens makes room for one prefill, so a decode step
    carries batch · tokens / output prefills: 1/throughput = decode/batch + prefill/output. A prompt
    of k chunks waits for k decode steps on its way.

    Args:
        decode: time of a decode step [s].
        prefill: time of one prompt's prefill alone [s].
        chunks: chunks of a prompt [1].
        tokens: tokens a step yields per sequence [1].
        batch: sequences decoding [1].
        output: tokens per request [1].
        load: offered load over capacity [1].
        first_promise, token_promise: longest allowed times [s].
        waited: share of the prefills that decode steps wait for [1].
        request: host time from a request to its first token, beside the prefill [s].
    """
    step = decode + batch * tokens / output * waited * prefill
    capacity = batch * tokens / (output * step)
    alone = prefill + chunks * decode
    first = request + alone + waiting_time(alone, load)
    within = utilisation_within(alone, first_promise - alone - request)
    per_token = step / tokens
    kept = (request + alone <= first_promise) & (per_token <= token_promise)
    return Service(first, per_token, capacity, goodput=jnp.where(kept, within * capacity, 0.0))


def disaggregated(
    decode: Real,
    prefill: Real,
    transfer: Real,
    tokens: Real,
    batch: Real,
    output: Real,
    load: Real,
    prefill_instances: Real,
    decode_instances: Real,
    first_promise: Real,
    token_promise: Real,
    request: Real = 0.0,
) -> Service:
    """Separate pools: a prompt is prefilled, its cache moved, its output decoded elsewhere.

    The slower pool sets the capacity. Arguments as for ``aggregated``; ``transfer`` is the time to
    move a prompt's cache [s].
    """
    prefill_capacity = prefill_instances / prefill
    decode_capacity = decode_instances * batch * tokens / (output * decode)
    capacity = lesser(prefill_capacity, decode_capacity)
    busy = capacity / prefill_capacity  # of the prefill pool when the service runs at capacity
    alone = request + prefill + transfer
    first = alone + waiting_time(prefill, load * busy)
    within = at_most(utilisation_within(prefill, first_promise - alone) / busy, 1.0)
    per_token = decode / tokens
    kept = (alone <= first_promise) & (per_token <= token_promise)
    return Service(first, per_token, capacity, goodput=jnp.where(kept, within * capacity, 0.0))

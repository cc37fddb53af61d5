"""How rows travel to whole experts and back: dispatch and combine.

Engines send a row to the experts in the width at which these take it, 8 bits at the least, and the
results back in the width of messages; and a row crosses to another scale-up domain once, however
many of its experts live there, and is dealt on inside it (DeepSeek-V3, arXiv 2412.19437, §3.2.2;
DeepEP, github.com/deepseek-ai/DeepEP).
"""

import dataclasses

import jax.numpy as jnp

from codesign.numerics.fields import Real
from codesign.numerics.ties import greater, lesser
from codesign.performance.collectives import Cost, Network, all_to_all


def dispatch_and_combine(
    network: Network, n: Real, row: Real, active: Real, rows: Real, narrower: Real
) -> Cost:
    """Send every row of a chip to its experts, spread evenly over n chips, and bring the results
    back.

    With N = n / domain domains, a row goes to (N − 1)(1 − (1 − 1/N)^k) others on average for k
    active experts; inside, each of its k copies takes a hop. Both tiers work at the same time.

    Args:
        network: both tiers.
        n: chips of the stage [1].
        row: bytes of a row in the width of messages [B].
        active: experts that a row is sent to [1].
        rows: of one chip [1].
        narrower: width of what is sent out over that of messages [1].
    """
    both = 1.0 + narrower
    copies = rows * active * row
    inside = all_to_all(network, n, copies)
    inner = lesser(n, network.domain)
    domains = n / inner
    beyond = n > inner
    stays = jnp.where(beyond, 1.0 - 1.0 / jnp.where(beyond, domains, 2.0), 0.5)
    visited = (domains - 1.0) * (1.0 - jnp.exp(active * jnp.log(stays)))
    near, far = (inner - 1.0) / inner * copies, visited * rows * row
    across = dataclasses.replace(
        inside,
        transfer=greater(near / network.inner_bandwidth, far / network.outer_bandwidth),
        wire=near + far,
    )
    one = Cost(
        **{
            field.name: jnp.where(beyond, getattr(across, field.name), getattr(inside, field.name))
            for field in dataclasses.fields(Cost)
        }
    )
    return dataclasses.replace(
        one,
        latency=2.0 * one.latency,
        syncs=2.0 * one.syncs,
        transfer=both * one.transfer,
        wire=both * one.wire,
        inner=both * one.inner,
    )

"""Maps over context and batch: what an objective gains from each quantity of a machine, and what
binds the step.

Run: python -m experiments.sensitivity.maps map.png --model M --device D --chips N [--objective O].
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Truth
from codesign.sensitivity.inputs import Inputs, fleet_at
from experiments.points.arguments import PointArguments
from experiments.points.breakdown import RESOURCES
from experiments.sensitivity.points import of_flags
from experiments.terminal.screen import plain
from objectives import Objective, objective

QUANTITIES = ("memory_bandwidth", "peak_flops", "sync_latency", "link_bandwidth")
CONTEXTS = tuple(2**k for k in range(10, 18))
BATCHES = tuple(2**k for k in range(0, 11, 2))


class Map(NamedTuple):
    """Elasticities (quantities, contexts, batches) [1], what takes most of the step (contexts,
    batches; places in ``RESOURCES``), and whether weights and caches fit."""

    elasticities: np.ndarray
    bound: np.ndarray
    fits: np.ndarray


def context_batch_map(inputs: Inputs, wanted: Objective) -> Map:
    """Take elasticities of an objective and the binding resource on a grid of contexts and batches
    of a decode step.

    Args:
        inputs: one machine that decodes; its context and batch are replaced.
        wanted: the objective.
    """

    @compiled(SELDOM)
    def at(context: Array, batch: Array) -> tuple[Array, Array, Array]:
        def log_value(moves: Array) -> tuple[Array, tuple[Array, Truth]]:
            design = inputs.designs[0]
            moved = eqx.tree_at(
                lambda d: [getattr(d, name) for name in QUANTITIES],
                design,
                [
                    getattr(design, name) * jnp.exp(move)
                    for name, move in zip(QUANTITIES, moves, strict=True)
                ],
            )
            tree = eqx.tree_at(lambda i: i.designs, inputs, (moved,))
            tree = eqx.tree_at(
                lambda i: (i.services[0].phase.context, i.services[0].phase.batch),
                tree,
                (context, batch),
            )
            fleet = fleet_at(tree)
            step, totals = fleet.outcomes[0].step, fleet.totals
            times = jnp.stack([step.memory, step.compute, step.vector])
            first = jnp.argmax(times, axis=0)
            spent = step.operators - step.floor
            parts = [jnp.sum(jnp.where(first == k, spent, 0.0)) for k in range(3)]
            parts += [step.latency.sum(), step.transfer.sum(), step.floor.sum(), step.host]
            told = jnp.argmax(jnp.stack(parts)), fleet.outcomes[0].limits.capacity <= 0.0
            return jnp.log(wanted(totals)), told  # pyright: ignore[reportArgumentType]

        slopes, (bound, fits) = jax.jacfwd(log_value, has_aux=True)(jnp.zeros(len(QUANTITIES)))
        return slopes, bound, fits

    cells = [
        [at(jnp.asarray(float(context)), jnp.asarray(float(batch))) for batch in BATCHES]
        for context in CONTEXTS
    ]
    slopes, bound, fits = (
        np.array([[np.asarray(cell[k]) for cell in row] for row in cells]) for k in range(3)
    )
    return Map(np.moveaxis(slopes, 2, 0), bound, fits)


def draw_map(path: Path, found: Map, title: str, wanted: Objective) -> None:
    """Draw a heat map a quantity, and the regimes; what does not fit is hatched.

    Args:
        path: file to write.
        found: the map.
        title: of the picture.
        wanted: the objective.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    figure, axes = pyplot.subplots(1, len(QUANTITIES) + 1, figsize=(16.0, 4.4), sharey=True)
    for axis, name, values in zip(axes, QUANTITIES, found.elasticities, strict=False):
        image = axis.imshow(values, cmap="PuOr", vmin=-1.0, vmax=1.0, aspect="auto", origin="lower")
        for (i, j), value in np.ndenumerate(values):
            axis.text(j, i, f"{value:+.2f}", ha="center", va="center", fontsize=6)
        axis.set_title(name.replace("_", " "), fontsize=10)
    figure.colorbar(image, ax=axes[len(QUANTITIES) - 1])
    colours = ListedColormap(
        ["#0072b2", "#d55e00", "#cc79a7", "#f0e442", "#009e73", "#999999", "#56b4e9"]
    )
    axes[-1].imshow(found.bound, cmap=colours, vmin=-0.5, vmax=6.5, aspect="auto", origin="lower")
    for (i, j), value in np.ndenumerate(found.bound):
        axes[-1].text(j, i, RESOURCES[int(value)], ha="center", va="center", fontsize=6)
    axes[-1].set_title("takes most time", fontsize=10)
    for axis in axes:
        axis.set_xticks(range(len(BATCHES)), [str(batch) for batch in BATCHES], fontsize=8)
        axis.set_xlabel("batch [1]")
        for (i, j), fits in np.ndenumerate(found.fits):
            if not fits:
                axis.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, hatch="///", lw=0))
    axes[0].set_yticks(range(len(CONTEXTS)), [f"{context:,}" for context in CONTEXTS], fontsize=8)
    axes[0].set_ylabel("context [1]")
    shown = f"{plain(title)}: elasticities of {wanted.name} [1]; hatched: does not fit"
    figure.suptitle(shown.replace("$", r"\$"), fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main(words: list[str]) -> None:
    """Draw the map of one machine."""
    import tyro

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--objective", default="tokens/s/$")
    known, rest = parser.parse_known_args(words)
    point = of_flags(tyro.cli(PointArguments, args=rest, config=(tyro.conf.FlagCreatePairsOff,)))
    wanted = objective(known.objective)
    title = point.title.rpartition(", batch")[0]
    draw_map(known.picture, context_batch_map(point.inputs, wanted), title, wanted)
    print(f"Written: {known.picture}")


if __name__ == "__main__":
    from experiments.cli import prepare_jax

    prepare_jax()
    main(sys.argv[1:])

"""Rows of measured kernels: what each kind of row says."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from codesign.calibration.features import StepWork
from codesign.calibration.fit import Block
from codesign.calibration.layers import membership
from codesign.calibration.service import step_seconds
from codesign.performance.calibrated import (
    ATTENTION,
    EXPERTS,
    LATENT,
    PRODUCT,
    PROMPT,
    ChipRates,
)
from codesign.performance.kernel_coefficients import from_logs


def _log_seconds(logs: jax.Array, work: StepWork, rates: ChipRates) -> jax.Array:
    return jnp.log(step_seconds(work, rates, from_logs(logs)))


predict = jax.jit(jax.vmap(jax.value_and_grad(_log_seconds)))
"""Logarithms of rows' times, and their derivatives by the coefficients' logarithms."""


WIDTHS = {
    "bfloat16": (16.0, 16.0, 16),
    "fp8": (8.0, 8.0, 8),
    "fp8_block": (8.0, 8.0, 8),
    "nvfp4": (4.5, 4.0, 4),
    "int8_wo": (8.0, 16.0, 16),
    "int4_wo": (4.5, 16.0, 16),
    "sq": (8.0, 8.0, 8),
    "w4a16_mxfp4": (4.25, 16.0, 16),
    "w4a8_mxfp4_mxfp8": (4.25, 8.0, 8),
}
"""Bits of weights and activations, and width of the arithmetic, by data type."""


@dataclasses.dataclass(frozen=True)
class KernelRows:
    """Kernel measurements of one kind."""

    kind: str
    work: StepWork
    rates: ChipRates
    seconds: np.ndarray
    keys: list[dict[str, str]]
    shape: np.ndarray  # a number for each shape: rows of one shape are left out together

    @property
    def coefficient(self) -> str:
        """One of the coefficients that the table teaches."""
        kind = None if not np.any(self.work.kernels.kernels) else int(self.work.kernels.kind[0, 0])
        names = {
            PRODUCT: "product_floor",
            ATTENTION: "attention_floor",
            PROMPT: "prompt_floor",
            LATENT: "latent_floor",
            EXPERTS: "expert_floor",
        }
        return "sync_base" if kind is None else names[kind]

    def take(self, chosen: np.ndarray) -> "KernelRows":
        """Some of the rows."""
        work, rates = jax.tree.map(lambda leaf: leaf[chosen], (self.work, self.rates))
        return KernelRows(
            self.kind,
            work,
            rates,
            self.seconds[chosen],
            [self.keys[k] for k in chosen],
            self.shape[chosen],
        )

    def block(self, index: dict[str, int], spread: float) -> Block:
        """The rows as a block of a fit."""
        members, _ = membership(self.keys, index, {})

        def read(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, slopes = predict(jnp.asarray(logs), self.work, self.rates)
            return np.asarray(values), np.asarray(slopes)

        return Block(members, np.log(self.seconds), np.full(len(self.seconds), spread), read)

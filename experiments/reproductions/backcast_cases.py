"""Machines of their year, and what was published of them."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import equinox as eqx

import codesign
import hardware_priors
from codesign.numerics.units import MILLI

OBJECTIVES = ("$/token", "tokens/s/W", "tokens/s/user")


WIDEST = {
    "memory_bandwidth": (0.5e12, 50e12),
    "memory_capacity": (8e9, 2e12),
    "peak_flops": (50e12, 20e15),
    "sync_latency": (0.3e-6, 20e-6),
    "link_bandwidth": (20e9, 4e12),
    "clock": (1e-3, 1e3),
}
"""Range of the search (SI), so wide that technology binds and not the box."""


@dataclasses.dataclass(frozen=True)
class Era:
    """What a year could build with: judged from what its device is made of."""

    device: str
    technology: Mapping[str, str]
    dies: float
    domain: float


H100 = Era(
    "h100",
    MappingProxyType(
        {
            "node": "N4",
            "memory": "HBM3",
            "link": "NVLink4",
            "cooling": "air",
            "packaging": "CoWoS-S",
        }
    ),
    dies=1.0,
    domain=8.0,
)


B200 = Era(
    "b200",
    MappingProxyType(
        {
            "node": "N4",
            "memory": "HBM3E",
            "link": "NVLink5",
            "cooling": "cold-plate",
            "packaging": "CoWoS-L",
        }
    ),
    dies=2.0,
    domain=72.0,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """What is designed for: an era, a model and its requests, and the priors that are changed."""

    name: str
    era: Era
    model: str
    bits: float
    """of weights, caches and activations"""
    prompt: float
    output: float
    promise: float = 50 * MILLI
    """longest mean time between a user's tokens [s]; judged: 20 tokens/s, several times the speed
    of reading"""
    price_basis: str = "builder"
    scaled: tuple[tuple[str, float], ...] = ()
    """factors on leaves of the technology, keyed as ``hardware_priors.technology_priors``"""

    def technology(self) -> codesign.Technology:
        """Its technology, changed priors included."""
        found = hardware_priors.technology(**self.era.technology, price_basis=self.price_basis)  # pyright: ignore[reportArgumentType]
        for key, factor in self.scaled:
            part, leaf = key.split(".")
            found = eqx.tree_at(
                lambda t, p=part, q=leaf: getattr(getattr(t, p), q),
                found,
                replace_fn=lambda value, f=factor: value * f,
            )
        return found


CASES = (
    Case("70B", H100, "llama-3.1-70b", 16.0, 2048.0, 256.0),
    Case("175B", H100, "gpt3-175b", 16.0, 1792.0, 256.0),
    Case("405B", B200, "llama-3.1-405b", 8.0, 8192.0, 1024.0),
)
"""Dense models; seven or eight prompt tokens to an output token (judged), and the 175B fills its
window of 2048."""

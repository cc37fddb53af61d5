"""Feed-forward parts of a layer: a dense MLP, and a mixture of experts."""

import abc
import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, Real, quantity, real
from codesign.workload.operator import EXPERT, FEED_FORWARD
from codesign.workload.shapes import Matrix
from codesign.workload.writer import Rows, Writer

_PER_ROUTED_ROW = ("row_flops", "row_vector", "row_exponential", "row_bytes", "whole_row_bytes")


class Routing(NamedTuple):
    """How tokens are dealt to experts."""

    experts: Real  # [1] routed experts
    active: Real  # [1] experts a token is sent to
    weights: Real  # [1] of one routed expert
    input_width: Real  # [1] width of what travels to an expert and back
    shared: Real  # [1] 1 where a shared expert serves every token, else 0


class FeedForwardKind(eqx.Module):
    """Abstract: what serves each position of a layer by itself, by its dimensions.

    A subclass states its ``operators`` and its ``weights``; one with experts says how tokens are
    dealt to them (``routing``).
    """

    @abc.abstractmethod
    def operators(self, write: Writer) -> Rows:
        """Operators of one layer, by name, in the order in which they run.

        Args:
            write: widths of elements [B] and operators that several kinds share.
        """

    @abc.abstractmethod
    def weights(self, hidden: Real) -> Real:
        """All weights of one layer [1].

        Args:
            hidden: width of the model [1].
        """

    def routing(self, hidden: Real) -> Routing | None:
        """How tokens are dealt to experts; None where every token takes all of it."""
        del hidden
        return None


class FeedForward(FeedForwardKind):
    """A dense MLP; ``gated`` has three matrices (SwiGLU, GeGLU), otherwise two."""

    width: Quantity = quantity("1", "intermediate size")
    gated: bool = eqx.field(static=True, default=True)

    def operators(self, write: Writer) -> Rows:
        return write.two_products(self.width, self.gated, "MLP", "dense")

    def weights(self, hidden: Real) -> Real:
        matrices = 3.0 if self.gated else 2.0
        return matrices * hidden * self.width


class MixtureOfExperts(FeedForwardKind):
    """Routed experts, of which ``active`` serve each token, and an optional shared expert that
    serves all.

    ``has_shared = False`` leaves the shared expert's operators out of the table, which only makes
    it shorter. With a ``latent_width`` the routed experts work between two projections that all
    tokens share, hidden → latent → hidden, so that fewer bytes travel to them (Nemotron 3 Super).
    """

    experts: Quantity = quantity("1", "routed experts")
    active: Quantity = quantity("1", "experts a token is sent to")
    width: Quantity = quantity("1", "intermediate size of one routed expert")
    shared_width: Quantity = quantity(
        "1", "intermediate size of all shared experts together", default=0.0
    )
    latent_width: Real | None = quantity(
        "1", "width in which routed experts work, where it is not the model's", default=None
    )
    gated: bool = eqx.field(static=True, default=True)
    has_shared: bool = eqx.field(static=True, default=True)

    def operators(self, write: Writer) -> Rows:
        """Router, routed experts (all stored, of each row only ``active`` multiplied), shared
        expert."""
        rows = [
            ("router", write.product(Matrix("router", write.hidden, self.experts), "attention"))
        ]
        routed = []
        for name, op in write.two_products(
            self.width, self.gated, "experts", "experts", self.expert_input(write.hidden)
        ):
            of_all = {key: getattr(op, key) * self.active for key in _PER_ROUTED_ROW}
            of_all |= {key: getattr(op, key) * self.experts for key in ("stored", "streamed")}
            routed.append((name, dataclasses.replace(op, division=real(EXPERT), **of_all)))
        if self.latent_width is not None:
            slices = write.columns(self.latent_width)
            down = write.product(
                Matrix("", write.hidden, self.latent_width, slices), "shared", FEED_FORWARD
            )
            up = write.product(
                Matrix("", self.latent_width, write.hidden, slices, by_rows=True),
                "shared",
                FEED_FORWARD,
            )
            routed = [("expert latent down", down), *routed, ("expert latent up", up)]
        shared = (
            write.two_products(self.shared_width, self.gated, "shared expert", "shared")
            if self.has_shared
            else []
        )
        return rows + routed + shared

    def weights(self, hidden: Real) -> Real:
        """Matrices of all experts, the shared ones and the router [1]."""
        matrices = 3.0 if self.gated else 2.0
        routed = self.experts * self.expert_weights(hidden)
        latent = 0.0 if self.latent_width is None else 2.0 * hidden * self.latent_width
        return routed + hidden * (matrices * self.shared_width + self.experts) + latent

    def expert_weights(self, hidden: Real) -> Real:
        """Matrices of one routed expert [1]."""
        return (3.0 if self.gated else 2.0) * self.expert_input(hidden) * self.width

    def expert_input(self, hidden: Real) -> Real:
        """Width of what travels to a routed expert and back [1]."""
        return hidden if self.latent_width is None else self.latent_width

    def routing(self, hidden: Real) -> Routing:
        return Routing(
            self.experts,
            self.active,
            self.expert_weights(hidden),
            self.expert_input(hidden),
            jnp.where(self.shared_width > 0, 1.0, 0.0),
        )

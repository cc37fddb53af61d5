"""What a kind of attention says of itself."""

import abc

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Real
from codesign.workload.shapes import Cache, Matrix
from codesign.workload.writer import Rows, Writer


class AttentionKind(eqx.Module):
    """Abstract: what mixes positions in a layer, by its dimensions.

    A subclass states its ``matrices``, the operators of its ``core`` and the elements of a partial
    output (``merged_elements``); what it keeps is nothing unless it says so. Its float fields
    (``quantity``) have gradients, like all dimensions of a model.

    >>> import codesign, jax.numpy as jnp
    >>> class Average(codesign.AttentionKind):  # every token takes the mean of those before it
    ...     def matrices(self, hidden):
    ...         return [codesign.Matrix("output", hidden, hidden, by_rows=True)]
    ...     def core(self, write):
    ...         return [("average", codesign.Operator(row_vector=2.0 * write.hidden))]
    ...     def merged_elements(self):
    ...         return jnp.zeros(())
    >>> float(Average().matrices(jnp.asarray(64.0))[0].weights)
    4096.0
    """

    @abc.abstractmethod
    def matrices(self, hidden: Real) -> list[Matrix]:
        """Projections of one layer, in the order in which they run; the core runs before
        ``output``.

        Args:
            hidden: width of the model [1].
        """

    @abc.abstractmethod
    def core(self, write: Writer) -> Rows:
        """Operators of one layer besides its matrices, by name.

        Args:
            write: widths of elements [B] and operators that several kinds share.
        """

    @abc.abstractmethod
    def merged_elements(self) -> Real:
        """Elements of one row's partial output, with running maximum and sum of each head, that
        ranks exchange which share a sequence [1]."""

    def caches(self) -> list[Cache]:
        """What one layer keeps of every position; a layer that reads another's cache keeps
        nothing."""
        return []

    def recurrent_elements(self) -> Real:
        """Elements of the recurrent state of one sequence in one layer [1]."""
        return jnp.zeros(())

    def convolution_elements(self) -> Real:
        """Inputs that the convolutions of one layer keep of one sequence [1]."""
        return jnp.zeros(())

    def other_weights(self) -> Real:
        """Weights that are no matrix products: convolutions, and the decays of a scan [1]."""
        return jnp.zeros(())

    def whole_heads(self) -> tuple[Real, str] | None:
        """Heads that no engine cuts, and what they are called; None where channels are divided."""
        return None

    def whole_keys(self) -> Real | None:
        """Heads of keys, fewer than those of values, that engines divide too [1]; one is copied to
        every rank."""
        return None

    def cache_heads(self) -> Real | None:
        """Parts over which cache or state divide [1]; None where every rank needs all of it."""
        return None

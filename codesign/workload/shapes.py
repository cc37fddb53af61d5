"""What the parts of a layer consist of: weight matrices, and what is kept of every position.

Parameters, caches and operators are all read off lists of these, so that a new kind of attention
or feed-forward part is described once.
"""

from typing import NamedTuple

from codesign.numerics.fields import Real
from codesign.workload.operator import UNLIMITED


class Matrix(NamedTuple):
    """A weight matrix of ``inner × outer``, block-diagonal where ``blocks`` is more than 1.

    ``slices`` is the largest number of chips that it can be divided over. ``by_rows`` is the second
    of a pair: its input is divided, its output a partial sum. ``rows = False`` is multiplied for
    other rows than those of a step. ``expands`` is multiplied with a cached prefix again in
    prefill.
    """

    name: str
    inner: Real
    outer: Real
    slices: Real = 1.0
    by_rows: bool = False
    blocks: Real = 1.0
    rows: bool = True
    expands: bool = False

    @property
    def weights(self) -> Real:
        """Elements [1]."""
        return self.inner * self.outer / self.blocks


class Cache(NamedTuple):
    """Elements kept of every position that is visible within ``window``; of some parts, one for
    several positions."""

    elements: Real
    window: Real = UNLIMITED

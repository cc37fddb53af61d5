"""How large what users count may be: many times beyond all that runs, within what the model's
arithmetic bears.

A number beyond is a slip of the pen, and is refused by name before it becomes an hour of work or a
result that is no number.
"""

MOST_CHIPS = 1_000_000
"""Chips of one machine; the largest announced clusters have some 100,000 (and are many machines).
"""

MOST_SEQUENCES = 100_000_000
"""Sequences of a batch."""

MOST_POSITIONS = 1_000_000_000
"""Tokens of a context, prompt or output; models are sold with up to ten million."""

FEWEST_BITS = 0.1
"""Of an element, on average; ternary weights take 1.58, the strongest compression published some
0.5 to 1."""

MOST_SYNCS = 1000.0
"""Exposed syncs of a layer."""

"""What an architect would build under two executions: a table of the best designs side by side.

Run: python -m experiments.accuracy.executions SCENARIO … [--like b200] [--prove]

Every scenario is searched operator-wise and as machines were measured; of each front the designs
with most tokens/s/$, most tokens/s/W and most tokens/s to a user are printed, as Markdown. Without
``--prove`` nothing is proved of them; with it the share of designs that are ``GLOBAL`` stands
beside.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from codesign.search import GLOBAL, Front
from experiments.commands.optimize import Optimize, search
from experiments.runs.columns import Column, columns
from experiments.terminal.refusal import Refused

BEST = ("tokens/s/$", "tokens/s/W", "tokens/s/user")
"""What a design may be the best by."""


class Found(NamedTuple):
    """A front under one execution: its columns by name, and what is proved of its designs."""

    columns: dict[str, Column]
    status: Sequence[str]

    @property
    def share(self) -> str:
        """How many designs are proved to be the best over everything."""
        return f"{list(self.status).count(GLOBAL)} of {len(self.status)}"


def front_under(name: str, execution: str, like: str | None, prove: bool) -> Found:
    """Search a built-in scenario, or that of a file, under one execution.

    Raises:
        Refused: no design meets the limits.
    """
    options = Optimize(name, execution=execution, like=like, prove=prove, no_prove=not prove)
    front, _, _ = search(options.stated(), lambda *_: None)
    return found_in(front)


def found_in(front: Front) -> Found:
    """The columns of a front, and its statuses."""
    return Found({column.name: column for column in columns(front)}, front.status)


def design(found: Found, k: int) -> str:
    """One design of one kind of machine in words; of several kinds, chips of each."""
    at = {name: column.values[k] for name, column in found.columns.items()}
    batches = [f"{value:.0f}" for name, value in at.items() if name.endswith("batch")]
    batch = f"batch {'/'.join(batches)}"
    if "memory_bandwidth" not in at:
        kinds = [f"{value:.0f}" for name, value in at.items() if name.endswith(" chips")]
        return f"{' + '.join(kinds)} chips, {batch}"
    return (
        f"{at['chips']:.0f} chips, {batch}, {at['memory_bandwidth'] / 1e12:.1f} TB/s,"
        f" {at['memory_capacity'] / 1e9:.0f} GB, {at['peak_flops'] / 1e15:.1f} PFLOP/s,"
        f" link {at['link_bandwidth'] / 1e12:.2f} TB/s"
    )


def rows(name: str, one: Found | None, other: Found | None) -> Iterator[str]:
    """Lines of the table for one scenario; a front that is not there has no design."""
    for best in BEST:
        cells = []
        for found in (one, other):
            if found is None:
                cells.append("no design")
                continue
            values = np.asarray(found.columns[best].values)
            k = int(np.argmax(values))
            cells.append(f"{values[k]:.3g}: {design(found, k)}")
        yield f"| {name} | {best} | {cells[0]} | {cells[1]} |"


def table(names: Sequence[str], like: str, prove: bool) -> Iterator[str]:
    """The Markdown table, line by line as fronts are found."""
    head = "GLOBAL: operator-wise, calibrated" if prove else ""
    yield f"| scenario | best | operator-wise | calibrated, like {like} |"
    yield "|---|---|---|---|"
    for name in names:
        found: list[Found | None] = []
        for execution, device in (("operatorwise", None), ("calibrated", like)):
            try:
                found.append(front_under(name, execution, device, prove))
            except Refused:
                found.append(None)
        yield from rows(name, *found)
        if head:
            shares = ["-" if one is None else one.share for one in found]
            yield f"| {name} | {head} | {shares[0]} | {shares[1]} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--like", default="b200")
    parser.add_argument("--prove", action="store_true")
    asked = parser.parse_args()
    for line in table(asked.scenarios, asked.like, asked.prove):
        print(line, flush=True)


if __name__ == "__main__":
    from experiments.cli import prepare_jax

    prepare_jax()
    main()

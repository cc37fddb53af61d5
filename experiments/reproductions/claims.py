"""Published claims beside ours, a verdict on each: met, off by x %, or not reproducible and why."""

from collections.abc import Sequence
from typing import NamedTuple

from experiments.reproductions.table import Column, Table

COLUMNS = (
    Column("quantity", width=31),
    Column("published"),
    Column("ours"),
    Column("verdict"),
)

ALONE = "ours alone"
"""The verdict on a result that the paper does not have."""


class Claim(NamedTuple):
    """One row: what is compared (with its unit), what the paper says, what we find, the verdict."""

    quantity: str
    published: float | str | None
    ours: float | str | None
    verdict: str


def compare(quantity: str, published: float, ours: float, tolerance: float = 0.0) -> Claim:
    """Set a number beside a published one.

    Args:
        quantity: its name, with the unit in brackets.
        published: as printed.
        ours: unrounded.
        tolerance: relative difference that still counts as met [1]; at least the rounding of an
            integer as printed.

    >>> compare("speed [token/s]", 86.0, 86.08).verdict
    'met'
    >>> compare("gain [1]", 2.0, 2.2, tolerance=0.05).verdict
    'off by +10 %'
    """
    rounded = float(published).is_integer() and abs(published) >= 10 and round(ours) == published
    apart = ours / published - 1.0
    within = rounded or abs(apart) <= tolerance + 1e-9
    return Claim(quantity, published, ours, "met" if within else f"off by {100 * apart:+.2g} %")


def judge(quantity: str, published: str, ours: str | float, holds: bool, if_not: str = "") -> Claim:
    """Set a finding beside a claim in words; ``if_not`` says why it does not hold."""
    reason = f": {if_not}" if if_not else ""
    return Claim(quantity, published, ours, "met" if holds else f"not met{reason}")


def bound(quantity: str, most: float, ours: float) -> Claim:
    """Set a number beside a published "up to", which it may not exceed.

    >>> bound("gain [1]", 3.66, 4.0).verdict
    'exceeds it by 9.3 %'
    """
    over = 100 * (ours / most - 1.0)
    return Claim(
        quantity,
        f"≤ {most:g}",
        ours,
        "met as a bound" if over <= 0 else f"exceeds it by {over:.2g} %",
    )


def not_reproducible(quantity: str, published: float | str, why: str) -> Claim:
    """A published figure that nothing in reach of us can be set beside."""
    return Claim(quantity, published, None, f"not reproducible: {why}")


def added(quantity: str, ours: float | str) -> Claim:
    """A result of ours that the paper does not have."""
    return Claim(quantity, None, ours, ALONE)


def tabulate(
    title: str,
    claims: Sequence[Claim],
    summary: Sequence[str] = (),
    notes: Sequence[str] = (),
    more: Sequence[Table] = (),
) -> Table:
    """Claims as a table whose title counts them."""
    compared = [claim for claim in claims if claim.verdict != ALONE]
    met = sum(claim.verdict.startswith("met") for claim in compared)
    counted = f"{title}: {met} of {len(compared)} met, {len(claims) - len(compared)} of ours"
    return Table(counted, COLUMNS, list(claims), summary, notes, more)

"""The best machines that devices on sale make: chips, batches and layouts, sought on the exact
model.

A device leaves integers free, nothing else. At given chips and layout a larger batch never yields
fewer tokens per dollar, watt or joule (the weights of a step are read once for all its sequences),
and never a faster token; so the largest batch that fits and keeps its promises matters for all but
speed. It is found by bisection: exactly, on integers. Chips are tried on a grid that holds every
small number and both sides of every step of the network, then one by one where a machine comes near
the best. ``tests`` hold the best for each objective to an enumeration of all chips, batches and
layouts within 0.1 % (``benchmarks/enumerate_devices`` does so over whole scenarios). Between its
ends a device's own front is made of machines looked at nearby: each exists, and a better one of the
same speed by a few per cent may (by 15 % in a fleet of several services).
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from codesign.search.statement.goals import Bound, Goal, bounds_exceeded, log_goals
from experiments.rivals.dominating import _between, geometric, leading_rows, moved
from experiments.rivals.offers import Integers, Offers, evaluate

EVERY = 8
"""Every number of chips up to this one is tried."""

CHIP_STEP = 1.3
"""Ratio of two numbers of chips of the grid beyond."""

BATCH_STEP = 4.0
"""Ratio of two batches of the grid."""

NEAR = 0.05
"""Log units from the best within which every number of chips between two of the grid is tried."""

CLOSED = 1e-5
"""Log units by which a larger batch must promise more than the best known, or its bisection ends.
"""

PARTS = 7
"""Parts into which each round of bisection divides a bracket."""

HELPED = (
    "cost_per_token",
    "energy_per_token",
    "system_tokens_per_second",
    "tokens_per_second_per_dollar",
    "tokens_per_second_per_watt",
)
"""Outcomes whose bounds a larger batch helps to keep; it endangers all others or leaves them as
they are."""

CLOSER = (1.7, 1.35, 1.15)
"""Ratios of chips and batches that each round tries about the machines of a front."""


class Looked(NamedTuple):
    """What a look at machines says, leading axis the machines."""

    logs: np.ndarray  # (objectives,) ln, to be minimised
    kept: (
        np.ndarray
    )  # (services,) whether a service may have that batch: it fits and keeps its promises
    apart: np.ndarray  # (kinds,) whether a kind may have that many chips, whatever the others
    enough: np.ndarray  # () whether bounds are kept that a larger batch helps to keep
    good: np.ndarray  # () whether the machine may be


class Sought:
    """The search over all offers at once, with all machines that it saw and that keep every
    promise."""

    def __init__(self, offers: Offers, objectives: Sequence[Goal], bounds: Sequence[Bound]):
        self.offers, self.objectives, self.bounds = offers, objectives, bounds
        self.best = np.full(
            (offers.device.max() + 1, len(objectives)), np.inf
        )  # ln, to be minimised
        self.fits = np.zeros(
            len(self.best), dtype=bool
        )  # whether any machine of the device holds the models
        self._seen: list[tuple[Integers, np.ndarray]] = []

    @property
    def seen(self) -> tuple[Integers, np.ndarray]:
        """Every machine that keeps its promises, and ln of its objectives, to be minimised."""
        parts = [
            Integers(
                *(
                    np.concatenate(arrays)
                    for arrays in zip(*(one for one, _ in self._seen), strict=True)
                )
            )
        ]
        return parts[0], np.concatenate([logs for _, logs in self._seen])

    def look(self, machines: Integers) -> Looked:
        """Evaluate machines and remember those that may be."""
        found = evaluate(self.offers, machines)
        logs = np.asarray(log_goals(self.objectives, found.totals))
        held, first = found.capacity <= 0.0, found.first <= 0.0
        kept = (
            (found.late <= 0.0)
            & first
            & held[:, [step.kind for step in self.offers.steps if not step.prefill]]
        )
        helped, others = (
            [bound for bound in self.bounds if (bound.outcome in HELPED) == yes]
            for yes in (True, False)
        )
        enough, within = (
            np.asarray(bounds_exceeded(own, found.totals)).max(axis=1, initial=-np.inf) <= 0.0
            for own in (helped, others)
        )
        good = np.asarray(held.all(axis=1) & kept.all(axis=1) & enough & within)
        self._seen.append((machines[good], logs[good]))
        owner = self.offers.device[machines.offer]
        np.minimum.at(self.best, owner[good], logs[good])
        np.logical_or.at(self.fits, owner, held.all(axis=1))
        kept = kept & within[:, None] if kept.shape[1] == 1 else kept
        apart = np.asarray(held & first.all(axis=1, keepdims=True))
        return Looked(logs, np.asarray(kept), apart, enough, good)

    def with_largest_batches(self, offer: np.ndarray, chips: np.ndarray) -> np.ndarray:
        """Look at machines at batches from the least to the largest possible; ln of what they may
        reach (machines, objectives).

        A grid brackets each service's largest batch; the brackets of machines that may beat the
        best known are then closed.
        """
        grid = geometric(*self.offers.batch, BATCH_STEP)
        batches = np.broadcast_to(grid[:, None], (len(offer), len(grid), len(self.offers.services)))
        at = self._at(offer, chips, batches)
        last = np.where(at.kept, np.arange(len(grid))[:, None], -1).max(
            axis=1
        )  # of the grid, by machine and service
        alive = (last >= 0).all(axis=1)
        low, high = grid[last], grid[np.minimum(last + 1, len(grid) - 1)]
        reach = (np.arange(len(grid)) <= last.max(axis=1, keepdims=True) + 1) & at.enough
        hopes = np.where(
            alive[:, None], np.where(reach[..., None], at.logs, np.inf).min(axis=1), np.inf
        )
        while len(
            rows := np.flatnonzero(self._promising(offer, hopes) & (high - low > 1).any(axis=1))
        ):
            low[rows], high[rows], hopes[rows] = self._narrowed(
                offer[rows], chips[rows], low[rows], high[rows], hopes[rows]
            )
        ending = (
            self._promising(offer, hopes) if low.shape[1] > 1 else np.zeros(len(offer), dtype=bool)
        )
        if len(
            rows := np.flatnonzero(ending)
        ):  # services end at batches of their own, which no round has looked at together
            self.look(Integers(offer[rows], chips[rows], low[rows]))
        if any(bound.outcome in HELPED for bound in self.bounds) and alive.any():
            hopes[alive] = np.minimum(
                hopes[alive],
                self._at_least_batches(offer[alive], chips[alive], low[alive], high[alive]),
            )
        return hopes

    def _at_least_batches(
        self, offer: np.ndarray, chips: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> np.ndarray:
        """Look at the least batches that satisfy bounds which a larger batch helps to keep; ln of
        what machines there reach.

        The largest batches need not be known exactly: halving starts from above them.
        """
        least, most = np.full_like(low, self.offers.batch[0] - 1), high.copy()
        while (open_ := np.flatnonzero((most - least > 1).any(axis=1))).size:
            middle = (least[open_] + most[open_]) // 2
            enough = self.look(Integers(offer[open_], chips[open_], np.maximum(middle, 1))).enough[
                :, None
            ]
            most[open_], least[open_] = (
                np.where(enough, middle, most[open_]),
                np.where(enough, least[open_], middle),
            )
        looked = self.look(Integers(offer, chips, np.maximum(most, 1)))
        return np.where(looked.good[:, None], looked.logs, np.inf)

    def _at(self, offer: np.ndarray, chips: np.ndarray, batches: np.ndarray) -> Looked:
        """``look`` at several batches of each machine (machines, batches, services); two leading
        axes instead of one."""
        count, several, services = batches.shape
        rows = np.repeat(np.arange(count), several)
        looked = self.look(Integers(offer[rows], chips[rows], batches.reshape(-1, services)))
        return Looked(*(part.reshape(count, several, *part.shape[1:]) for part in looked))

    def _promising(
        self, offer: np.ndarray, hopes: np.ndarray, within: float = -CLOSED
    ) -> np.ndarray:
        """Machines that may be better than the best of their device, or worse by less than
        ``within``, for some objective."""
        best = self.best[self.offers.device[offer]]
        return np.any((hopes <= best + within) & np.isfinite(hopes), axis=1)

    def _narrowed(
        self,
        offer: np.ndarray,
        chips: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        hopes: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Brackets of the largest batches ``PARTS`` times narrower (``low`` is possible, ``high``
        is not), and what is still hoped."""
        inside = np.arange(1, PARTS)[:, None]
        batches = np.minimum(
            low[:, None] - (low - high)[:, None] * inside // PARTS,
            np.maximum(high - 1, low)[:, None],
        )
        looked = self._at(offer, chips, batches)
        logs, kept = looked.logs, looked.kept
        lower = np.maximum(low, np.where(kept, batches, 0).max(axis=1))
        upper = np.minimum(
            high, np.where(~kept & (batches > lower[:, None]), batches, high[:, None]).min(axis=1)
        )
        # larger than any service may take: no machine in reach is better
        beyond = np.all(batches >= upper[:, None], axis=2)
        known = np.any(beyond, axis=1)
        nearest = logs[np.arange(len(low)), np.argmax(beyond, axis=1)]
        reached = np.where(looked.good[..., None], logs, np.inf).min(axis=1)
        return lower, upper, np.where(known[:, None], np.minimum(nearest, reached), hopes)

    def sweep(self, kind: int, offer: np.ndarray, chips: np.ndarray) -> None:
        """Try every number of chips of a kind that may be best, with the others' as given
        (machines, kinds)."""
        if not len(offer):
            return
        grids = [self._grid(one, kind) for one in offer]
        rows = np.repeat(np.arange(len(offer)), [len(grid) for grid in grids])
        trial = chips[rows].copy()
        trial[:, kind] = np.concatenate(grids)
        hopes = self.with_largest_batches(offer[rows], trial)
        near = self._promising(offer[rows], hopes, NEAR)
        between = [_between(grids[rows[k]], int(trial[k, kind])) for k in np.flatnonzero(near)]
        if not between:
            return
        again = np.repeat(rows[near], [len(one) for one in between])
        trial = chips[again].copy()
        trial[:, kind] = np.concatenate(between)
        fresh = np.unique(np.column_stack([offer[again], trial]), axis=0)
        if len(fresh):
            self.with_largest_batches(fresh[:, 0], fresh[:, 1:])

    def scan(self, kind: int, machines: Integers) -> Integers:
        """Machines with the number of chips of a kind that is best for each objective, batches and
        other kinds as given.

        Only what this kind decides is asked of it: that it holds the models, and answers first in
        time.
        """
        grids = [self._grid(one, kind) for one in machines.offer]
        chosen = [np.empty(0, dtype=int)] * len(grids)
        for _ in range(2):  # on the grid, then between its numbers
            rows = np.repeat(np.arange(len(grids)), [len(grid) for grid in grids])
            trial = machines[rows]
            trial.chips[:, kind] = np.concatenate(grids)
            looked = self.look(trial)
            logs = np.where(looked.apart[:, kind, None], looked.logs, np.inf)
            chosen = [
                self._argmins(logs, trial.chips[:, kind], rows == k) for k in range(len(grids))
            ]
            full = [self._grid(one, kind) for one in machines.offer]
            grids = [
                np.unique(np.concatenate([best, *(_between(grid, one) for one in best)])).astype(
                    int
                )
                for grid, best in zip(full, chosen, strict=True)
            ]
        rows = np.repeat(np.arange(len(grids)), [len(best) for best in chosen])
        trial = machines[rows]
        trial.chips[:, kind] = np.concatenate(chosen)
        return trial

    @staticmethod
    def _argmins(logs: np.ndarray, chips: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Numbers of chips that are best for some objective among these rows; none where no row may
        be."""
        own = logs[rows]
        return (
            np.unique(chips[rows][own.argmin(axis=0)])
            if len(own) and np.isfinite(own).any()
            else np.empty(0, dtype=int)
        )

    def leaders(self) -> Integers:
        """The best machine seen of each device for each objective."""
        machines, logs = self.seen
        owner, rows = self.offers.device[machines.offer], set()
        for device in np.unique(owner):
            own = np.flatnonzero(owner == device)
            rows |= set(own[logs[own].argmin(axis=0)].tolist())
        return machines[np.array(sorted(rows), dtype=int)]

    def fill_fronts(self, speed: int, decode: int) -> None:
        """Look near the best machines of each device at every speed, closer each round: its own
        front between the ends."""
        low, high = np.array([self.offers.chips, self.offers.batch]).T
        for step in CLOSER:
            machines, logs = self.seen
            owner = self.offers.device[machines.offer]
            rows = np.concatenate(
                [
                    own[leading_rows(logs[own], speed)]
                    for own in (np.flatnonzero(owner == k) for k in np.unique(owner))
                ]
            )
            around = []
            services = machines.batch.shape[1]
            ways = [np.full(services, larger) for larger in (-1, 0, 1)]
            ways += (
                [sign * one for one in np.eye(services, dtype=int) for sign in (-1, 1)]
                if services > 1
                else []
            )
            for fewer, larger in itertools.product((-1, 0, 1), ways):
                near = machines[rows]
                near.chips[:, decode] = moved(near.chips[:, decode], step, fewer)
                around.append(
                    np.column_stack([near.offer, near.chips, moved(near.batch, step, larger)])
                )
            kinds = machines.chips.shape[1]
            fresh = np.unique(np.concatenate(around), axis=0)
            chips, batch = fresh[:, 1 : 1 + kinds], fresh[:, 1 + kinds :]
            inside = (
                (chips >= np.maximum(self.offers.fewest[fresh[:, 0]], low[0])) & (chips <= high[0])
            ).all(axis=1)
            fresh = fresh[inside & ((batch >= low[1]) & (batch <= high[1])).all(axis=1)]
            self.look(Integers(fresh[:, 0], fresh[:, 1 : 1 + kinds], fresh[:, 1 + kinds :]))

    def _grid(self, offer: int, kind: int) -> np.ndarray:
        """Numbers of chips to try first: every small one, then in steps, and both sides of where
        the network changes."""
        low, high = self.offers.chips
        low = max(low, int(self.offers.fewest[offer, kind]))
        steps = self.offers.steps_at[offer]
        wanted = np.concatenate(
            [
                np.arange(low, min(EVERY, high) + 1),
                geometric(max(low, EVERY), high, CHIP_STEP) if high >= low else [],
                steps,
                steps + 1,
            ]
        )
        wanted = np.unique(wanted.astype(int))
        return wanted[(wanted >= low) & (wanted <= high)]

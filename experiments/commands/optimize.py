"""``codesign optimize``: the main job, from a scenario to a Pareto front in a run folder."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Optimize:
    """x"""

    def run(self) -> int:
        return 0

"""The page of every leaf of a technology, from the schema: what ``[overrides]`` may set.

``python -m experiments.scenarios.leaves_page > docs/leaves.md`` writes it; a test holds it.
"""

import dataclasses

from codesign.hardware import technology as parts
from experiments.scenarios.own_numbers import LIMITS, RACK_POWER
from hardware_priors.leaves import FLEET_POWER, PARTS

HEAD = f"""# Every number of a technology

What `[overrides]` of a scenario may set, with the SI unit that what is written must convert to; a
number of unit 1 needs none. `[limits]` sets the leaves that a limit names, and `{RACK_POWER}`.
[Money](money.md) says how. Written by `python -m experiments.scenarios.leaves_page`.

| leaf | SI unit | what it is | as a limit |
|---|---|---|---|"""


def page() -> str:
    """The page's text."""
    limits: dict[str, list[str]] = {}
    for name, leaf in LIMITS.items():
        limits.setdefault(leaf, []).append(f"`{name}`")
    rows = []
    for part, module in {**PARTS, "development": parts.Development}.items():
        for field in dataclasses.fields(module):
            leaf = f"{part}.{field.name}"
            if leaf == FLEET_POWER:
                continue
            unit, what = field.metadata["unit"], field.metadata["description"]
            rows.append(f"| `{leaf}` | {unit} | {what} | {', '.join(limits.get(leaf, []))} |")
    return "\n".join([HEAD, *rows]) + "\n"


if __name__ == "__main__":
    print(page(), end="")

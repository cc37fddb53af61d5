"""Options of ``codesign evaluate`` for commands that also take a run or a scenario."""

import dataclasses

from experiments.points.arguments import PointArguments


@dataclasses.dataclass(frozen=True)
class OptionalPoint(PointArguments):
    """The options of ``codesign evaluate``, of which none need be given."""

    model: str | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """shipped name (codesign list models), or path of a config.json, its folder, or a TOML file"""
    device: str | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """catalogue name (codesign list devices), or path of a TOML file of your own"""

    def point(self) -> PointArguments:
        """These options alone, without those of the command that takes them too."""
        names = [field.name for field in dataclasses.fields(PointArguments)]
        return OptionalPoint(**{name: getattr(self, name) for name in names})

"""What a field of a stranger's file holds: a list of texts or an object, or refused by name."""

from collections.abc import Mapping

from codesign.workload.config_json.refusal import shown


def texts(said: Mapping[str, object], *names: str) -> list[str]:
    """The texts of the first of some fields that is set; none where none is.

    Raises:
        ValueError: another kind of value, named.

    >>> texts({"ignore": ["lm_head"]}, "exclude_modules", "ignore")
    ['lm_head']
    """
    for name in names:
        value = said.get(name)
        if not value:
            continue
        if not isinstance(value, list):
            raise ValueError(f"{name} = {shown(value)}, expected a list of texts")
        return [str(entry) for entry in value]
    return []


def table(said: Mapping[str, object], name: str) -> dict[str, object]:
    """The object that a field holds; empty where it is not set.

    Raises:
        ValueError: another kind of value, named.

    >>> table({"weight": {"dtype": "fp4"}}, "weight"), table({}, "weight")
    ({'dtype': 'fp4'}, {})
    """
    value = said.get(name) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} = {shown(value)}, expected an object")
    return value

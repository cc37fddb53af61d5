"""What a field of a stranger's file holds: texts, an object, a number or a flag, or refused by
name."""

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
        if not all(isinstance(entry, str) for entry in value):
            raise ValueError(f"{name} = {shown(value)}, expected a list of texts")
        return list(value)
    return []


def whole(said: Mapping[str, object], *names: str, least: int, most: int) -> int | None:
    """The whole number of the first of some fields that is set; None where none is.

    Raises:
        ValueError: another kind of value, or one out of range, named.

    >>> whole({"w_bit": 4}, "bits", "w_bit", least=2, most=8)
    4
    """
    for name in names:
        value = said.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(
                f"{name} = {shown(value)}, expected a whole number from {least} to {most}"
            )
        return value
    return None


def group_size(said: Mapping[str, object], *names: str) -> int | None:
    """Weights that share a scale; None where a scale is of a whole channel or matrix (-1, 0), or
    nothing is said.

    >>> group_size({"group_size": 128}, "group_size"), group_size({"group_size": -1}, "group_size")
    (128, None)
    """
    found = whole(said, *names, least=-1, most=2**20)
    return found if found is not None and found > 0 else None


def flag(said: Mapping[str, object], *names: str) -> bool:
    """Whether one of some fields is true.

    Raises:
        ValueError: a value that is neither true, false nor null, named.

    >>> flag({"load_in_4bit": True}, "load_in_4bit"), flag({}, "load_in_4bit")
    (True, False)
    """
    for name in names:
        if not isinstance(said.get(name), bool | None):
            raise ValueError(f"{name} = {shown(said[name])}, expected true or false")
    return any(said.get(name) is True for name in names)


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

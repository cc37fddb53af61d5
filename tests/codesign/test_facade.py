"""What ``import codesign`` gives: every name that its help explains, and nothing heavy before it is
asked for."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import codesign

EXPLAINED = sorted(set(re.findall(r"``([A-Za-z_]+)``", codesign.__doc__ or "")) - {"equinox"})


@pytest.mark.parametrize("name", [*EXPLAINED, "__version__"])
def test_every_name_that_the_help_explains_is_there(name):
    found = getattr(codesign, name)
    assert name in dir(codesign)
    assert not callable(found) or (found.__doc__ or "").strip()


def test_public_names_are_explained():
    public = {name for name in dir(codesign) if not name.startswith("_")}
    modules = {name for name in public if type(getattr(codesign, name)).__name__ == "module"}
    unions, imports = {"Execution", "Phase"}, {"OperatorTable", "TYPE_CHECKING", "Any"}
    explained = set(EXPLAINED) | unions | imports
    assert len(EXPLAINED) > 35 and public - modules <= explained


def test_rooms_resolve_without_an_import():
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import codesign; assert codesign.search.optimize and codesign.search.Front",
        ],
        check=True,
    )


def test_the_search_is_loaded_when_asked_for():
    code = (
        "import sys, codesign; assert not any(m.startswith('codesign.search') for m in"
        " sys.modules); codesign.optimize; assert 'codesign.search' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_function_hides_a_module():
    for path in Path(codesign.__file__).parent.iterdir():
        found = vars(codesign).get(path.stem, codesign)
        assert isinstance(found, ModuleType), path


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'optimise'"):
        _ = codesign.optimise


SECTIONS = ("Args:", "Returns:", "Raises:", "Source:", ">>>")
"""Parts of a docstring after what it does and its mathematics, in order."""

CALLABLE = [
    name
    for name in EXPLAINED
    if callable(getattr(codesign, name)) and not isinstance(getattr(codesign, name), type)
]


def places(doc: str) -> list[int]:
    """Where each section that is there starts."""
    lines = [line.strip() for line in doc.splitlines()]
    firsts = (
        next((k for k, line in enumerate(lines) if line.startswith(section)), None)
        for section in SECTIONS
    )
    return [first for first in firsts if first is not None]


@pytest.mark.parametrize("name", EXPLAINED)
def test_docstrings_are_in_one_order(name):
    found = getattr(codesign, name)
    if not callable(found):
        return
    doc = found.__doc__ or ""
    first = doc.strip().splitlines()[0]
    assert (first[0].isupper() or first.startswith("ln(")) and not first.startswith(
        ("This", "A function", "Returns")
    )
    assert places(doc) == sorted(places(doc)), f"{name}: expected {', '.join(SECTIONS)}"


@pytest.mark.parametrize("name", CALLABLE)
def test_a_function_tells_arguments_results_and_an_example(name):
    doc = getattr(codesign, name).__doc__ or ""
    missing = [part for part in ("Args:", "Returns:", ">>>") if part not in doc]
    assert not missing, f"{name} lacks {missing}"

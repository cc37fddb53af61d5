"""The house: imports point down the floors, `import codesign` is light, and the parts are where
docs/architecture.md says."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PACKAGES = ["codesign", "hardware_priors", "objectives", "experiments"]  # lowest first
FLOORS = [
    ["codesign.numerics", "codesign.files"],
    ["codesign.workload"],
    ["codesign.hardware"],
    ["codesign.performance"],
    ["codesign.physical"],
    [
        "codesign.argument_types",
        "codesign.batching",
        "codesign.compound",
        "codesign.limits",
        "codesign.outcome",
        "codesign.spoiling",
        "codesign.throttling",
        "codesign.validity",
        "codesign.evaluation",
        "codesign.serving",
    ],
    ["codesign.calibration"],
    ["codesign.search"],
    ["codesign.sensitivity"],
    ["codesign.planning"],
]
"""Inside ``codesign``, lowest first: a module imports its own floor and those before it."""


def modules() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(source: str) -> set[str]:
    """Every module named in an import statement, wherever it stands."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor_of(name: str) -> int | None:
    for index, floor in enumerate(FLOORS):
        if any(name == part or name.startswith(part + ".") for part in floor):
            return index
    return None


def upward(name: str, source: str) -> list[str]:
    """Imports of a module that point up."""
    package, faults = name.split(".")[0], []
    for target in imported(source):
        other = target.split(".")[0]
        if other in PACKAGES and PACKAGES.index(other) > PACKAGES.index(package):
            faults.append(target)
        here, there = floor_of(name), floor_of(target)
        if package == "codesign" and here is not None and there is not None and there > here:
            faults.append(target)
    return faults


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_down(path):
    assert not upward(dotted(path), path.read_text())


def test_objectives_and_priors_do_not_know_each_other():
    for package, other in (("objectives", "hardware_priors"), ("hardware_priors", "objectives")):
        for path in (ROOT / package).rglob("*.py"):
            assert not any(name.split(".")[0] == other for name in imported(path.read_text())), path


def test_an_upward_import_is_seen():
    assert upward("codesign.workload.phases", "from codesign.search.optimize import optimize")
    assert upward("codesign.evaluation", "import hardware_priors")
    assert upward("hardware_priors.devices", "import experiments.cli")


def test_every_part_of_codesign_has_a_floor():
    parts = {
        dotted(path).split(".")[1] for path in modules() if dotted(path).startswith("codesign.")
    }
    assert all(floor_of(f"codesign.{part}") is not None for part in parts)


def test_import_is_light():
    # processor seconds: what other tests do at the same time does not count
    program = (
        "import time, sys; start = time.process_time(); import codesign; took = time.process_time()"
        " - start; names = 'scipy matplotlib optax pydantic plotly hardware_priors objectives"
        " experiments'; heavy = set(names.split()) & set(sys.modules); print(took, sorted(heavy))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(4)
    ]
    seconds = min(float(run.split()[0]) for run in runs)
    assert runs[0].split(maxsplit=1)[1].strip() == "[]"
    assert seconds <= 1.0


def test_import_touches_no_global_flag():
    program = (
        "import jax; before = dict(jax.config.values); import codesign, codesign.search,"
        " objectives, hardware_priors; assert dict(jax.config.values) == before"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


LINES = 350
"""Most lines of a module: one idea each."""


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_a_module_holds_one_idea(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LINES


CLOSED = re.compile(
    r"(isinstance\([^)]*|case )\b(Operatorwise|Dataflow|LimitStudy|GroupedAttention|CrossAttention"
    r"|LatentAttention|CompressedAttention|LinearAttention|SelectiveScan|ShortConvolution"
    r"|FeedForward|MixtureOfExperts)\b"
)
"""A question which of the built-in parts something is: a part of the user's own has no answer."""


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_no_module_asks_which_built_in_part_it_has(path):
    if "reproductions" in path.parts:
        return  # a paper's subject is one kind
    assert not CLOSED.search(path.read_text(encoding="utf-8"))


def test_such_a_question_is_seen():
    assert CLOSED.search("if isinstance(execution, codesign.LimitStudy):")
    assert CLOSED.search("        case LatentAttention():")


MOST_ANY = 60
"""Uses of ``typing.Any`` in the four packages stay below this: what is left are libraries of
others and reports that only tables read."""


def names_of(node: ast.AST) -> list[str]:
    """What a node names: by itself, behind a dot, or under another name that it is imported as."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return [name]
        case ast.ImportFrom(names=names):
            return [alias.name for alias in names if alias.asname]
    return []


@pytest.mark.parametrize("text", ["Any", "typing.Any", "from typing import Any as Anything"])
def test_any_is_seen_under_every_name(text):
    assert any("Any" in names_of(node) for node in ast.walk(ast.parse(text)))


def test_types_say_what_they_are():
    uses = [
        f"{dotted(path)}:{getattr(node, 'lineno', '')}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if "Any" in names_of(node)
    ]
    assert len(uses) < MOST_ANY, uses


ARGUMENT = re.compile(r"^    ([\w*]+(?:, [\w*]+)*)(?: \([^)]*\))?: ", re.MULTILINE)
"""Arguments that a section ``Args:`` explains."""


def told_arguments(doc: str) -> list[str]:
    """Names under ``Args:``, in order."""
    section = doc.partition("\nArgs:\n")[2]
    section = re.split(r"^\S", section, maxsplit=1, flags=re.MULTILINE)[0]
    return [one.strip("*") for many in ARGUMENT.findall(section) for one in many.split(", ")]


def untrue_arguments(function: ast.FunctionDef) -> list[str]:
    """Arguments that a docstring explains and the function does not have."""
    given = function.args
    own = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = {one.arg for one in own if one is not None}
    return [one for one in told_arguments(ast.get_docstring(function) or "") if one not in names]


def test_docstrings_explain_the_arguments_that_there_are():
    untrue = {
        f"{dotted(path)}.{node.name}": untrue_arguments(node)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and untrue_arguments(node)
    }
    assert not untrue


def test_an_argument_that_is_not_there_is_seen():
    text = (
        'def f(a, *, b):\n    """Do.\n\n    Args:\n        a, b: two.\n        c: three.\n    """'
    )
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert untrue_arguments(function) == ["c"]

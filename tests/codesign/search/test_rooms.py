"""The rooms of the search: imports between them point one way, and there are few arrows."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[3] / "codesign" / "search"
MOST_ARROWS = 40


def room(module: str) -> str:
    """codesign.search.integers.boxes → integers."""
    return module.split(".")[2]


def arrows() -> set[tuple[str, str]]:
    """(room that imports, room that is imported)."""
    found = set()
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts == ("__init__",):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "codesign.search."
            ):
                found.add((parts[0], room(node.module or "")))
    return {(one, other) for one, other in found if one != other}


def test_imports_between_rooms_have_no_circle():
    needs: dict[str, set[str]] = {}
    for one, other in arrows():
        needs.setdefault(one, set()).add(other)
    order = list(TopologicalSorter(needs).static_order())
    assert (
        order.index("statement")
        < order.index("program")
        < order.index("solver")
        < order.index("integers")
    )
    assert order[-1] == "optimize"


def test_few_arrows_between_rooms():
    assert 20 < len(arrows()) <= MOST_ARROWS

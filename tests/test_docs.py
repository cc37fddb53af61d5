"""README and docs: every dotted name resolves, every file that they name exists, no code cites what
the repository does not hold."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PACKAGES = ("codesign", "objectives", "hardware_priors", "experiments")


def resolved(name: str) -> Any:
    """The object of a dotted name."""
    parts = name.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:k]))
        except ModuleNotFoundError:
            continue
        for part in parts[k:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_resolve(page):
    names = re.findall(
        rf"`((?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+)[`(]", page.read_text(encoding="utf-8")
    )
    missing = []
    for name in sorted(set(names)):
        try:
            resolved(name)
        except AttributeError:
            missing.append(name)
    assert not missing


IMPORTED = """
import sys
import codesign, hardware_priors, objectives
for name in sys.argv[1:]:
    found = sys.modules[name.partition(".")[0]]
    for part in name.split(".")[1:]:
        found = getattr(found, part)
"""


def test_names_of_the_library_resolve_after_an_import_of_it():
    """A reader types ``import codesign`` and the name that a page gives."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = set(re.findall(rf"`((?:{'|'.join(PACKAGES[:3])})(?:\.[A-Za-z_]\w*)+)[`(]", pages))
    assert len(names) > 10
    found = subprocess.run(
        [sys.executable, "-c", IMPORTED, *sorted(names)], capture_output=True, text=True, cwd=ROOT
    )
    assert not found.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_name_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:codesign|objectives|hardware_priors|experiments|tests|docs)/[\w./*-]+)", text
    )
    named += [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    missing = [
        name
        for name in sorted(set(named))
        if not any(list(base.glob(name.rstrip("/."))) for base in (ROOT, page.parent))
    ]
    assert not missing


def test_code_cites_only_what_is_here():
    cited = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for name in re.findall(r"\b([\w-]+\.md)\b", path.read_text(encoding="utf-8")):
                if not any(ROOT.glob(f"**/{name}")):
                    cited.append(f"{path.relative_to(ROOT)}: {name}")
    assert not cited


def test_the_page_of_leaves_is_that_of_the_schema():
    from experiments.scenarios.leaves_page import page

    assert (ROOT / "docs" / "leaves.md").read_text(encoding="utf-8") == page()

"""The README says what the code does: its Python runs, its tables are whole, its picture is
there."""

import re
from pathlib import Path

import jax.numpy as jnp

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
REPRODUCED = (ROOT / "docs" / "reproduced.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_ten_lines_run_and_give_a_gradient():
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(program.strip().splitlines()) == 10
    names: dict = {}
    exec(program, names)
    gradient = names["gradient"]
    assert all(bool(jnp.isfinite(leaf)) for leaf in vars(gradient).values())
    assert float(gradient.memory_bandwidth) > 0 > float(gradient.sync_latency)


def test_the_picture_is_there():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / path).is_file(), path


def test_rows_of_a_table_have_as_many_cells():
    tables = [
        table
        for page in PAGES
        for table in re.findall(r"(?:^\|.*\n)+", page.read_text(), re.MULTILINE)
    ]
    assert len(tables) >= 10
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", row)) for row in table.strip().splitlines()}
        assert len(cells) == 1, table


def test_figures_of_the_limit_study_are_the_tested_ones():
    from tests.codesign.test_limit_study import test_tokens_per_second_per_user as study

    (parameters,) = [mark.args[1] for mark in study.pytestmark if mark.name == "parametrize"]
    for chips in (8, 32, 128):
        short, long = (published for n, _, published in parameters if n == chips)
        assert (
            f"| tokens/s/user | {chips} | 4K / 128K | {short} / {long} | {short} / {long} |"
            in REPRODUCED
        )
    at_128k = " / ".join(
        str(next(p for n, context, p in parameters if n == chips and context == 131072))
        for chips in (8, 32, 128)
    )
    assert f"[tokens/s/user] | {at_128k} | {at_128k} |" in TEXT

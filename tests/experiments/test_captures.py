"""What people see of a run: golden text at several widths, of run folders that were written once.

``tests/experiments/finished`` holds answers that the program gave: what is tested here is how an
answer is shown. ``python -m tests.experiments.test_captures [RUN_FOLDER …]`` takes runs over as new
answers under their folders' names, and writes the golden texts anew; look at them before they are
committed.
"""

import dataclasses
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.runs import answer
from experiments.runs.answer import folder_line
from experiments.runs.columns import Column, csv_text, read_csv
from experiments.runs.front_table import MOST_LINES, print_run, representatives
from experiments.runs.record import RunRecord, read_run
from experiments.runs.sheet import print_sheet

FINISHED = Path(__file__).parent / "finished"
GOLDEN = Path(__file__).parent / "captures"
RUNS = sorted(path.name for path in FINISHED.iterdir())
WIDTHS = (80, 120, 200)


def captured(name: str, width: int) -> str:
    run = read_run(FINISHED / name)
    return print_run(run, width, last=folder_line(run, f"runs/{name}-0123abcd")) + "\n"


def designs_in(text: str) -> list[str]:
    """Lines of the table's body."""
    return [line for line in text.splitlines() if re.match(r" *\d+ +[\d.]", line)]


def with_status(run: RunRecord, words: list[str], front_gap: float = float("nan")) -> RunRecord:
    """The same run with other status words, in turn."""
    count = len(run)
    status = np.array([words[k % len(words)] for k in range(count)], dtype=object)
    changed = {
        "status": Column("status", "", status),
        "front_gap": Column("front_gap", "log", np.full(count, front_gap)),
    }
    return dataclasses.replace(
        run, columns=tuple(changed.get(column.name, column) for column in run.columns)
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RUNS)
def test_golden(name, width):
    assert captured(name, width) == (GOLDEN / f"{name}-{width}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["llama-405b", "chat"])
def test_golden_sheet(name):
    assert print_sheet(read_run(FINISHED / name), 0, 80) + "\n" == (
        GOLDEN / f"{name}-design.txt"
    ).read_text(encoding="utf-8")


def test_a_sheet_keeps_its_width_whatever_is_said_of_a_design():
    """Words are wrapped; they once pushed all numbers to their own right end, at column 118."""
    run = read_run(FINISHED / "llama-405b")
    said = np.full(len(run), "; ".join(["context_parallel high"] * 12))
    columns = [column for column in run.columns if column.name != "choice_end"]
    long = dataclasses.replace(run, columns=(*columns, Column("choice_end", "", said)))
    sheet = print_sheet(long, 0, 80)
    assert max(map(len, sheet.splitlines())) <= 80 and sheet.count("context_parallel high") == 12
    assert "power, provisioned" in sheet and "J/token, mean power" in sheet


@pytest.mark.parametrize(
    "words", [["GLOBAL"], ["GLOBAL AT ITS INTEGERS"], ["GLOBAL", "GLOBAL AT ITS INTEGERS", "LOCAL"]]
)
@pytest.mark.parametrize("name", RUNS)
def test_at_80_columns_an_answer_fits_a_screen(name, words):
    """At most 30 lines of at most 80 characters, no cell cut, three digits of every number, at
    least 8 designs where there are."""
    run = with_status(read_run(FINISHED / name), words, 0.0009)
    text = print_run(run, 80, last=folder_line(run, f"runs/{name}-0123abcd"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= MOST_LINES + 2 * (len(words) - 1)  # a sentence more for each word more
    assert "…" not in text and "0.000 " not in text
    table = designs_in(text)
    assert min(len(run), 8) <= len(table) <= 12
    numbers = [word for line in table for word in re.findall(r"\d[\d.]*", line) if "." in word]
    assert all(len(number.replace(".", "").lstrip("0")) >= 3 for number in numbers)


def test_wider_screens_show_more_and_cut_nothing():
    columns = [len(designs_in(captured("llama-405b", width))[0].split()) for width in WIDTHS]
    assert columns == sorted(columns) and columns[0] < columns[-1]
    for width in WIDTHS:
        assert max(map(len, captured("chat", width).splitlines())) <= width


def test_the_best_designs_are_always_shown():
    run = read_run(FINISHED / "llama-405b")
    for count in (3, 8, 12):
        shown = representatives(run, count)
        assert len(shown) == count and {run.best(objective) for objective in run.objectives} <= set(
            shown
        )
    assert representatives(run, 100) == list(range(len(run)))


def test_answer_first_in_the_objectives_asked_for():
    lines = answer.best_lines(read_run(FINISHED / "cost-alone"))
    assert (
        len(lines) == 1
        and lines[0].startswith("cheapest:")
        and "$/Mtoken" in lines[0]
        and "chips, batch" in lines[0]
    )
    assert "tokens/s/$" not in captured("cost-alone", 80)


def test_a_promise_is_reported_with_what_was_reached():
    assert answer.promise_lines(read_run(FINISHED / "chat")) == [
        "promised: time per token at most 20.0 ms; reached: 0.857 to 20.0",
        "promised: time to the first token at most 2.00 s; reached: 0.0905 to 0.102",
    ]


def test_a_status_word_is_explained_where_it_occurs_and_claims_no_more_than_its_gap():
    run = read_run(FINISHED / "llama-405b")
    (proved,) = answer.status_lines(with_status(run, ["GLOBAL"], 0.0009))
    assert (
        "over all chips, batches, stacks, layers and choices of the scenario, within 0.0009 in log"
        in proved
    )
    (open_,) = answer.status_lines(with_status(run, ["GLOBAL AT ITS INTEGERS"], 0.0121))
    assert "its own choice and integers only" in open_ and "over all others within 0.02" in open_
    both = answer.status_lines(with_status(run, ["LOCAL", "GLOBAL AT ITS INTEGERS"]))
    assert (
        len(both) == 2
        and "nothing is proved" in both[0]
        and "others were searched, not proved" in both[1]
    )


def test_json_has_every_column_under_its_name():
    run = read_run(FINISHED / "chat")
    told = json.loads(json.dumps(run.as_json(), allow_nan=False))
    header = (FINISHED / "chat/front.csv").read_text().splitlines()[0].split(",")
    assert [name.partition(" [")[0] for name in header] == list(told["designs"][0])
    wanted = {
        "machine 0 package_price",
        "machine 1 package_power",
        "machine 0 die_area",
        "machine 0 junction_temperature",
    }
    wanted |= {
        "machine 0 capital_facility",
        "machine 0 stacks",
        "machine 0 layers",
        "machine 0 sram_capacity",
        "time_to_first_token",
    }
    assert wanted <= set(told["designs"][0]) and told["units"]["machine 0 die_area"] == "m^2"
    assert told["proof"] == {"asked": False, "front_gap": None}
    proved = read_run(FINISHED / "llama-405b")
    assert proved.details["proof"] == {
        "asked": True,
        "front_gap": pytest.approx(max(proved.column("front_gap").values)),
    }


def test_no_column_stands_twice():
    run = read_run(FINISHED / "llama-405b")
    assert len({column.name for column in run.columns}) == len(run.columns)
    numbers = [
        column for column in run.columns if column.unit and np.ptp(np.nan_to_num(column.values)) > 0
    ]
    numbers = [
        column for column in numbers if not column.name.endswith("_of_limit")
    ]  # two limits may be as near as each other
    same = [
        (a.name, b.name)
        for k, a in enumerate(numbers)
        for b in numbers[:k]
        if np.allclose(a.values, b.values, rtol=1e-7, atol=0)
    ]
    assert not same


def test_capital_adds_up():
    run = read_run(FINISHED / "llama-405b")
    parts = sum(
        run.column(f"capital_{part}").values
        for part in ("logic", "memory", "package", "margin", "network", "server", "facility")
    )
    np.testing.assert_allclose(parts, run.column("capital_per_chip").values, rtol=1e-8)
    np.testing.assert_allclose(
        parts * run.column("chips").values, run.column("capital").values, rtol=1e-8
    )
    silicon = run.column("die_area").values * run.column("dies").values
    areas = (
        "core",
        "sram",
        "memory_interface",
        "links",
        "die_to_die",
        "fixed",
        "unmodelled",
        "white",
    )
    np.testing.assert_allclose(
        sum(run.column(f"area_{part}").values for part in areas), silicon, rtol=1e-8
    )


def test_csv_survives_commas_and_quotes():
    table = [
        Column("plan", "", np.array(['a, "b"', "c"], dtype=object)),
        Column("x", "1", np.array([1.5, np.nan])),
    ]
    assert csv_text(read_csv(csv_text(table))) == csv_text(table)


@pytest.mark.parametrize("content", ["", "x [1]\n", "x [1],y\n1\n"])
def test_a_front_that_cannot_be_read_is_refused(refused, tmp_path, content):
    shutil.copytree(FINISHED / "chat", tmp_path / "broken")
    (tmp_path / "broken/front.csv").write_text(content)
    assert "holds no whole run" in refused("show", tmp_path / "broken")


@pytest.mark.parametrize(
    ("columns", "width"), [(None, 80), ("120", 120), ("200", 200), ("wide", 80), ("0", 40)]
)
def test_a_pipe_has_80_columns_unless_told(run, monkeypatch, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    shown = run("show", FINISHED / "llama-405b")
    told = run("show", FINISHED / "llama-405b", "--json").json["run_folder"]
    last = folder_line(read_run(FINISHED / "llama-405b"), told)
    assert shown.out == print_run(read_run(FINISHED / "llama-405b"), width, last=last) + "\n"


def test_every_design_or_one(run):
    place = FINISHED / "llama-405b"
    every = run("show", place, "--all").out
    assert len(designs_in(every)) == len(read_run(place))
    assert "12 of 53" not in every
    sheet = run("show", place, "--design", 52).out
    assert (
        "Design 52 of 53" in sheet
        and "Capital of one chip" in sheet
        and "junction temperature" in sheet
    )
    assert run("show", place, "--design", 52, "--json").json["tokens/s/$"] == pytest.approx(
        0.0459, rel=1e-2
    )


def test_text_of_strangers_is_text(run, tmp_path):
    shutil.copytree(FINISHED / "cost-alone", tmp_path / "odd")
    details = json.loads((tmp_path / "odd/run.json").read_text())
    details["title"] = "[bold]$x$ \x1b[31m<script>alert(1)</script>[/red]"
    (tmp_path / "odd/run.json").write_text(json.dumps(details))
    shown = run("show", tmp_path / "odd").out
    assert "[bold]$x$ \\x1b[31m<script>" in shown.replace("\n  ", " ") and "\x1b" not in shown


TOLD = (
    "scenario",
    "title",
    "seed",
    "weights",
    "buildable",
    "objectives",
    "machines",
    "services",
    "promises",
    "fleet",
    "proof",
    "advantage",
    "comparison",
    "warnings",
)
"""What is kept of ``run.json``."""


def take_over(run_folder: Path) -> None:
    """Keep what is printed of a run."""
    kept = FINISHED / run_folder.name
    kept.mkdir(exist_ok=True)
    for name in ("front.csv", "scenario.toml"):
        shutil.copy(run_folder / name, kept / name)
    details = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    best = (details["advantage"] or {}).get("device")
    devices = [{**device, "front": []} for device in details["devices"] if device["name"] == best]
    content = {**{name: details[name] for name in TOLD}, "devices": devices}
    (kept / "run.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write_golden() -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in RUNS:
        for width in WIDTHS:
            (GOLDEN / f"{name}-{width}.txt").write_text(captured(name, width), encoding="utf-8")
    for name in ("llama-405b", "chat"):
        (GOLDEN / f"{name}-design.txt").write_text(
            print_sheet(read_run(FINISHED / name), 0, 80) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    for given in sys.argv[1:]:
        take_over(Path(given))
    write_golden()

"""``codesign optimize``: from a scenario to a run folder, on a small problem."""

import csv
import dataclasses
import json
import math

import numpy as np
import pytest

from codesign.search import Front, Infeasible, optimize
from experiments.commands import optimize as command
from experiments.runs import manifest
from experiments.runs.columns import columns
from experiments.scenarios.problem import problem
from experiments.scenarios.toml_text import read, scenario
from tests.experiments.small_scenario import SMALL


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def rows_of(folder, name="front.csv"):
    with (folder / name).open() as file:
        return list(csv.DictReader(file))


def test_the_search_reports_its_stages(found):
    stages = [stage for stage, *_ in found[-1]]
    assert stages[0] == "relaxed search" and stages[-1] == "real devices"


def test_same_seed_same_bytes(run, found, small):
    """A second search writes the same front.csv, byte for byte."""
    stated, front, devices, timings, _ = found
    command.write(small.parent / "first", stated, front, devices, {**timings, "start": 0.0})
    answer = run("optimize", small, "--output", "second")
    assert answer.code == 0
    assert (small.parent / "first/front.csv").read_bytes() == (
        small.parent / "second/front.csv"
    ).read_bytes()
    assert "relaxed search" in answer.err and "Traceback" not in answer.err


def test_a_run_folder_is_whole(run, searched, small):
    answer = run("optimize", small, "--json")
    folder = small.parent / answer.json["run_folder"]
    assert folder.parent.name == "runs" and folder.name.startswith("small-")
    assert {path.name for path in folder.iterdir()} == {*manifest.FILES, "designs"}
    assert len(list((folder / "designs").iterdir())) == len(searched)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    rows = rows_of(folder)
    assert len(rows) == len(searched.status) == len(answer.json["designs"])
    speeds = [float(row["tokens/s/user [token/s]"]) for row in rows]
    assert speeds == sorted(speeds, reverse=True)
    assert {
        "memory_bandwidth [B/s]",
        "sync_latency [s]",
        "status",
        "certified_gap [log]",
        "binding",
        "box",
        "choice_end",
    } <= set(rows[0])
    for row, record in zip(rows, answer.json["designs"], strict=True):
        assert {name.partition(" [")[0] for name in row} == set(record)
        assert float(row["memory_bandwidth [B/s]"]) == record["memory_bandwidth"]
        speed = 1.0 / float(row["time_per_token [s]"])
        assert float(row["tokens/s/user [token/s]"]) == pytest.approx(speed, rel=1e-8)
    details = json.loads((folder / "run.json").read_text())
    assert details["statuses"] == [row["status"] for row in rows]
    assert (
        details["seed"] == 0 and "jax" in details["versions"] and details["timings_s"]["total"] > 0
    )
    assert details["proof"] == {
        "asked": True,
        "front_gap": pytest.approx(np.max(searched.front_gap)),
    }
    assert scenario(str(folder / "scenario.toml")).search.weights == 4
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert "Plotly.newPlot" in page and '<script src="http' not in page


@pytest.mark.parametrize(
    ("stated", "options", "proved"),
    [
        (True, (), True),
        (True, ("--no-prove",), False),
        (False, (), False),
        (False, ("--prove",), True),
        (False, ("--no-prove",), False),
    ],
)
def test_options_decide_over_the_scenario_whether_to_prove(
    run, searched, small, stated, options, proved
):
    small.write_text(SMALL + f"\nprove = {str(stated).lower()}\n")
    answer = run("optimize", small, "--json", *options)
    assert answer.json["proof"]["asked"] == proved
    assert (
        scenario(str(small.parent / answer.json["run_folder"] / "scenario.toml")).search.prove
        == proved
    )


def test_prove_and_no_prove_are_refused(refused, small):
    assert "both given; expected one of them" in refused("optimize", small, "--prove", "--no-prove")


def test_an_execution_of_the_command_line_stands_for_the_scenarios(small):
    search = (
        command.Optimize(str(small), execution="calibrated", like="h100", engine="vllm")
        .stated()
        .search
    )
    assert (search.execution, search.like, search.engine, search.weights) == (
        "calibrated",
        "h100",
        "vllm",
        4,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--like", "h100"), "like has no effect with execution"),
        (("--execution", "calibrated", "--like", "h101"), "did you mean 'h100'"),
        (("--execution", "exact"), "--execution is 'exact'; expected one of operatorwise"),
    ],
)
def test_what_a_calibrated_search_needs_is_told(refused, small, arguments, told):
    assert told in refused("optimize", small, *arguments)


def test_people_see_the_front_with_units(run, searched, small):
    text = run("optimize", small, "--output", "here").out
    for word in (
        "TB/s",
        "PFLOP/s",
        "GB",
        "What binds",
        "best per $",
        "fastest",
        "promised",
        "Run folder: here",
        "GLOBAL",
    ):
        assert word in text


def test_a_finished_run_is_shown_again_only_when_asked(run, searched, small, monkeypatch):
    first = run("optimize", small, "--output", "here").out
    monkeypatch.setattr(command, "search", lambda *_: pytest.fail("searched again"))
    again = run("optimize", small, "--output", "here", "--resume")
    assert again.code == 0 and again.out == first
    assert run("show", "here").out == first
    shown = run("show", "here", "--json")
    assert shown.out == run("optimize", small, "--output", "here", "--resume", "--json").out
    with pytest.raises(pytest.fail.Exception):
        run(
            "optimize", small, "--output", "here", "--resume", "--seed", 1
        )  # another seed is another run
    with pytest.raises(pytest.fail.Exception):
        run("optimize", small, "--output", "here")


def test_a_failure_leaves_nothing_half_written(run, searched, small, monkeypatch):
    import experiments.runs.page

    def broken(path, *_):
        path.write_text("half")
        raise OSError(28, "No space left on device", str(path))

    run("optimize", small, "--output", "runs/here")
    before = (small.parent / "runs/here/front.csv").read_bytes()
    monkeypatch.setattr(experiments.runs.page, "write_report", broken)
    for folder in ("runs/here", "new/deep/run"):
        answer = run("optimize", small, "--output", folder)
        assert answer.code == 2 and "No space left" in answer.err
    assert sorted(path.name for path in small.parent.iterdir()) == ["runs", "small.toml"]
    assert [path.name for path in (small.parent / "runs").iterdir()] == ["here"]
    assert (small.parent / "runs/here/front.csv").read_bytes() == before


def test_an_older_run_is_replaced(run, searched, small):
    for seed in (0, 7):
        assert run("optimize", small, "--output", "here", "--seed", seed).code == 0
    assert json.loads((small.parent / "here/run.json").read_text())["seed"] == 7
    assert sorted(path.name for path in small.parent.iterdir()) == ["here", "small.toml"]


def test_a_folder_with_other_things_is_not_touched(refused, searched, small):
    (small.parent / "mine").mkdir()
    (small.parent / "mine/thesis.tex").write_text("years of work")
    assert "holds other things than a run" in refused("optimize", small, "--output", "mine")
    assert "which is a file" in refused("optimize", small, "--output", "small.toml")
    assert "cannot be written" in refused("optimize", small, "--output", "/proc/run")
    assert (small.parent / "mine/thesis.tex").read_text() == "years of work"


def test_an_infeasible_promise(run, tmp_path):
    """No machine of this technology decodes a token in ten microseconds."""
    (tmp_path / "fast.toml").write_text(SMALL.replace('"20 ms"', '"10 us"'))
    answer = run("optimize", "fast.toml")
    assert answer.code == 3 and not answer.out
    *progress, told = answer.err.splitlines()
    assert (
        told.startswith("codesign: ")
        and "promise" in told
        and all(line.endswith("…") for line in progress)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["fast.toml"]


def test_devices_that_cannot_are_named_in_the_caption(found):
    from experiments.rivals.points import DevicePoint
    from experiments.runs.picture import caption

    stated, _, devices, *_ = found
    text = caption(
        [*devices, DevicePoint("abacus", absent_because="too slow for the promise")], stated
    )
    assert "Absent" in text and "abacus" in text and "(too slow for the promise)" in text
    assert all(
        point.absent_because or math.isfinite(point.user_tokens_per_second) for point in devices
    )


def test_devices_stand_in_the_run_folder_and_in_json(run, searched, small):
    answer = run("optimize", small, "--json").json
    assert {"name", "chips", "batch", "values", "year", "absent_because"} <= set(
        answer["devices"][0]
    )
    assert (
        answer["devices"][0]["same_generation"] and answer["devices"][0]["values"]["tokens/s/$"] > 0
    )
    assert answer["advantage"]["ratio"] == pytest.approx(
        np.prod(list(answer["advantage"]["factors"].values()))
    )
    folder = small.parent / answer["run_folder"]
    assert json.loads((folder / "run.json").read_text())["devices"] == answer["devices"]
    rows = rows_of(folder, "devices.csv")
    assert [row["name"] for row in rows] == [one["name"] for one in answer["devices"]]
    assert (
        "At equal accounting" in run("optimize", small).out
        and "At equal accounting" in (folder / "report.html").read_text()
    )


def test_choice_flags_name_the_end_at_which_a_design_stands(found):
    from experiments.runs.choice_flags import choice_flags

    _, front, *_ = found
    column = next(column for column in columns(front) if column.name == "choice_end")
    alone = {"dies only", "sram only"}  # SMALL offers one of each, which is no end of a range
    groups = {"pipeline only", "attention_data only", "context_parallel only"}
    for k in range(len(front)):
        several = float(front.designs[0].chips[k]) > 1
        assert set(choice_flags(front, k, [""])) == alone | (groups if several else set())
    assert set(column.values[0].split("; ")) >= alone
    (choice,) = front.choices
    (kind,) = choice.kinds
    two = dataclasses.replace(choice, kinds=(dataclasses.replace(kind, dies=2.0),))
    both = dataclasses.replace(front, choices=(choice, two))
    flags = choice_flags(both, 0, [""])
    assert "dies high" not in flags and "dies only" not in flags
    at_two = dataclasses.replace(both, choice=np.ones_like(front.choice))
    assert "dies high" in choice_flags(at_two, 0, [""])
    most = float(kind.technology.packaging.max_dies)
    full = dataclasses.replace(choice, kinds=(dataclasses.replace(kind, dies=most),))
    last = dataclasses.replace(front, choices=(full,))
    assert "dies only" not in choice_flags(last, 0, [""])  # the year's package has no more


def test_box_flags_name_the_bound(found):
    from experiments.runs.columns import box_flags

    assert box_flags(np.array([0, 0, 0, -1, 0, 0, 0, 1]), found[1]) == [
        "sync_latency low",
        "batch high",
    ]


def test_a_design_is_a_device_that_can_be_evaluated(run, searched, small):
    """An exported design, put back through ``evaluate``, is as fast as the front says."""
    run("optimize", small, "--output", "here")
    first = rows_of(small.parent / "here")[0]
    collective = first["plan"].split(",")[0]
    answer = run(
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "here/designs/00.toml",
        "--chips",
        first["chips [1]"],
        "--batch",
        first["batch [1]"],
        "--context",
        4096,
        "--collective",
        collective,
        "--weight-bits",
        8,
        "--kv-bits",
        8,
        "--activation-bits",
        8,
        "--json",
    )
    assert answer.code == 0, answer.err
    assert answer.json["user_tokens_per_second"] == pytest.approx(
        float(first["tokens/s/user [token/s]"]), rel=1e-6
    )
    assert answer.json["tokens_per_second_per_dollar"] == pytest.approx(
        float(first["tokens/s/$ [token/s/USD]"]), rel=1e-6
    )


def test_every_design_is_a_device_file_that_can_be_read(found, tmp_path):
    """Also where the solver leaves a trace of white silicon instead of none."""
    from experiments.runs.device_files import device_files
    from hardware_priors.own_device import read_device

    stated, front, *_ = found
    traces = np.geomspace(1e-16, 1e-5, len(front))
    (design,) = front.designs
    traced = dataclasses.replace(
        front, designs=(dataclasses.replace(design, white_silicon=traces),)
    )
    whites = []
    for name, text in device_files(traced, stated).items():
        (tmp_path / name).write_text(text)
        whites.append(float(read_device(tmp_path / name).design(1, 8.0).white_silicon))
    assert len(whites) == len(front) and 0.0 in whites and max(whites) == pytest.approx(1e-5)


def test_people_are_told_what_is_not_buildable(found):
    from experiments.runs.answer import note_lines
    from experiments.runs.details import run_record

    stated, front, devices, *_ = found
    assert front.buildable and "not buildable" not in " ".join(
        note_lines(run_record(front, stated, devices))
    )
    assert "not buildable" in " ".join(
        note_lines(run_record(dataclasses.replace(front, buildable=False), stated, devices))
    )


def test_the_stated_relaxation_admits_a_design_that_only_the_proof_finds():
    """Whole memory at the edge of what is possible: no descent gets there, branch and bound
    does."""

    def searched(promise: str) -> Front:
        posed = problem(read(SMALL.replace("20 ms", promise), "small", "small"))
        return optimize(posed.spaces, posed.services, posed.choices, posed.objectives, weights=2)

    with pytest.raises(Infeasible) as caught:
        searched("150 us")
    assert caught.value.conflict is not None
    assert caught.value.conflict.proved
    factor = float(np.exp(caught.value.conflict.relaxations["promise"]))
    assert len(searched(f"{150.0 * factor!r} us")) > 0


def test_precision_may_be_chosen():
    """Fewer bits always win, since their loss of quality is not modelled; what wins is what a
    scenario of those bits alone finds."""

    def searched(text: str) -> Front:
        posed = problem(read(text, "small", "small"))
        return optimize(posed.spaces, posed.services, posed.choices, posed.objectives, weights=2)

    either = searched(
        SMALL.replace("\nweight_bits = 8", "").replace(
            "dies = [1]", "dies = [1]\nweight_bits = [8, 4]"
        )
    )
    four = searched(SMALL.replace("\nweight_bits = 8", "\nweight_bits = 4"))
    assert {either.choices[k].name for k in either.choice} == {"two-shot, 1 die, 4-bit weights"}
    np.testing.assert_allclose(
        np.sort(either.values, axis=0), np.sort(four.values, axis=0), rtol=1e-6
    )
    assert set(either.status) == {"GLOBAL"}

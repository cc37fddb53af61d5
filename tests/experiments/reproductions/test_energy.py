"""Energy per token: joins, errors by hand, and the measured file itself where it is at hand."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.workload.catalogue import model
from experiments.reproductions import energy, energy_points
from experiments.reproductions.energy import batch_group, errors, predict, table
from experiments.reproductions.energy_points import Compared, Measured, read
from experiments.reproductions.table import Settings
from experiments.terminal.refusal import Refused

HOMES = [
    above / "shared" / "measured" for above in Path(__file__).parents[3:5]
]  # in the checkout, or beside it
MEASURED = next((home for home in HOMES if (home / energy.FILE).is_file()), None)
POINT = Measured(
    "llama-3.1-8b",
    "h100",
    "chat",
    16,
    2.0,
    2.0,
    1.0,
    batch=8.0,
    context=200.0,
    energy=0.5,
    power=400.0,
)
ROW = {
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "hardware": "H100",
    "n_chips": "1",
    "tp": "1",
    "pp": "1",
    "ep": "1",
    "precision_weights": "bfloat16",
    "precision_kv": "",
    "phase": "steady_state_serving(decode-dominated)",
    "batch_or_concurrency": "8",
    "input_len": "",
    "output_len": "400",
    "params_note": "8B; task lm-arena-chat; max_num_seqs 8",
}


def written(folder: Path, *points: dict) -> Path:
    """A file of measured energy: each point is its deviations from ``ROW``, with ``energy`` [J] and
    ``power`` [W] of all GPUs."""
    with (folder / energy.FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*ROW, "metric", "value", "unit"])
        writer.writeheader()
        for point in points:
            row = ROW | {key: value for key, value in point.items() if key in ROW}
            for metric, unit in energy_points.UNITS.items():
                value = point.get("energy" if metric == energy_points.ENERGY else "power")
                if value is not None:
                    writer.writerow(row | {"metric": metric, "value": str(value), "unit": unit})
    return folder


def outcome(batch: float) -> codesign.Outcome:
    design = hardware_priors.device("h100").design(1, 16)
    work = codesign.Workload(
        model("llama-3.1-8b"), codesign.Decode(batch=batch, context=200), codesign.uniform(16)
    )
    return codesign.evaluate(
        design, work, technology=hardware_priors.technology("N4", "HBM3", "NVLink4")
    )


def shown(found, device: str, group: str) -> dict:
    names = [column.name for column in found.columns]
    (row,) = [row for row in found.rows if row[:2] == (device, group)]
    return dict(zip(names, row, strict=True))


def test_errors_by_hand():
    found = errors([1.0, 2.0, 3.0, 8.0], [2.0, 2.5, 2.0, 4.0])  # -50 %, -20 %, +50 %, +100 %
    assert found.mean_absolute_percentage == pytest.approx(55)
    assert found.median_absolute_percentage == pytest.approx(50)
    assert found.bias_percent == pytest.approx(20)
    # Ranks 1 2 3 4 against 1.5 3 1.5 4: Pearson of the ranks, deviations (-1.5 -.5 .5 1.5) and (-1
    # .5 -1 1.5).
    assert found.spearman == pytest.approx((1.5 - 0.25 - 0.5 + 2.25) / np.sqrt(5.0 * 4.5))


@pytest.mark.parametrize("measured", [[1.0, 2.0], [3.0, 3.0, 3.0]])
def test_no_rank_where_there_is_none(measured):
    assert errors(range(1, len(measured) + 1), measured).spearman is None


def test_energy_and_time_of_a_point_by_hand():
    # 0.5 J · 8 sequences a step over 2 GPUs of 400 W: 5 ms. Ours: 2 GPUs · 300 W · 4 ms / 8 = 0.3
    # J, of which 100 W static.
    ours = Compared(POINT, power=300.0, seconds=4e-3, static=100.0, moved=1.0, rating=700.0)
    assert POINT.seconds == pytest.approx(5e-3)
    assert ours.energy == pytest.approx(0.3)
    # At their pace the 200 W · 4 ms of work stay, and 100 W last 5 ms: 1.3 J a GPU and step.
    assert ours.energy_at_measured_pace == pytest.approx(1.3 * 2 / 8)


def test_prediction_is_the_energy_of_the_chips_alone():
    facility = outcome(8.0)
    economics = hardware_priors.technology("N4", "HBM3", "NVLink4").economics
    ours = predict(dataclasses.replace(POINT, chips=1.0, tensor=1.0))
    assert isinstance(ours, Compared)
    assert ours.energy == pytest.approx(
        float(facility.energy_per_token / economics.power_overhead / economics.pue), rel=1e-9
    )
    assert ours.moved == pytest.approx(
        16.06e9, rel=0.05
    )  # 8.03 G weights at 16 bit, and little cache
    assert ours.rating == 700


def test_chips_beyond_the_tensor_degree_hold_attention_of_their_own():
    sliced, alone = predict(POINT), predict(dataclasses.replace(POINT, tensor=1.0))
    assert isinstance(sliced, Compared) and isinstance(alone, Compared)
    assert alone.moved > 1.1 * sliced.moved  # attention weights twice


def test_table_of_points_half_as_hungry_and_four_times_as_fast(tmp_path):
    batches = (8, 32, 64, 256)
    ours = {batch: outcome(batch) for batch in batches}
    points = [
        {
            "batch_or_concurrency": str(batch),
            "power": 2 * float(ours[batch].mean_power),
            "energy": 8 * float(ours[batch].mean_power * ours[batch].step_time) / batch,
        }
        for batch in batches
    ]
    found = table(Settings(written(tmp_path, *points)))
    everything = shown(found, "all", "")
    assert everything["n"] == 4 and everything["Spearman"] == pytest.approx(1)
    assert everything["bias"] == pytest.approx(-87.5) and everything[
        "mean |error|"
    ] == pytest.approx(87.5)
    assert (everything["energy"], everything["= power"], everything["× time"]) == pytest.approx(
        (1 / 8, 1 / 2, 1 / 4)
    )
    mean = np.prod([float(each.mean_power) for each in ours.values()]) ** (1 / 4)
    assert everything["our load"] == pytest.approx(mean / 700) and everything[
        "their load"
    ] == pytest.approx(2 * mean / 700)
    assert [
        shown(found, "h100", f"batch {group}")["n"] for group in ("≤ 16", "17–128", "> 128")
    ] == [1, 2, 1]
    assert (
        shown(found, "h100", "lm-arena-chat")["n"] == shown(found, "h100", "llama-3.1-8b")["n"] == 4
    )
    assert (
        "4 of 4" in found.summary[0]
        and "0.13 of the measured = 0.50 in power × 0.25 in time" in found.summary[1]
    )
    record = found.record()  # numbers that JSON can hold
    assert len(record["rows"]) == 7


@pytest.mark.parametrize(
    ("deviation", "reason"),
    [
        ({"model": "acme/Unheard-7B"}, "model 'acme/Unheard-7B' is not shipped"),
        ({"hardware": "Z9000"}, "device 'Z9000' is not in the catalogue"),
        ({"precision_weights": "int3"}, "precision 'int3'"),
        ({"phase": "prefill+queue"}, "phase 'prefill+queue'"),
        ({"params_note": "task sourcegraph-fim; x"}, "task sourcegraph-fim: prompts are long"),
        ({"power": None, "input_len": "1"}, "not both"),
        ({"output_len": ""}, "output length is not stated"),
        ({"batch_or_concurrency": "90000"}, "caches of 90000 sequences do not fit"),
        ({"batch_or_concurrency": "0"}, "batch"),
        ({"tp": "4"}, "data degree"),
    ],
)
def test_what_cannot_be_compared_is_listed_with_its_reason(tmp_path, deviation, reason):
    good = {"energy": 0.7, "power": 450}
    found = table(Settings(written(tmp_path, good, good | deviation)))
    assert "1 of 2" in found.summary[0]
    (told,) = [note for note in found.notes if note.startswith("Not compared")]
    assert told.startswith("Not compared, 1: ") and reason in told


def test_refused_without_data(tmp_path):
    for settings in (Settings(), Settings(tmp_path)):
        with pytest.raises(
            Refused, match=f"expected --data FOLDER with {energy.FILE} in it"
        ) as refusal:
            table(settings)
        assert "\n" not in str(refusal.value)


def test_refused_where_nothing_can_be_compared(tmp_path):
    with pytest.raises(Refused, match=r"nothing in .* can be compared: model 'x' is not shipped"):
        table(Settings(written(tmp_path, {"model": "x", "energy": 1, "power": 1})))


def test_refused_where_the_file_is_another(tmp_path):
    (tmp_path / energy.FILE).write_text("a,b\n1,2\n")
    with pytest.raises(Refused, match="has no column model, hardware"):
        table(Settings(tmp_path))
    with pytest.raises(Refused, match="line 2: value is 'much'; expected a number"):
        table(Settings(written(tmp_path, {"energy": "much", "power": 1})))


def test_the_command_refuses_with_one_sentence(refused):
    assert "--data FOLDER" in refused("reproduce", "energy")


@pytest.mark.skipif(MEASURED is None, reason=f"no {energy.FILE} in {' or '.join(map(str, HOMES))}")
def test_every_measured_point_is_accounted_for():
    assert MEASURED is not None
    points, reasons = read(MEASURED / energy.FILE)
    with (MEASURED / energy.FILE).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(points) + len(reasons) == sum(row["metric"] == energy_points.ENERGY for row in rows)
    assert all("sourcegraph-fim" in reason for reason in reasons)
    # Energy per token is power over throughput, so the time that we derive is batch over the
    # throughput that is stated too.
    first = next(point for point in points if batch_group(point.batch) == "> 128")
    rates = [
        float(row["value"])
        for row in rows
        if row["metric"] == "output_throughput"
        and float(row["batch_or_concurrency"]) == first.batch
    ]
    assert any(first.batch / rate == pytest.approx(first.seconds, rel=1e-4) for rate in rates)

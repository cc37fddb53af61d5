"""Measured points of ML.ENERGY: rows of a file, read and checked."""

import csv
import dataclasses
import io
import re
from pathlib import Path

import hardware_priors
from codesign.files import read_text
from codesign.workload.catalogue import canonical, index
from experiments.terminal.refusal import Refused

ENERGY, POWER = "gpu_energy_per_output_token", "gpu_power_avg_total"
LARGEST, MOST = 256 * 2**20, 1e12
"""Bytes of the file; any number in it."""
UNITS = {ENERGY: "J/tok", POWER: "W"}


BITS = {"bfloat16": 16, "bf16": 16, "float16": 16, "fp16": 16, "fp8": 8}


PHASE = "steady_state_serving"


LONG_PROMPTS = ("sourcegraph-fim",)
"""Tasks whose prompts are long beside their outputs, of a length that nobody published: their
energy is mostly prefill."""


NEEDED = (
    "model",
    "hardware",
    "n_chips",
    "tp",
    "ep",
    "precision_weights",
    "phase",
    "batch_or_concurrency",
    "input_len",
    "output_len",
    "metric",
    "value",
    "unit",
    "params_note",
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """One measured operating point."""

    model: str
    """name of the shipped facts"""
    device: str
    """name in the catalogue"""
    task: str
    bits: int
    """width of weights and activations [bit]; the cache is at 16 bit, which the file does not state
    """
    chips: float
    tensor: float
    expert: float
    batch: float
    context: float
    """cached positions halfway through the output [1]"""
    energy: float
    """of all GPUs per output token [J]"""
    power: float
    """mean of one GPU [W]"""

    @property
    def seconds(self) -> float:
        """Time per output token of a user, prompts of others included [s]: energy · batch / power,
        all GPUs."""
        return self.energy * self.batch / (self.power * self.chips)


@dataclasses.dataclass(frozen=True)
class Compared:
    """A measured point and our prediction for it; powers of one GPU [W], times [s], energies
    [J]."""

    measured: Measured
    power: float
    seconds: float
    static: float
    """the part of our power that flows whatever the chip does [W]"""
    moved: float
    """bytes that one chip moves in a step [B]"""
    rating: float | None
    """rated power [W]"""

    @property
    def energy(self) -> float:
        """Of all chips per token [J]."""
        return self.power * self.seconds * self.measured.chips / self.measured.batch

    @property
    def energy_at_measured_pace(self) -> float:
        """Per token, had the step taken as long as it was measured to take [J]: same work, more
        static energy."""
        step = (self.power - self.static) * self.seconds + self.static * self.measured.seconds
        return step * self.measured.chips / self.measured.batch


def read(path: Path) -> tuple[list[Measured], list[str]]:
    """Operating points of a file in the schema of measured results, and a reason for each that
    cannot be compared.

    Raises:
        Refused: unreadable, a column is missing, or a value is not a number.
    """
    rows = _rows(path)
    grouped: dict[tuple[str, ...], tuple[dict[str, str], dict[str, float]]] = {}
    for line, row in rows:
        key = tuple(
            value for column, value in row.items() if column not in ("metric", "value", "unit")
        )
        values = grouped.setdefault(key, (row, {}))[1]
        if UNITS.get(row["metric"]) == row["unit"]:
            values[row["metric"]] = _number(row["value"], f"{path} line {line}: value")
    points, reasons = [], []
    for row, values in grouped.values():
        found = _point(row, values, str(path))
        (reasons if isinstance(found, str) else points).append(found)
    return points, reasons


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows with their lines, each with a field for every column."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, "not a CSV file", LARGEST), newline=""))
        columns = reader.fieldnames or ()
        rows = [(reader.line_num, row) for row in reader]
    except (ValueError, csv.Error) as error:
        raise Refused(f"cannot read {path}: {error}") from None
    missing = [column for column in NEEDED if column not in columns or not rows]
    if missing:
        raise Refused(
            f"{path} has no column {', '.join(missing)}; expected the schema of the measured energy"
            " of ML.ENERGY"
        )
    for line, row in rows:
        if None in row or None in row.values():
            count = sum(value is not None for name, value in row.items() if name is not None) + len(
                row.get(None, ())
            )
            raise Refused(
                f"{path} line {line} has {count} fields; expected {len(columns)}, one for each"
                " column"
            )
    return rows


def _number(text: str, where: str, blank: float | None = None, least: float = 0.0) -> float:
    if blank is not None and not text.strip():
        return blank
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= MOST:
        raise Refused(
            f"{where} is {text!r}; expected a number of at least {least:g} and at most {MOST:g}"
        )
    return number


def _point(row: dict[str, str], values: dict[str, float], where: str) -> Measured | str:
    """The operating point, or why there is none that we can compare with."""
    task = re.search(r"\btask ([\w-]+)", row["params_note"])
    name, hardware = row["model"], row["hardware"].split("-")[0].lower()
    if not row["phase"].startswith(PHASE):
        return f"phase {row['phase']!r} is not {PHASE}"
    if task and task[1] in LONG_PROMPTS:
        return (
            f"task {task[1]}: prompts are long, of unpublished length, and their prefill is in the"
            " energy per output token"
        )
    if row["precision_weights"] not in BITS:
        return f"precision {row['precision_weights']!r} is unknown"
    if not all(values.get(metric, 0) > 0 for metric in UNITS):
        return f"{name}: not both {ENERGY} [J/tok] and {POWER} [W] are stated"
    if hardware not in hardware_priors.device_names():
        return f"device {row['hardware']!r} is not in the catalogue"
    shipped = index().get(canonical(name))
    if shipped is None:
        return f"model {name!r} is not shipped"
    chips = _number(row["n_chips"], f"{where}: n_chips")
    if chips < 1 or not row["batch_or_concurrency"] or not row["output_len"]:
        return f"{name}: number of chips, batch or output length is not stated"
    # The prompt's length is not published and short by the benchmark's own account: where blank it
    # counts as nothing.
    prompt = _number(row["input_len"], f"{where}: input_len", blank=0.0)
    return Measured(
        model=shipped,
        device=hardware,
        task=task[1] if task else "not stated",
        bits=BITS[row["precision_weights"]],
        chips=chips,
        tensor=_number(row["tp"], f"{where}: tp", blank=chips, least=1.0),
        expert=_number(row["ep"], f"{where}: ep", blank=1.0, least=1.0),
        batch=_number(row["batch_or_concurrency"], f"{where}: batch_or_concurrency"),
        context=prompt + _number(row["output_len"], f"{where}: output_len") / 2,
        energy=values[ENERGY],
        power=values[POWER] / chips,
    )

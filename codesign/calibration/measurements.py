"""Read files of measured results in the common schema, one dictionary a row (units are converted here)."""

import csv
import dataclasses
import math
from pathlib import Path

COLUMNS = (
    "model", "hardware", "n_chips", "tp", "pp", "ep", "precision_weights", "precision_kv", "phase",
    "batch_or_concurrency", "input_len", "output_len", "metric", "value", "unit", "software",
)  # fmt: skip
"""Columns that a file must have; ``source``, ``date``, ``dp_attn``, ``mode``, ``prefill_layout`` and ``decode_layout`` are used where
present."""

_TO_SI = {
    "ms": 1e-3, "s": 1.0, "us": 1e-6, "tok/s": 1.0, "tok/s/gpu": 1.0, "tok/s/user": 1.0, "J/tok": 1.0, "W": 1.0,
    "tok/s/gpu(in+out)": 1.0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One row of a file, as printed but for the value, which is in SI units."""

    file: str
    line: int
    text: dict[str, str]
    value: float

    def number(self, column: str) -> float | None:
        """The number in a column, or None where the source does not state it."""
        text = self.text.get(column, "")
        try:
            number = float(text)
        except ValueError:
            return None
        return number if math.isfinite(number) else None


def read_measurements(path: str | Path) -> list[Measurement]:
    """Read one CSV file of measured results.

    Args:
        path: the file; its columns are ``COLUMNS`` at least.

    Returns:
        One ``Measurement`` a row, values in SI.

    Raises:
        ValueError: no such file, missing columns, or a value that is no positive number, naming the line.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path}: columns {', '.join(missing)} are missing; expected {', '.join(COLUMNS)}")
            return [_measurement(path, line, row) for line, row in enumerate(reader, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error})") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; expected a CSV file of measured results") from None


def _measurement(path: Path, line: int, row: dict[str, str | None]) -> Measurement:
    text = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and not isinstance(value, list)}
    try:
        value = float(text["value"])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise ValueError(f"{path}, line {line}: value = {text['value']!r}, expected a positive number")
    return Measurement(path.name, line, text, value * _TO_SI.get(text["unit"], math.nan))

"""Read files of measured results in the common schema, one dictionary a row (units are converted
here).

Files come from strangers: other delimiters, columns in any order and number, and values that are
missing or no numbers are read as far as they can be. What cannot be used of a row is the row's own
matter (``cases.map_rows`` gives the reason); only a file that is none of the kind is refused.
"""

import csv
import dataclasses
import math
from pathlib import Path

NEEDED = ("model", "hardware", "phase", "metric", "value", "unit")
"""Columns that a file must have."""

OPTIONAL = (
    "n_chips",
    "tp",
    "pp",
    "ep",
    "precision_weights",
    "precision_kv",
    "batch_or_concurrency",
    "input_len",
    "output_len",
    "software",
    "source",
    "date",
    "params_note",
    "dp_attn",
    "mode",
    "prefill_layout",
    "decode_layout",
)
"""Columns that are used where they are there; a blank means that the source does not state it."""

DELIMITERS = (",", ";", "\t", "|")

_TO_SI = {
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "seconds": 1.0,
    "us": 1e-6,
    "µs": 1e-6,
    "tok/s": 1.0,
    "tokens/s": 1.0,
    "token/s": 1.0,
    "tok/s/gpu": 1.0,
    "tok/s/user": 1.0,
    "J/tok": 1.0,
    "J/token": 1.0,
    "W": 1.0,
    "kW": 1e3,
    "tok/s/gpu(in+out)": 1.0,
}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One row of a file, as printed but for the value, which is in SI units (nan: no positive
    number, or of no known unit)."""

    file: str
    line: int
    text: dict[str, str]
    value: float

    def number(self, column: str) -> float | None:
        """The number in a column, or None where the source does not state it."""
        number = _number(self.text[column])
        return number if math.isfinite(number) else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def read_measurements(path: str | Path) -> list[Measurement]:
    """Read one file of measured results.

    Args:
        path: text with a header line; fields are separated by commas, semicolons, tabs or bars.
            Columns that are not of the schema are passed over.

    Returns:
        One ``Measurement`` a row, values in SI; blank lines are none.

    Raises:
        ValueError: no such file, no text, or columns without which no row says anything.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split(
            "\n"
        )  # ends of lines are universal in text
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: no text in UTF-8 ({error.reason} at byte {error.start}); expected a CSV file"
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror or error}; expected a CSV file of measured results"
        ) from None
    skipped = next((k for k, line in enumerate(lines) if line.strip()), None)
    if skipped is None:
        raise ValueError(
            f"{path}: the file is empty; expected a header line with {', '.join(NEEDED)}"
        )
    header = lines[skipped]
    delimiter = max(DELIMITERS, key=header.count)
    try:
        rows = list(csv.reader(lines[skipped:], delimiter=delimiter))
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV file ({error})") from None
    names = [name.strip().casefold() for name in rows[0]]
    if missing := [name for name in NEEDED if name not in names]:
        raise ValueError(
            f"{path}: columns {', '.join(missing)} are missing; expected"
            f" {', '.join((*NEEDED, *OPTIONAL))}"
        )
    found = [
        (line, row)
        for line, row in enumerate(rows[1:], start=skipped + 2)
        if any(field.strip() for field in row)
    ]
    if not found:
        raise ValueError(
            f"{path}: the file has a header and no rows; expected one measured number a row"
        )
    return [_measurement(path, line, names, row, delimiter) for line, row in found]


def _measurement(
    path: Path, line: int, names: list[str], row: list[str], delimiter: str
) -> Measurement:
    text = dict.fromkeys((*NEEDED, *OPTIONAL), "") | {
        name: field.strip() for name, field in zip(names, row, strict=False)
    }
    if delimiter == ";":  # where semicolons separate fields, commas separate decimals
        numbers = (
            "value",
            "n_chips",
            "tp",
            "pp",
            "ep",
            "batch_or_concurrency",
            "input_len",
            "output_len",
        )
        text |= {name: text[name].replace(",", ".") for name in numbers}
    value = _number(text["value"]) * _TO_SI.get(text["unit"], math.nan)
    return Measurement(path.name, line, text, value if 0.0 < value < math.inf else math.nan)

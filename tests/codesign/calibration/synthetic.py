"""Small synthetic files of measured results: the schema, with numbers that the terms themselves
made."""

from pathlib import Path

COLUMNS = (
    "source,model,hardware,n_chips,tp,pp,ep,precision_weights,precision_kv,phase,batch_or_concurrency,input_len,output_len,"
    "metric,value,unit,software,date,provenance,params_note"
)


def line(**fields: object) -> str:
    """One row; columns left out are blank."""
    values = {
        "source": "synthetic",
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "hardware": "H100-SXM",
        "n_chips": 1,
        "tp": 1,
        "pp": 1,
        "ep": 1,
        "precision_weights": "bf16",
        "phase": "decode+interleaved_prefill",
        "batch_or_concurrency": 8,
        "input_len": 1024,
        "output_len": 1024,
        "metric": "tpot_mean",
        "value": 10.0,
        "unit": "ms",
        "software": "vllm-0.19.0",
        "date": "2026-01",
    } | fields
    return ",".join(str(values.get(column, "")) for column in COLUMNS.split(","))


def write(folder: Path, rows: list[str], name: str = "measured.csv") -> Path:
    """A file of rows."""
    path = folder / name
    path.write_text("\n".join([COLUMNS, *rows]) + "\n", encoding="utf-8")
    return path

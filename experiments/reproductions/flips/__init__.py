"""Where the findings of the limit study (arXiv 2507.14397) flip, with 90 % bands over the
priors."""

from experiments.reproductions.flips.bands import DRAWS, Finding
from experiments.reproductions.table import Column, Settings, Table

COLUMNS = tuple(
    Column(name)
    for name in ("question", "setting", "nominal", "5 %", "95 %", "unit", "what it means")
)


def table(settings: Settings) -> Table:
    """All four questions in one table; the same seed gives the same numbers."""
    from experiments.reproductions.flips import bandwidth, capacity, memory_notes, speed

    findings = [
        question.finding(settings.seed) for question in (capacity, bandwidth, memory_notes, speed)
    ]
    return assembled(findings)


def assembled(findings: list[Finding]) -> Table:
    """Findings as one table."""
    return Table(
        title="Where the findings of the limit study flip (arXiv 2507.14397)",
        columns=COLUMNS,
        rows=[
            (row.question, row.setting, *row.band, row.unit, row.meaning)
            for one in findings
            for row in one.rows
        ],
        summary=[line for one in findings for line in one.summary],
        notes=[*NOTES, *(line for one in findings for line in one.notes)],
    )


NOTES = (
    (
        f"Bands: 5 % and 95 % quantiles of {DRAWS} technologies drawn whole from the ranges of"
        " hardware_priors, nominal beside them; equal numbers where no prior enters; – and … where"
        " such a draw has no such point in the range searched."
    ),
    (
        "Executions: 'limit' is the study's (everything overlaps but syncs, full peaks, ideal"
        " division; 3 syncs a layer, 2 more with experts); 'operatorwise' is ours (attainable"
        " fractions, real slices, switches that add: one sync an all-reduce)."
    ),
    (
        "The numbers of the study stand in its secondary literature and are met by 405e9 B of"
        " weights, 4 TiB/s and 4.5 µs of syncs a layer (tests/codesign/test_limit_study.py); its"
        " paper's own tables of cost and power were not found."
    ),
)

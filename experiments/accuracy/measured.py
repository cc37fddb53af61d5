"""Measured files, mapped to cases with the catalogues of models and devices."""

from collections.abc import Sequence

from codesign.calibration.cases import Case, Unmapped, map_rows
from codesign.calibration.measurements import read_measurements
from codesign.workload.catalogue import index
from experiments.terminal.refusal import Refused
from hardware_priors.machines import find_machine


def mapped(paths: Sequence[str]) -> tuple[list[Case], list[Unmapped]]:
    """Read and map files of measured results.

    Raises:
        Refused: no file is given, or one cannot be read, in one sentence.
    """
    if not paths:
        raise Refused("no file of measured results is given; expected at least one CSV file")
    try:
        rows = [row for path in paths for row in read_measurements(path)]
    except ValueError as error:
        raise Refused(str(error)) from None
    return map_rows(rows, find_machine, index().get)

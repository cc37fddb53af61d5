"""Calibration of the performance model against published measurements: rows → features → fit →
profile → validation."""

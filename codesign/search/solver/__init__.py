"""Solving geometric programs, many at a time, with a bound from the Lagrangian dual."""

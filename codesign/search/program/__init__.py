"""The geometric program of a statement at given integers: structure, coefficients, values and
derivatives."""

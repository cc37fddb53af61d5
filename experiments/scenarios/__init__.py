"""Scenarios: their files, what may stand in them, and the problem that follows."""

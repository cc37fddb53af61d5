"""One operating point: its arguments, its report, what a reader must be told of it."""

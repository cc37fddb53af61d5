"""One module per command: a dataclass of its arguments, and ``run``."""

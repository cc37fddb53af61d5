"""The tests. ``--jaxtyping-packages=codesign,objectives,hardware_priors,tests.check_types`` checks
every annotation while they run."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "check_types":  # beartype, for which an int is a float (PEP 484)
        from beartype import BeartypeConf, beartype

        return beartype(conf=BeartypeConf(is_pep484_tower=True))
    raise AttributeError(f"module 'tests' has no attribute {name!r}")

"""How many random examples a property is tried on (profiles: ``conftest.py`` at the root).

The default profile draws the same examples at every run, so that nobody's run depends on luck. The
profile ``nightly`` draws new ones, ten times as many: ``HYPOTHESIS_PROFILE=nightly`` or
``--hypothesis-profile=nightly``. What it finds stays as an ``@example``.
"""

from typing import Any

import pytest
from hypothesis import settings


def thorough() -> bool:
    """Whether this is the long, random run."""
    return settings.get_current_profile_name() == "nightly"


nightly = pytest.mark.skipif(
    not thorough(), reason="takes a minute of a processor: nightly (HYPOTHESIS_PROFILE=nightly)"
)
"""Mark of a test that the default run leaves to the nightly one."""


def examples(count: int, **options: Any) -> settings:
    """Settings of a property that ``count`` examples try by default."""
    return settings(max_examples=10 * count if thorough() else count, **options)

"""The strict environment: float64, no silent dtype promotion, warnings are errors (see pyproject.toml).

Random examples are the same at every run, unless ``HYPOTHESIS_PROFILE=nightly`` asks for new ones, ten times as many.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

settings.register_profile("default", derandomize=True, deadline=None)  # a first call compiles
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

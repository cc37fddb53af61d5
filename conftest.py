"""The strict environment: float64, no silent promotion of dtypes or ranks, warnings are errors (see
pyproject.toml).

Programs run once or twice here, so XLA compiles them in the shortest time (0.4 of it:
``codesign.numerics.compilation``), unless ``XLA_FLAGS`` says otherwise. Random examples are the
same at every run, unless ``HYPOTHESIS_PROFILE=nightly`` asks for new ones, ten times as many; that
profile also checks every annotation by beartype (an eighth more processor time: too much for every
run).
"""

import os
import signal
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

import jax
import jaxtyping
import pytest
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile("default", derandomize=True, deadline=None)  # a first call compiles
settings.register_profile("nightly", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores Ctrl-C, and so would the programs that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

MOST_MAPS = 40_000
"""Memory maps of a process at which its compiled programs are dropped. The kernel allows 65,530
(``vm.max_map_count``), every program takes a few, and a worker that asks for more dies."""


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Drop compiled programs between two files, where there are too many."""
    maps = Path("/proc/self/maps")
    if (nextitem is not None and nextitem.path == item.path) or not maps.exists():
        return
    if maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()


def pytest_configure(config: pytest.Config) -> None:
    """Let beartype draw which item of a list it looks at, where annotations are checked: hypothesis
    warns of random numbers while it draws an example."""
    if NIGHTLY or config.getoption("jaxtyping_packages", None):
        config.addinivalue_line(
            "filterwarnings", "ignore:Do not use the `random` module inside strategies"
        )


NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"

if NIGHTLY:
    jaxtyping.install_import_hook(
        ["codesign", "objectives", "hardware_priors"], "tests.check_types"
    )


@pytest.fixture(autouse=True)
def annotations(request: pytest.FixtureRequest):
    """Let a test marked ``wrongly_typed`` give what annotations forbid: what it holds is our own
    refusal, which a type checker would come before."""
    wrongly = request.node.get_closest_marker("wrongly_typed") is not None
    jaxtyping.config.update("jaxtyping_disable", wrongly)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

"""The new operators against the second counter: on shipped models to 0.1 %, on small examples to
what is left out."""

import pytest

from codesign.workload.catalogue import model, model_facts, model_names
from codesign.workload.config_json import read_config
from codesign.workload.config_json.wrappers import language_model
from codesign.workload.parameters import (
    active_parameter_count,
    parameter_count,
    state_bytes_per_token,
)
from tests.codesign.model_examples import EXAMPLES, PUBLISHED
from tests.codesign.second_counter import COUNTERS


def fields_of(name: str) -> tuple[str, dict]:
    """The type and fields of a shipped model's language model."""
    found = language_model(model_facts(name), set(COUNTERS))
    return found.model_type, found.fields


SHIPPED = [name for name in model_names() if fields_of(name)[0] in COUNTERS]


def test_nearly_every_counter_meets_a_shipped_model():
    met = {fields_of(name)[0] for name in SHIPPED}
    without = {"falcon_h1", "zamba2", "bailing_hybrid", "mamba"}
    assert set(COUNTERS) - met == without | {fields["model_type"] for fields, *_ in PUBLISHED}


@pytest.mark.parametrize(
    ("fields", "parameters", "active", "cache"), PUBLISHED, ids=lambda value: str(value)[:24]
)
def test_published_files_agree(fields, parameters, active, cache):
    """To 0.1 % with the counter; with the round published numbers to a percent, of active ones to
    five (who counts tables and who does not)."""
    read = read_config(fields)
    found = float(parameter_count(read))
    assert found == pytest.approx(COUNTERS[fields["model_type"]](fields), rel=1e-3)
    assert found == pytest.approx(parameters, rel=0.01)
    assert float(active_parameter_count(read)) == pytest.approx(active, rel=0.05)
    assert float(state_bytes_per_token(read, 2.0)) == 2 * cache


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_agree(name):
    model_type, fields = fields_of(name)
    assert float(parameter_count(model(name))) == pytest.approx(
        COUNTERS[model_type](fields), rel=1e-3
    )


@pytest.mark.parametrize("model_type", sorted(COUNTERS))
def test_matrices_of_small_examples_agree(model_type):
    """At a hundredth of a real width, norms and biases are a hundred times as much: 3 % in the sum
    of the layers."""
    fields = EXAMPLES[model_type]
    assert float(parameter_count(read_config(fields))) == pytest.approx(
        COUNTERS[model_type](fields), rel=0.03
    )

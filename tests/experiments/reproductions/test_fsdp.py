"""Fully sharded training (arXiv 2504.03655): the abstract's claim, and the machines."""

import pytest

from experiments.reproductions import fsdp


def test_memory_and_network_bind_on_a_slow_port():
    (first, *others) = fsdp.claims("llama-3.1-70b", 512)
    assert first.verdict == "met"
    assert [each.verdict.split(":")[0] for each in others] == ["ours alone", "not reproducible"]


def test_the_best_share_kept_is_the_best_of_the_grid_and_elasticities_are_balanced():
    run, cluster = fsdp.run_of("llama-3.1-70b"), fsdp.cluster_of("h100", 512)
    found = fsdp.train(run, cluster)
    assert 0.0 < found.kept < 1.0 and 0.75 < float(found.step.efficiency) < 1.0
    # bandwidth and FLOP/s enter by their quotient alone
    slopes = found.slopes
    assert slopes["network_bandwidth"] == pytest.approx(-slopes["peak_flops"], abs=1e-9)


def test_states_that_do_not_fit_are_refused(refused):
    told = refused("reproduce", "fsdp", "--models", "llama-3.1-405b", "--chips", 8, code=3)
    assert "expected more of them" in told

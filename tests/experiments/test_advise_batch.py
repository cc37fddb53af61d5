"""``codesign advise-batch``: its answer holds by itself, and bad input is refused."""

import pytest

ASKED = ("advise-batch", "--model", "opt-1.3b", "--device", "h100", "--context", 256)


@pytest.fixture
def answer(run):
    return run(*ASKED, "--latency-promise", "2x", "--largest-batch", 256, "--json").json


def test_the_answer_keeps_what_it_promises(answer):
    assert answer["time_per_token_s"] <= answer["promise_s"] and answer["efficiency"] > 0.1
    assert answer["stopped_by"] == "promise" and answer["batch"] < answer["largest_batch_that_fits"]
    assert answer["tokens_per_second"] == pytest.approx(
        answer["batch"] / answer["time_per_token_s"], rel=1e-9
    )
    first, second = answer["replicas"][:2]
    assert first["tokens_per_second"] == pytest.approx(answer["tokens_per_second"], rel=1e-9)
    ratio = second["tokens_per_second"] / first["tokens_per_second"]
    assert 1.0 < ratio <= 2.0 and second["time_per_token_s"] > first["time_per_token_s"]
    # weights 2.6 GB and a cache of 192 KiB a position, by hand
    by_hand = (answer["largest_batch_that_fits"] - answer["batch"]) * 256 * 24 * 2 * 2048 * 2
    assert answer["memory_freed_bytes"] == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--latency-promise", "fast"), 2, "--latency-promise is 'fast'"),
        (("--latency-promise", "0 ms"), 2, "a time above zero"),
        (("--latency-promise", "1 us"), 3, "longer than the promise"),
        (("--latency-promise", "2x", "--memory-capacity", "1 GB"), 3, "does not fit"),
        (("--latency-promise", "2x", "--efficiency-floor", 1.5), 2, "--efficiency-floor is '1.5'"),
    ],
)
def test_what_cannot_be_advised(refused, options, code, told):
    small = () if "--efficiency-floor" in options else ("--largest-batch", 64)
    assert told in refused(*ASKED, *options, *small, code=code)

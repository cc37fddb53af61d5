"""What is asked: legal numbers pass, others are refused by name."""

import math

import pytest

from codesign.planning.demand import Demand


def test_a_short_prompt_is_one_chunk():
    assert Demand(prompt=100, output=10).chunks == 1.0
    assert Demand(prompt=8192, output=10, cached=0.5).chunks == 2.0


@pytest.mark.wrongly_typed
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"prompt": 0}, "prompt is 0; expected a finite number of at least 1"),
        ({"output": math.nan}, "output is nan"),
        ({"cached": 1.0}, "cached is 1; expected at least 0 and below 1"),
        ({"rate": -1.0}, "rate is -1; expected more than 0"),
        ({"rate": math.inf}, "rate is inf requests/s; expected a finite number"),
        ({"users": 2.5}, "users is 2.5; expected a whole number"),
        ({"users": 0}, "users is 0"),
        ({"token_promise": 0.0}, "token promise is 0; expected more than 0"),
        ({"rate": 1.0, "users": 2}, "expected one of them"),
    ],
)
def test_illegal_numbers_are_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Demand(**{"prompt": 100, "output": 10, **options})

"""Nothing moves unseen: 240 kept operating points, every fourth combination in the daily run."""

from tests.codesign.golden import COMBINATIONS, differences, kept, outcomes
from tests.examples import thorough


def test_outcomes_are_those_that_were_kept():
    chosen = COMBINATIONS if thorough() else COMBINATIONS[::4]
    now, before = outcomes(chosen), kept()
    assert len(now) == (len(before) if thorough() else 60)
    asked = {key: value for key, value in before.items() if key[:3] in chosen}
    assert differences(now, asked) == [], (
        "told in the CHANGELOG? then: JAX_ENABLE_X64=1 python -m tests.codesign.golden --bless"
    )


def test_a_difference_is_told():
    before = {("dense", "decode", "limit", "0"): {"step_time": 1.0, "capacity_needed": 2.0}}
    now = {
        ("dense", "decode", "limit", "0"): {"step_time": 1.0 + 1e-8, "capacity_needed": 2.0},
        ("new",): {},
    }
    assert differences(now, before) == [
        "new: new",
        "dense decode limit 0: step_time 1 → 1.00000001 (+0.00%)",
    ]
    assert differences(before, before) == []

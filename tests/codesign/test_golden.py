"""Nothing moves unseen: 240 kept operating points."""

from tests.codesign.golden import differences, kept, outcomes


def test_outcomes_are_those_that_were_kept():
    now = outcomes()
    assert len(now) >= 200
    assert differences(now, kept()) == [], (
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

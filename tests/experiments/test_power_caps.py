"""The page of power caps: devices run under them, designs are sought under them."""

import pytest

from experiments.sensitivity import power_caps
from experiments.sensitivity.power_caps import Sought, devices, tables


def test_a_device_slows_down_no_more_than_its_cap_falls():
    found = devices(["b200"])
    assert [one.watts for one in found] == [1000.0 * share for share in power_caps.SHARES]
    for one in found:
        speeds = (one.decode, one.prefill)
        assert one.share == 1.0 or all(one.share < speed <= 1.0 for speed in speeds)
        assert one.decode == pytest.approx(one.decode_clock, rel=1e-6)  # all slows with the clock


def test_tables_have_a_row_each():
    sought = [Sought(1000.0, 900.0, 2.0, 95.0, 4.75e15, 0.0529, 1.43, 50.4)]
    told = tables(devices(["h100"]), sought)
    assert told.count("| h100 |") == len(power_caps.SHARES)
    assert "| 1000 | 900 | 2, 95 | 4.75 | 0.0529 | 1.43 | 50.4 |" in told

"""Thermal chiplets (arXiv 2507.18040): bounds, hot spots of H100 and B200, silicon against
glass."""

import pytest

from experiments.reproductions import thermal_chiplets as reproduced
from experiments.reproductions.thermal_chiplets.packages import GLASS, SILICON, lay_out

MINE = """
memory_bandwidth = "1 TB/s"
memory_capacity = "80 GB"
peak_flops = "1 PFLOP/s"
sync_latency = "2 us"
link_bandwidth = "450 GB/s"
"""


@pytest.fixture(scope="module")
def judged():
    """Packages of one shape of program."""
    return {
        packaging: reproduced.judged(lay_out("b200", packaging)) for packaging in (SILICON, GLASS)
    }


def test_the_abstract_is_a_bound_and_no_more():
    first, *others, bow = reproduced.bounds("b200")
    assert first.verdict == "met as a bound" and -2.0 < float(first.ours) < 0.0
    assert all(each.verdict.startswith("not reproducible") for each in others)
    assert bow.verdict == "met"


def test_hot_spots_come_on_top_of_the_even_rise(judged):
    found = judged[SILICON]
    assert found.even_logic == pytest.approx(29.1, abs=0.5)  # 50 K mm²/W · 1000 W / 1721 mm²
    assert found.logic == pytest.approx(44.8, abs=1.0)
    assert found.within and 5.0 < found.logic_band < 15.0


def test_glass_is_hotter_by_little_and_bends_less(judged):
    silicon, glass = judged[SILICON], judged[GLASS]
    assert 0.0 < glass.memory - silicon.memory < 1.0
    assert glass.bow < silicon.bow < 0.3e-3


def test_a_device_without_a_technology_is_refused(refused, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    told = refused("reproduce", "thermal-chiplets", "--device", path)
    assert "technology" in told

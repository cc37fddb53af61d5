"""A limit is written once: one more row in the table of limits is all that a limit takes.

In a process of its own the row is put into the source of ``codesign/limits.py`` before anything
else is imported; what people read, the outcome, the program with its proof, the audit and the front
must all know it.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = '''
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_file_location

PATH, START = "codesign/limits.py", "ROWS: tuple[LimitRow, ...] = ("
ROW = """
    LimitRow(
        "rack_power", words="power of a rack",
        share=lambda s, m: 64.0 * s.peak / 20e3,
    ),"""


class OneMoreRow(SourceFileLoader):
    def get_code(self, name):
        source = open(PATH, encoding="utf-8").read()
        assert source.count(START) == 1
        return compile(source.replace(START, START + ROW), PATH, "exec")


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "codesign.limits":
            return spec_from_file_location(name, PATH, loader=OneMoreRow(name, PATH))


sys.meta_path.insert(0, Finder)

import numpy as np
import codesign, objectives
from codesign.limits import LIMIT_NAMES, limit_words
from experiments.examples.small_space import CHIP, SERVICE, SPACE, WORK, WORLD, search
from experiments.runs.columns import MACHINE_LIMITS

assert LIMIT_NAMES[0] == MACHINE_LIMITS[0] == "rack_power"
assert limit_words("rack_power") == "power of a rack"
outcome = codesign.evaluate(CHIP, WORK, technology=WORLD)
said = float(outcome.limits.rack_power)
assert np.isclose(said, np.log(64.0 * float(outcome.peak_power) / 20e3), atol=1e-5)
front = search([objectives.objective("tokens/s/$")])
assert np.isclose(float(front.outcomes[0].peak_power[0]), 20e3 / 64.0, rtol=1e-6)
assert "rack_power" in front.binding[0] and front.multipliers["rack_power"][0] > 1e-3
assert front.status[0] == "GLOBAL", front.status  # the audit compared the row
print("one row")
'''


def test_one_row_is_all_that_a_limit_takes():
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=ROOT
    )
    assert found.stdout.strip() == "one row", found.stderr[-2000:]

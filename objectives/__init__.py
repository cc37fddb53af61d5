"""What to maximise: per dollar, per watt, per user."""

from objectives.catalogue import OBJECTIVES as OBJECTIVES
from objectives.catalogue import Objective as Objective
from objectives.catalogue import objective as objective

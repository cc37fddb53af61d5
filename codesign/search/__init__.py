"""Searching for designs and proving how good they are."""

from codesign.search.choices import Choice as Choice
from codesign.search.choices import Kind as Kind
from codesign.search.front import GLOBAL as GLOBAL
from codesign.search.front import GLOBAL_AT_ITS_INTEGERS as GLOBAL_AT_ITS_INTEGERS
from codesign.search.front import LOCAL as LOCAL
from codesign.search.front import Front as Front
from codesign.search.front import Infeasible as Infeasible
from codesign.search.front import optimize as optimize
from codesign.search.goals import Bound as Bound
from codesign.search.problem import Service as Service
from codesign.search.problem import service as service
from codesign.search.space import CONTINUOUS as CONTINUOUS
from codesign.search.space import Space as Space

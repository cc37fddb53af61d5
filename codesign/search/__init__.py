"""Searching for designs and proving how good they are."""

from codesign.search.optimize import optimize as optimize
from codesign.search.pareto.front import GLOBAL as GLOBAL
from codesign.search.pareto.front import GLOBAL_AT_ITS_INTEGERS as GLOBAL_AT_ITS_INTEGERS
from codesign.search.pareto.front import LOCAL as LOCAL
from codesign.search.pareto.front import Front as Front
from codesign.search.pareto.front import Infeasible as Infeasible
from codesign.search.statement.choices import Choice as Choice
from codesign.search.statement.choices import Kind as Kind
from codesign.search.statement.goals import Bound as Bound
from codesign.search.statement.services import Service as Service
from codesign.search.statement.services import service as service
from codesign.search.statement.space import CONTINUOUS as CONTINUOUS
from codesign.search.statement.space import Space as Space

"""Differentiable hardware co-design for LLM inference.

>>> import codesign
>>> outcome = codesign.evaluate(design, workload, plan, technology=technology)  # doctest: +SKIP

Everything is a pure function of ``equinox`` pytrees whose float leaves have gradients. Units are SI.
"""

from codesign.evaluate import evaluate as evaluate
from codesign.evaluate import evaluate_table as evaluate_table
from codesign.hardware.build import Build as Build
from codesign.hardware.design import DESIGN_VARIABLES as DESIGN_VARIABLES
from codesign.hardware.design import Design as Design
from codesign.hardware.technology import Technology as Technology
from codesign.outcome import LIMIT_NAMES as LIMIT_NAMES
from codesign.outcome import Limits as Limits
from codesign.outcome import Outcome as Outcome
from codesign.performance.coefficients import Calibrated as Calibrated
from codesign.performance.collectives import ALGORITHMS as ALGORITHMS
from codesign.performance.execution import Dataflow as Dataflow
from codesign.performance.execution import Execution as Execution
from codesign.performance.execution import Limit as Limit
from codesign.performance.execution import Operatorwise as Operatorwise
from codesign.performance.plan import WHOLE_EXPERTS as WHOLE_EXPERTS
from codesign.performance.plan import Plan as Plan
from codesign.performance.plan import TierShares as TierShares
from codesign.physical.realize import built as built
from codesign.physical.realize import realize as realize
from codesign.serve import Pool as Pool
from codesign.serve import ServingOutcome as ServingOutcome
from codesign.serve import serve as serve
from codesign.workload.operators import OperatorTable as OperatorTable
from codesign.workload.operators import operator_table as operator_table
from codesign.workload.operators import pad as pad
from codesign.workload.phases import Decode as Decode
from codesign.workload.phases import Draft as Draft
from codesign.workload.phases import Phase as Phase
from codesign.workload.phases import Prefill as Prefill
from codesign.workload.phases import Serving as Serving
from codesign.workload.precision import Precision as Precision
from codesign.workload.precision import uniform as uniform
from codesign.workload.transformer import Transformer as Transformer
from codesign.workload.transformer import dense as dense
from codesign.workload.workload import Workload as Workload

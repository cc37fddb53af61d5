"""Differentiable hardware co-design for LLM inference.

Everything is a pure function of ``equinox`` pytrees whose float leaves have gradients. Units are
SI.

- **Model**: ``model`` (by name or config.json), ``dense``, ``Transformer``, ``LayerKind``,
  attention kinds ``GroupedAttention``, ``LatentAttention``, ``LinearAttention``, feed-forward kinds
  ``FeedForward``, ``MixtureOfExperts``; ``Precision``, ``uniform``. Your own kinds:
  ``AttentionKind``, ``FeedForwardKind``, made of ``Matrix``, ``Cache`` and ``Operator`` by a
  ``Writer``.
- **Work**: ``Workload``, phases ``Decode``, ``Prefill``, ``Serving``; ``Draft``.
- **Machine**: ``Design`` (what a chip can do), ``Technology`` (what that takes and costs),
  ``Build``, ``realize``, ``built``.
- **Plan**: ``Plan`` (degrees of parallelism, collectives), ``TierShares``, ``ALGORITHMS``,
  ``WHOLE_EXPERTS``; ``AllReduce``: your own.
- **Execution**: ``Operatorwise``, ``Dataflow``, ``LimitStudy``: how operators share time;
  ``Calibrated``: as machines were measured; ``Execution``, ``OperatorTimes``: your own.
- **Answers**: ``evaluate`` → ``Outcome``, ``Limits``; ``serve`` → ``ServingOutcome``, ``Pool``;
  ``elasticities``, ``exchange_rate``.
- **Explanation**: ``inputs_of``, ``Inputs`` (all that goes in), ``explain`` → factors of a
  difference, ``outcome_named``; ``elasticities_by_input``, ``exchange_rates``, ``regimes``.
- **At an optimum**: ``Statement`` (a question for one objective), ``find_optimum`` → ``Optimum``;
  ``shadow_prices``, ``integer_steps``, ``motion`` (how it moves with technology), ``flips`` (when
  its integers change), ``fixed_integers`` and ``hardware_values`` (in sampled worlds),
  ``sobol_indices``, ``value_of_information``.
- **Search**: ``optimize`` → ``Front``; ``Space``, ``Choice``, ``Kind``, ``Service``, ``service``,
  ``Bound``, ``LimitRow``, ``Infeasible``.
- **Planning**: ``plan`` → ``Plans``, existing machines for a stated ``Demand``; ``Machine``.
- **Many at once**: ``operator_table``, ``pad``, ``evaluate_table``, ``DESIGN_VARIABLES``,
  ``LIMIT_NAMES``.

>>> import codesign, hardware_priors
>>> chip = hardware_priors.device("h200").design(chips=8)
>>> decode = codesign.Decode(batch=32, context=8192)
>>> work = codesign.Workload(codesign.model("llama-3.1-70b"), decode)
>>> world = hardware_priors.technology("N4", "HBM3E", "NVLink4")
>>> bool(codesign.evaluate(chip, work, technology=world).fits)
True
"""

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

from codesign.evaluation import evaluate as evaluate
from codesign.evaluation import evaluate_table as evaluate_table
from codesign.hardware.build import Build as Build
from codesign.hardware.design import DESIGN_VARIABLES as DESIGN_VARIABLES
from codesign.hardware.design import Design as Design
from codesign.hardware.technology import Technology as Technology
from codesign.limits import LIMIT_NAMES as LIMIT_NAMES
from codesign.limits import LimitRow as LimitRow
from codesign.limits import Limits as Limits
from codesign.outcome import Outcome as Outcome
from codesign.performance.calibrated_execution import Calibrated as Calibrated
from codesign.performance.collectives import ALGORITHMS as ALGORITHMS
from codesign.performance.collectives import AllReduce as AllReduce
from codesign.performance.execution import Execution as Execution
from codesign.performance.execution import OperatorTimes as OperatorTimes
from codesign.performance.plan import WHOLE_EXPERTS as WHOLE_EXPERTS
from codesign.performance.plan import Plan as Plan
from codesign.performance.plan import TierShares as TierShares
from codesign.performance.schedules import Dataflow as Dataflow
from codesign.performance.schedules import LimitStudy as LimitStudy
from codesign.performance.schedules import Operatorwise as Operatorwise
from codesign.physical.realize import built as built
from codesign.physical.realize import realize as realize
from codesign.sensitivity.elasticities import elasticities as elasticities
from codesign.sensitivity.elasticities import exchange_rate as exchange_rate
from codesign.serving import Pool as Pool
from codesign.serving import ServingOutcome as ServingOutcome
from codesign.serving import serve as serve
from codesign.workload.attention import AttentionKind as AttentionKind
from codesign.workload.feed_forward import FeedForwardKind as FeedForwardKind
from codesign.workload.operator import Operator as Operator
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
from codesign.workload.shapes import Cache as Cache
from codesign.workload.shapes import Matrix as Matrix
from codesign.workload.transformer import FeedForward as FeedForward
from codesign.workload.transformer import GroupedAttention as GroupedAttention
from codesign.workload.transformer import LatentAttention as LatentAttention
from codesign.workload.transformer import LayerKind as LayerKind
from codesign.workload.transformer import LinearAttention as LinearAttention
from codesign.workload.transformer import MixtureOfExperts as MixtureOfExperts
from codesign.workload.transformer import Transformer as Transformer
from codesign.workload.transformer import dense as dense
from codesign.workload.workload import Workload as Workload
from codesign.workload.writer import Writer as Writer

if TYPE_CHECKING:
    from codesign.planning.answer import Plans as Plans
    from codesign.planning.demand import Demand as Demand
    from codesign.planning.machine import Machine as Machine
    from codesign.planning.planner import plan as plan
    from codesign.search import Bound as Bound
    from codesign.search import Choice as Choice
    from codesign.search import Front as Front
    from codesign.search import Infeasible as Infeasible
    from codesign.search import Kind as Kind
    from codesign.search import Service as Service
    from codesign.search import Space as Space
    from codesign.search import optimize as optimize
    from codesign.search import service as service
    from codesign.sensitivity.by_input import elasticities_by_input as elasticities_by_input
    from codesign.sensitivity.by_input import exchange_rates as exchange_rates
    from codesign.sensitivity.explanation import explain as explain
    from codesign.sensitivity.explanation import outcome_named as outcome_named
    from codesign.sensitivity.flips import flips as flips
    from codesign.sensitivity.global_indices import sobol_indices as sobol_indices
    from codesign.sensitivity.inputs import Inputs as Inputs
    from codesign.sensitivity.inputs import inputs_of as inputs_of
    from codesign.sensitivity.motion import motion as motion
    from codesign.sensitivity.optimum import Optimum as Optimum
    from codesign.sensitivity.optimum import Statement as Statement
    from codesign.sensitivity.optimum import find_optimum as find_optimum
    from codesign.sensitivity.regimes import regimes as regimes
    from codesign.sensitivity.robust import value_of_information as value_of_information
    from codesign.sensitivity.shadow_prices import integer_steps as integer_steps
    from codesign.sensitivity.shadow_prices import shadow_prices as shadow_prices
    from codesign.sensitivity.uncertainty import fixed_integers as fixed_integers
    from codesign.sensitivity.uncertainty import hardware_values as hardware_values
    from codesign.workload.catalogue import model as model

_LATER = {
    "model": "codesign.workload.catalogue",
    "Plans": "codesign.planning.answer",
    "Demand": "codesign.planning.demand",
    "Machine": "codesign.planning.machine",
    "plan": "codesign.planning.planner",
    **dict.fromkeys(
        (
            "Bound",
            "Choice",
            "Front",
            "Infeasible",
            "Kind",
            "Service",
            "Space",
            "optimize",
            "service",
        ),
        "codesign.search",
    ),
    **dict.fromkeys(("elasticities_by_input", "exchange_rates"), "codesign.sensitivity.by_input"),
    **dict.fromkeys(("explain", "outcome_named"), "codesign.sensitivity.explanation"),
    "flips": "codesign.sensitivity.flips",
    "sobol_indices": "codesign.sensitivity.global_indices",
    **dict.fromkeys(("Inputs", "inputs_of"), "codesign.sensitivity.inputs"),
    "motion": "codesign.sensitivity.motion",
    **dict.fromkeys(("Optimum", "Statement", "find_optimum"), "codesign.sensitivity.optimum"),
    "regimes": "codesign.sensitivity.regimes",
    "value_of_information": "codesign.sensitivity.robust",
    **dict.fromkeys(("integer_steps", "shadow_prices"), "codesign.sensitivity.shadow_prices"),
    **dict.fromkeys(("fixed_integers", "hardware_values"), "codesign.sensitivity.uncertainty"),
}
"""Names whose modules take long to load or read files: loaded when first asked for (PEP 562)."""

_ROOMS = tuple(module.name for module in pkgutil.iter_modules(__path__))
"""Packages and modules, which resolve as attributes without an import of their own."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"codesign.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("codesign")
    raise AttributeError(
        f"module 'codesign' has no attribute {name!r}", name=name, obj=sys.modules[__name__]
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER, *_ROOMS, "__version__"})

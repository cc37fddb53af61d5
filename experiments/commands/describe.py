"""``codesign describe``: how a model was read."""

import dataclasses
import json as json_format

import tyro

from experiments.points.widths import ExpertWeightBits, KVBits, WeightBits


@dataclasses.dataclass(frozen=True)
class Describe:
    """How a config.json was read: layers by kind, parameters, precision by part, cache, and what
    was left unread and why."""

    model: tyro.conf.Positional[str]
    """shipped name (codesign list models), or path of a Hugging Face config.json, its folder, or a
    TOML file of your own"""
    weight_bits: WeightBits = None
    """bits of all weights, instead of what the file says"""
    expert_weight_bits: ExpertWeightBits = None
    """bits of routed experts' weights"""
    kv_bits: KVBits = None
    """bits of a cached element"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the description; 0."""
        from codesign.workload.catalogue import reading
        from codesign.workload.reading import override
        from experiments.points.model_summary import describe, description

        found = reading(self.model)
        widths = {
            name: getattr(self, name) for name in ("weight_bits", "expert_weight_bits", "kv_bits")
        }
        found = dataclasses.replace(found, precision=override(found.precision, **widths))
        if self.json:
            print(json_format.dumps(description(found), indent=1, allow_nan=False))
        else:
            print("\n".join(describe(found)))
        return 0

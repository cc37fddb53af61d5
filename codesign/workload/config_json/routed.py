"""What families of experts have in common."""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.dense import Mistral
from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    GroupedFamily,
    Part,
    layers_by_type,
    mixture,
)


class Routed(GroupedFamily):
    """Experts in some layers, a dense MLP in the others.

    The widths of shared experts are given together (``shared_expert_intermediate_size``) or as a
    number of experts of the routed ones' width. ``mlp_layer_types`` goes before the family's rule.
    """

    num_experts: Count
    num_experts_per_tok: Count
    moe_intermediate_size: Count | None = None
    num_shared_experts: CountOrZero | None = None
    shared_expert_intermediate_size: CountOrZero | None = None
    mlp_layer_types: list[str] | None = None

    def has_experts(self, layer: int) -> bool:
        """The rule of the family for a layer counted from zero."""
        return True

    def experts(self) -> Part:
        """The mixture of a layer."""
        width = self.moe_intermediate_size or self.intermediate_size
        shared = self.shared_expert_intermediate_size
        if shared is None:
            shared = (self.num_shared_experts or 0) * width
        return mixture(self.num_experts, self.num_experts_per_tok, width, shared, self.gated_mlp)

    def dense_layer(self) -> Part:
        """The MLP of a layer without experts."""
        return self.mlp()

    def feed_forward(self) -> Sequence[Part | None]:
        layers, sparse = self.num_hidden_layers, self.experts()
        rule = ["sparse" if self.has_experts(i) else "dense" for i in range(layers)]
        choices = {
            "sparse": sparse,
            "moe": sparse,
            "hash_moe": sparse,
            "dense": None if "dense" not in rule else self.dense_layer(),
        }
        if self.mlp_layer_types and "dense" in self.mlp_layer_types:
            choices["dense"] = self.dense_layer()
        return layers_by_type("mlp_layer_types", self.mlp_layer_types or rule, layers, choices)


class DenseFirst(Routed):
    """Some dense layers first, then experts with shared ones: GLM-4.5 to 4.7, dots, Ling, Solar
    Open."""

    num_key_value_heads: Count | None = None
    first_k_dense_replace: CountOrZero = 0
    ignored: ClassVar[frozenset[str]] = frozenset({"max_window_layers"})

    def has_experts(self, layer: int) -> bool:
        return layer >= self.first_k_dense_replace


class Mixtral(Mistral, Routed):
    """Mixtral, PhiMoE, Qwen's plan without shared experts: experts in every layer; the window is
    off unless set."""

    sliding_window: CountOrZero | None = None

"""Families whose layers differ one by one: MiMo-V2, Nemotron-NAS (Puzzle), Llama 3.2 Vision."""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Layer,
    Part,
    gated_mlp,
    grouped_attention,
    layers_by_type,
    part,
)
from codesign.workload.config_json.routed import Routed
from codesign.workload.transformer import CrossAttention


class MiMoV2(Routed):
    """MiMo-V2: windowed layers with other key-value heads than global ones; values narrower than
    keys; dense layers first.

    ``hybrid_layer_pattern`` (1 windowed) and ``swa_…`` are those of the published file,
    ``layer_types`` that of transformers, where windowed layers have twice the key-value heads.
    """

    v_head_dim: Count | None = None
    sliding_window: Count
    hybrid_layer_pattern: list[CountOrZero] | None = None
    layer_types: list[str] | None = None
    moe_layer_freq: list[CountOrZero] | None = None
    swa_num_attention_heads: Count | None = None
    swa_num_key_value_heads: Count | None = None
    swa_head_dim: Count | None = None
    swa_v_head_dim: Count | None = None
    first_k_dense_replace: CountOrZero | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "attention_chunk_size",
            "attention_value_scale",
            "add_swa_attention_sink_bias",
            "add_full_attention_sink_bias",
        }
        | {
            "swa_rope_theta",
            "topk_method",
            "hybrid_block_size",
            "num_nextn_predict_layers",
            "attention_projection_layout",
        }
    )
    repeats: ClassVar[dict[str, str]] = {"sliding_window_size": "sliding_window"}

    def attention(self) -> Sequence[Part | None]:
        names = {0: "full_attention", 1: "sliding_attention"}
        types = self.layer_types or [
            names.get(kind, str(kind)) for kind in self.hybrid_layer_pattern or ()
        ]
        groups = self.num_key_value_heads or self.num_attention_heads
        own = grouped_attention(
            self.num_attention_heads, groups, self.width_of_a_head(), value_dim=self.v_head_dim
        )
        windowed = grouped_attention(
            self.swa_num_attention_heads or self.num_attention_heads,
            self.swa_num_key_value_heads or 2 * groups,
            self.swa_head_dim or self.width_of_a_head(),
            self.sliding_window,
            value_dim=self.swa_v_head_dim or self.v_head_dim,
        )
        choices = {"full_attention": own, "sliding_attention": windowed}
        return layers_by_type("hybrid_layer_pattern", types, self.num_hidden_layers, choices)

    def has_experts(self, layer: int) -> bool:
        if self.moe_layer_freq is None:
            return layer >= (
                1 if self.first_k_dense_replace is None else self.first_k_dense_replace
            )
        return layer < len(self.moe_layer_freq) and bool(self.moe_layer_freq[layer])


class NemotronNas(Family):
    """Llama-Nemotron of Puzzle (arXiv 2411.19146): every layer's heads and width of their own,
    attention or MLP absent."""

    num_attention_heads: Count
    block_configs: list[dict[str, object]]
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"intermediate_size", "num_key_value_heads", "head_dim", "num_key_value_heads_per_layer"}
    )
    idle: ClassVar[frozenset[str]] = frozenset(
        {
            "num_sink_tokens",
            "unshifted_sink",
            "use_prefill_window_in_sink_attention",
            "sparsify",
            "llama4",
            "is_mamba",
            "moe",
        }
        | {"hidden_act", "gated", "mamba"}
    )

    def layers(self) -> Sequence[Layer]:
        if len(self.block_configs) != self.num_hidden_layers:
            count = len(self.block_configs)
            raise ValueError(
                f"block_configs has {count} entries, expected one for each of the"
                f" {self.num_hidden_layers} layers"
            )
        return [
            (self.block(i, "attention"), self.block(i, "ffn"))
            for i in range(self.num_hidden_layers)
        ]

    def block(self, layer: int, half: str) -> Part | None:
        """Half a layer, or nothing where it is no operation."""
        where, fields = f"block_configs[{layer}].{half}", self.block_configs[layer].get(half)
        if not isinstance(fields, dict):
            raise ValueError(f"{where} = {fields!r}, expected an object")
        known = {
            "attention": ("n_heads_in_group", "window_length"),
            "ffn": ("ffn_mult", "intermediate_size"),
        }[half]
        for name, value in fields.items():
            if value and name not in known and name not in ("no_op", "hidden_act", "gated"):
                raise ValueError(
                    f"{where}.{name} = {value!r}, expected it unset, for it changes cost and is not"
                    " understood"
                )
        if fields.get("no_op"):
            return None
        size = fields.get(known[0]) or fields.get(known[1])
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 10**6:
            raise ValueError(f"{where}.{known[0]} = {size!r}, expected a positive number")
        if half == "ffn":
            return gated_mlp(
                round(size)
                if fields.get("intermediate_size")
                else ffn_width(size, self.hidden_size)
            )
        heads = self.num_attention_heads
        return grouped_attention(
            heads, heads // int(size), self.hidden_size // heads, fields.get("window_length")
        )


def ffn_width(multiplier: float, hidden: int) -> int:
    """Two thirds of ``multiplier`` times the model width, rounded up to a multiple of 256
    (``modeling_decilm.py``)."""
    width = int(2 * multiplier * hidden / 3)
    return -(-width // 256) * 256


class Mllama(GroupedFamily):
    """Llama 3.2 Vision: some layers attend to an image instead of the text; eight more entries in
    the input table."""

    cross_attention_layers: list[CountOrZero]

    def attention(self) -> Sequence[Part | None]:
        heads, dim = self.num_attention_heads, self.width_of_a_head()
        cross = part(
            CrossAttention, heads=heads, kv_heads=self.num_key_value_heads or heads, head_dim=dim
        )
        at = set(self.cross_attention_layers)
        return [cross if i in at else self.grouped() for i in range(self.num_hidden_layers)]

    def positions(self) -> int:
        return 8


FAMILIES: dict[str, type[Family]] = {
    "mimo_v2_flash": MiMoV2,
    "mimo_v2": MiMoV2,
    "nemotron-nas": NemotronNas,
    "mllama_text_model": Mllama,
}

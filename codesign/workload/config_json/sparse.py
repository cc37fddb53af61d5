"""Families that read a chosen part of their cache, or keep it compressed: MiniMax-M3,
DeepSeek-V4."""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    Part,
    gated_mlp,
    layers_by_type,
    part,
)
from codesign.workload.config_json.routed import Routed
from codesign.workload.transformer import CompressedAttention, Compression, Indexer, ResidualStreams


class MiniMaxM3(Routed):
    """MiniMax-M3: after some full layers, an indexer with one key a position chooses blocks of the
    cache; dense layers first.

    ``sparse_attention_config`` is that of the published file, ``layer_types`` and ``index_…`` those
    of transformers. The latest blocks are read besides the chosen ones.
    """

    dense_intermediate_size: Count
    moe_layer_freq: list[CountOrZero] | None = None
    layer_types: list[str] | None = None
    sparse_attention_config: dict[str, object] | None = None
    index_n_heads: Count | None = None
    index_head_dim: Count | None = None
    index_block_size: Count | None = None
    index_topk_blocks: Count | None = None
    index_local_blocks: CountOrZero | None = None
    attention_output_gate: bool = False
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "num_mtp_modules",
            "num_nextn_predict_layers",
            "mtp_transformer_layers",
            "qk_norm_type",
            "use_gemma_norm",
            "use_mtp",
        }
        | {"use_routing_bias", "swiglu_alpha", "swiglu_limit", "first_k_dense_replace"}
    )
    read_of_config: ClassVar[frozenset[str]] = frozenset(
        {
            "sparse_attention_freq",
            "sparse_block_size",
            "sparse_index_dim",
            "sparse_num_index_heads",
            "sparse_topk_blocks",
        }
        | {
            "sparse_local_block",
            "use_sparse_attention",
            "sparse_init_block",
            "sparse_score_type",
            "sparse_disable_index_value",
        }
    )

    def index(self, ours: str, theirs: str) -> int:
        """A number of the indexer by either name."""
        value = getattr(self, ours)
        value = (self.sparse_attention_config or {}).get(theirs) if value is None else value
        if not isinstance(value, int) or value < 0:
            raise ValueError(
                f"{ours} = {value!r}, expected an integer that is not negative, or"
                f" sparse_attention_config.{theirs}"
            )
        return value

    def attention(self) -> Sequence[Part | None]:
        own, layers = self.sparse_attention_config or {}, self.num_hidden_layers
        if unknown := sorted(own.keys() - self.read_of_config):
            raise ValueError(
                f"sparse_attention_config.{unknown[0]} is not known, expected only fields that are"
                " understood"
            )
        types = self.layer_types
        if types is None:
            sparse = (
                own.get("sparse_attention_freq") if own.get("use_sparse_attention", True) else None
            )
            each = sparse if isinstance(sparse, list) and sparse else [0] * layers
            types = ["minimax_m3_sparse" if f else "full_attention" for f in each]
        full = self.grouped(gated=self.attention_output_gate)
        choices = {"full_attention": full}
        if "minimax_m3_sparse" in types:
            heads, dim = (
                self.index("index_n_heads", "sparse_num_index_heads"),
                self.index("index_head_dim", "sparse_index_dim"),
            )
            blocks = self.index("index_topk_blocks", "sparse_topk_blocks") + self.index(
                "index_local_blocks", "sparse_local_block"
            )
            choices["minimax_m3_sparse"] = self.grouped(
                gated=self.attention_output_gate,
                top_k=blocks * self.index("index_block_size", "sparse_block_size"),
                indexer=part(Indexer, heads=heads, dim=dim, weighted=False),
            )
        return layers_by_type("layer_types", types, layers, choices)

    def has_experts(self, layer: int) -> bool:
        frequency = self.moe_layer_freq
        return True if frequency is None else layer < len(frequency) and bool(frequency[layer])

    def dense_layer(self) -> Part:
        return gated_mlp(self.dense_intermediate_size)


class DeepseekV4(Routed):
    """DeepSeek-V4: compressed caches in turns of 4 (sparse) and 128 positions an entry, four
    residual streams (mHC).

    ``compress_ratios`` is the list of the published file, whose entries past the last layer are for
    drafting; ``layer_types`` and ``compress_rates`` are those of transformers.
    """

    num_key_value_heads: Count | None = 1
    head_dim: Count | None = 512
    intermediate_size: Count = 1
    q_lora_rank: Count
    o_groups: Count
    o_lora_rank: Count
    sliding_window: Count = 128
    index_n_heads: Count
    index_head_dim: Count
    index_topk: Count
    hc_mult: Count = 4
    compress_ratios: list[CountOrZero] | None = None
    compress_rates: dict[str, int] | None = None
    layer_types: list[str] | None = None
    needs: ClassVar = {"num_key_value_heads": (1,)}
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "hc_eps",
            "hc_sinkhorn_iters",
            "num_hash_layers",
            "num_nextn_predict_layers",
            "qk_rope_head_dim",
            "compress_rope_theta",
        }
        | {"swiglu_limit", "topk_method", "index_topk_freq"}
    )
    sparse_name: ClassVar[str] = "compressed_sparse_attention"
    dense_name: ClassVar[str] = "heavily_compressed_attention"

    def rates(self) -> dict[str, int]:
        """Positions to an entry by kind of layer."""
        return {self.sparse_name: 4, self.dense_name: 128, **(self.compress_rates or {})}

    def types(self) -> list[str]:
        """Kind of attention of every layer."""
        layers, rates = self.num_hidden_layers, self.rates()
        if self.layer_types is not None:
            return self.layer_types[:layers]
        if self.compress_ratios is None:
            raise ValueError("the field compress_ratios is missing, expected it or layer_types")
        names = {rate: name for name, rate in rates.items()} | {0: "sliding_attention"}
        return [names.get(ratio, str(ratio)) for ratio in self.compress_ratios[:layers]]

    def compressed(self, compression: Part | None = None) -> Part:
        """One attention layer."""
        return part(
            CompressedAttention,
            heads=self.num_attention_heads,
            head_dim=self.head_dim,
            query_rank=self.q_lora_rank,
            output_groups=self.o_groups,
            output_rank=self.o_lora_rank,
            window=self.sliding_window,
            compression=compression,
        )

    def attention(self) -> Sequence[Part | None]:
        rates, indexer = (
            self.rates(),
            part(Indexer, heads=self.index_n_heads, dim=self.index_head_dim),
        )
        sparse = part(
            Compression,
            ratio=rates[self.sparse_name],
            top_k=self.index_topk,
            indexer=indexer,
            overlapping=True,
        )
        dense = part(Compression, ratio=rates[self.dense_name])
        choices = {
            self.sparse_name: self.compressed(sparse),
            self.dense_name: self.compressed(dense),
            "sliding_attention": self.compressed(),
        }
        return layers_by_type("compress_ratios", self.types(), self.num_hidden_layers, choices)

    def whole_model(self) -> dict[str, Part]:
        streams = self.hc_mult
        mixing = (
            2 * (2 + streams) * streams * streams
        )  # before and after attention and experts: (2 + n) n by n · hidden
        return {"streams": part(ResidualStreams, count=streams, mixing=mixing)}


FAMILIES: dict[str, type[Family]] = {
    **dict.fromkeys(("minimax_m3", "minimax_m3_vl_text"), MiniMaxM3),
    "deepseek_v4": DeepseekV4,
}

"""Dense families with a plain MLP of two matrices: GPT and its kin, Falcon, Phi, Nemotron.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11).
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import Count, CountOrZero, Family, GroupedFamily, Part
from codesign.workload.config_json.refusal import refuse_value


class PlainFamily(GroupedFamily):
    """Multi-head attention unless told, and an MLP of four times the model width unless told."""

    gated_mlp: ClassVar[bool] = False

    num_key_value_heads: Count | None = None
    intermediate_size: Count | None = None  # pyright: ignore[reportIncompatibleVariableOverride]

    def feed_forward(self) -> Sequence[Part | None]:
        return [self.mlp(self.intermediate_size or 4 * self.hidden_size)] * self.num_hidden_layers


class Opt(PlainFamily):
    """OPT: a learned position table with two rows of offset."""

    max_position_embeddings: Count  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    word_embed_proj_dim: Count | None = None
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"layerdrop", "do_layer_norm_before", "layer_norm_elementwise_affine"}
    )

    def attention(self) -> Sequence[Part | None]:
        if self.word_embed_proj_dim not in (None, self.hidden_size):
            raise refuse_value("word_embed_proj_dim", self.word_embed_proj_dim, [self.hidden_size])
        return super().attention()

    def positions(self) -> int:
        return self.max_position_embeddings + 2


class Gpt2(PlainFamily):
    """GPT-2, and GPT-3 written in its field names: learned positions, tied tables."""

    max_position_embeddings: Count = 1024  # pyright: ignore[reportIncompatibleVariableOverride]
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "n_ctx",
            "scale_attn_weights",
            "scale_attn_by_inverse_layer_idx",
            "reorder_and_upcast_attn",
            "n_special",
        }
    )

    def positions(self) -> int:
        return self.max_position_embeddings


class GptBigCode(Gpt2):
    """StarCoder and SantaCoder: as GPT-2, with one key-value head for all."""

    multi_query: bool = True
    ignored: ClassVar[frozenset[str]] = Gpt2.ignored | frozenset(
        {
            "attention_softmax_in_fp32",
            "scale_attention_softmax_in_fp32",
            "runner_max_sequence_length",
        }
        | {
            "inference_runner",
            "validate_runner_input",
            "pre_allocate_kv_cache",
            "max_sequence_length",
            "max_batch_size",
        }
        | {"pad_key_length"}
    )

    def grouped(
        self, window: int | None = None, gated: bool | None = None, **others: object
    ) -> Part:
        self.num_key_value_heads = 1 if self.multi_query else None
        return super().grouped(window, gated, **others)


class GptJ(PlainFamily):
    """GPT-J: rotary positions, so no table; attention and MLP run side by side."""

    parallel: ClassVar[bool] = True
    ignored: ClassVar[frozenset[str]] = Gpt2.ignored


class GptNeoX(PlainFamily):
    """GPT-NeoX, Pythia, RedPajama: attention and MLP side by side unless told."""

    use_parallel_residual: bool = True

    def parallel_blocks(self) -> bool:
        return self.use_parallel_residual


class Bloom(PlainFamily):
    """BLOOM: multi-head attention with linear biases, tied tables."""

    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "apply_residual_connection_post_layernorm",
            "slow_but_exact",
            "attention_softmax_in_fp32",
            "masked_softmax_fusion",
        }
        | {
            "bias_dropout_fusion",
            "offset_alibi",
            "seq_length",
            "skip_bias_add",
            "skip_bias_add_qkv",
            "n_inner",
        }
    )


class Mpt(PlainFamily):
    """MPT: multi-head or multi-query attention with linear biases, a learned position table only
    without them."""

    max_position_embeddings: Count = 2048  # pyright: ignore[reportIncompatibleVariableOverride]
    expansion_ratio: Count = 4
    tie_word_embeddings: bool = True
    learned_pos_emb: bool = True
    attn_config: dict[str, object] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "init_config",
            "init_device",
            "no_bias",
            "embedding_fraction",
            "norm_type",
            "emb_pdrop",
            "verbose",
            "use_pad_tok_in_ffn",
        }
    )

    def attention(self) -> Sequence[Part | None]:
        own = self.attn_config or {}
        kind, grouped = own.get("attn_type", "multihead_attention"), own.get("kv_n_heads")
        heads = {
            "multihead_attention": None,
            "multiquery_attention": 1,
            "grouped_query_attention": grouped if isinstance(grouped, int) else None,
        }
        if not isinstance(kind, str) or kind not in heads:
            raise refuse_value("attn_config.attn_type", kind, list(heads))
        self.num_key_value_heads = heads[kind]
        return super().attention()

    def feed_forward(self) -> Sequence[Part | None]:
        return [self.mlp(self.expansion_ratio * self.hidden_size)] * self.num_hidden_layers

    def positions(self) -> int:
        has_biases = (self.attn_config or {}).get("alibi", True)
        return 0 if has_biases or not self.learned_pos_emb else self.max_position_embeddings


class Falcon(PlainFamily):
    """Falcon: one key-value head for all (7B), or groups of them in the new decoder (40B, 180B).

    Attention and MLP run side by side in the new decoder, and in the old one with
    ``parallel_attn``.
    """

    new_decoder_architecture: bool = False
    multi_query: bool = True
    tie_word_embeddings: bool = True
    parallel_attn: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"num_ln_in_parallel_attn", "alibi", "ffn_hidden_size"}
    )

    def parallel_blocks(self) -> bool:
        return self.new_decoder_architecture or self.parallel_attn

    def grouped(
        self, window: int | None = None, gated: bool | None = None, **others: object
    ) -> Part:
        if not self.new_decoder_architecture:
            self.num_key_value_heads = 1 if self.multi_query else None
        return super().grouped(window, gated, **others)


class Starcoder2(PlainFamily):
    """StarCoder 2: grouped attention within a window, tied tables."""

    sliding_window: CountOrZero | None = None
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "attention_softmax_in_fp32",
            "scale_attention_softmax_in_fp32",
            "scale_attn_weights",
            "mlp_type",
            "norm_type",
        }
        | {"use_bias", "use_sliding_window"}
    )

    def attention(self) -> Sequence[Part | None]:
        return [self.grouped(self.sliding_window or None)] * self.num_hidden_layers


class Phi(PlainFamily):
    """Phi-1, 1.5 and 2: attention and MLP side by side."""

    parallel: ClassVar[bool] = True


class PlainLlama(PlainFamily):
    """Llama with a plain MLP: AFM-4.5B (arcee), Nemotron-4 and Minitron, Apertus, Persimmon,
    nanochat."""


FAMILIES: dict[str, type[Family]] = {
    "opt": Opt,
    "gpt2": Gpt2,
    "gptj": GptJ,
    "codegen": GptJ,
    "gpt_bigcode": GptBigCode,
    "gpt_neox": GptNeoX,
    "bloom": Bloom,
    "mpt": Mpt,
    "falcon": Falcon,
    "starcoder2": Starcoder2,
    "phi": Phi,
    **dict.fromkeys(("arcee", "nemotron", "apertus", "persimmon", "jais2", "nanochat"), PlainLlama),
}

"""Which part of a model a checkpoint speaks of, by the names that it gives to modules, and the
format that a group of modules has."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from codesign.workload.config_json.refusal import shown
from codesign.workload.precision import Part

BY_MODULE: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "outside",
        re.compile(
            r"vision|visual|vit\b|audio|multi_modal|mm_projector|projector|image|\bmtp\b|^mtp|eh_proj|draft"
        ),
    ),
    (
        "router",
        re.compile(
            r"(mlp|moe|feed_forward|mixer|ffn)\.gate(\.|$|\*|\b(?!_))|router|\bgate\$?$|shared_expert_gate|e_score"
        ),
    ),
    ("head", re.compile(r"lm_head|output_layer|embed_out")),
    ("embedding", re.compile(r"embed|wte|word_embeddings")),
    ("shared", re.compile(r"shared_expert")),
    ("attention", re.compile(r"attn|attention|[qkv]_proj|o_proj|q_a|q_b|kv_|qkv|indexer")),
    ("experts", re.compile(r"expert")),
    ("dense", re.compile(r"mlp|feed_forward|ffn|gate_proj|up_proj|down_proj|gate_up|fc1|fc2")),
    ("attention", re.compile(r"mixer|mamba|conv|in_proj|out_proj")),
)
"""Which part of a model a module or pattern of modules speaks of, by its name; the first that fits.
"""


class Form(NamedTuple):
    """A storage format: bits of a weight, of its share of a block scale, and of the inputs it is
    multiplied with."""

    weight: float
    scale: float
    inputs: float


def whole_bits(form: Form) -> float:
    """Bits of a weight with its share of the scales [bit]."""
    return form.weight + form.scale


LINEAR: tuple[Part, ...] = ("attention", "dense", "experts", "shared")
"""Parts that quantisers take to hold linear layers; tables and heads only where they say so."""


def part_of(pattern: str) -> str:
    """The part of a model that a module or pattern speaks of."""
    return next((part for part, words in BY_MODULE if words.search(pattern)), "unknown")


class Layers(NamedTuple):
    """How many layers a model has, and how many of them have a part of a kind."""

    whole: int
    having: Mapping[str, int]

    def named(self, patterns: Iterable[str]) -> dict[str, set[int]]:
        """The layers that patterns of modules name, by part; all of them where one names none."""
        found: dict[str, set[int]] = {}
        for pattern in patterns:
            number = re.search(r"layers\\?\.(\d+)(?!\d)", pattern)
            if number and int(number[1]) >= self.whole:
                continue  # a drafting layer after the last
            found.setdefault(part_of(pattern), set()).update(
                [int(number[1])] if number else range(self.whole)
            )
        return found

    def share(self, part: str, patterns: Iterable[str]) -> float:
        """The share of the layers with a part in which patterns name a module of it [1].

        >>> layers = Layers(61, {"dense": 3})
        >>> layers.share("dense", ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"])
        0.6666666666666666
        """
        named = len(self.named(patterns).get(part, ()))
        return min(named / max(self.having.get(part, self.whole), 1), 1.0)


def mixed(form: Form, plain: Form, share: float) -> Form:
    """A format of which a share of the layers keeps the plain one: mean bits, since bytes and times
    of layers add up. Weights and inputs of the plain one are equally wide."""
    if share >= 1.0:
        return plain
    return Form(
        *((1.0 - share) * own + share * kept for own, kept in zip(form, plain, strict=True))
    )


MODULES: dict[Part, tuple[tuple[str, ...], ...]] = {
    "attention": (
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"),
        ("self_attn.q_b_proj", "self_attn.kv_b_proj", "self_attn.o_proj"),
        ("self_attn.qkv_proj", "self_attn.o_proj"),
    ),
    "dense": (
        ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
        ("mlp.gate_up_proj", "mlp.down_proj"),
    ),
    "experts": (
        ("mlp.experts.0.gate_proj", "mlp.experts.0.up_proj", "mlp.experts.0.down_proj"),
        ("block_sparse_moe.experts.0.w1", "block_sparse_moe.experts.0.w2"),
        ("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    ),
    "shared": (
        ("mlp.shared_experts.gate_proj", "mlp.shared_experts.down_proj"),
        ("mlp.shared_expert.gate_proj", "mlp.shared_expert.down_proj"),
    ),
}
"""Modules of each part by the names that checkpoints give them, in one layer."""


def format_of_part(part: Part, forms: list[tuple[Form, list[str]]], plain: Form) -> Form:
    """The format of a part: of the group that names its modules; the widest where several do, the
    plain one among them where a module has none."""
    best = plain
    for modules in MODULES[part]:
        found = [[form for form, targets in forms if _names(targets, name)] for name in modules]
        of_all = [max(each, key=whole_bits, default=plain) for each in found]
        widest = max(of_all, key=whole_bits)
        if any(found) and whole_bits(widest) < whole_bits(best):
            best = widest
    return best


def _names(targets: list[str], module: str) -> bool:
    """Whether a group is of a module: by the class of all linear layers, a name, or a pattern."""
    whole = f"model.layers.0.{module}"
    for target in targets:
        if target == "Linear" or target in (whole, module, module.rsplit(".", 1)[-1]):
            return True
        if target.startswith("re:"):
            try:
                if re.match(target[3:], whole):
                    return True
            except re.error:
                raise ValueError(
                    f"targets = {shown(target)}, expected a regular expression after re:"
                ) from None
    return False

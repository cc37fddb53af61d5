"""Quantisation methods of Hugging Face configurations: how each writes bits, groups and scales."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from codesign.workload.config_json.content import table, texts
from codesign.workload.config_json.refusal import refuse_value, shown
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
    (
        "attention",
        re.compile(
            r"attn|attention|mixer|mamba|conv|linear_attn|[qkv]_proj|o_proj|q_a|q_b|kv_|qkv|in_proj|out_proj|indexer"
        ),
    ),
    ("experts", re.compile(r"expert")),
    ("dense", re.compile(r"mlp|feed_forward|ffn|gate_proj|up_proj|down_proj|gate_up|fc1|fc2")),
)
"""Which part of a model a module or pattern of modules speaks of, by its name; the first that fits.
"""


class Form(NamedTuple):
    """A storage format: bits of a weight, of its share of a block scale, and of the inputs it is
    multiplied with."""

    weight: float
    scale: float
    inputs: float


LINEAR: tuple[Part, ...] = ("attention", "dense", "experts", "shared")
"""Parts that quantisers take to hold linear layers; tables and heads only where they say so."""


def part_of(pattern: str) -> str:
    """The part of a model that a module or pattern speaks of."""
    return next((part for part, words in BY_MODULE if words.search(pattern)), "unknown")


def left_out(patterns: Iterable[str], layers: int) -> dict[str, int]:
    """In how many layers some module of a part is not quantised: those that the patterns name, all
    of them where one names none."""
    found: dict[str, set[int]] = {}
    for pattern in patterns:
        number = re.search(r"layers\\?\.(\d+)(?!\d)", pattern)
        if number and int(number[1]) >= layers:
            continue  # a drafting layer after the last
        found.setdefault(part_of(pattern), set()).update(
            [int(number[1])] if number else range(layers)
        )
    return {part: len(named) for part, named in found.items()}


Parsed = tuple[Form | dict[Part, Form] | None, list[str], list[str]]


def _fp8(said: dict[str, object], plain: Form) -> Parsed:
    """DeepSeek's FP8: a 32-bit scale for a block of weights, inputs in FP8 too."""
    block = said.get("weight_block_size")
    scale = (
        32.0 / (block[0] * block[1])
        if isinstance(block, list) and len(block) == 2 and all(block)
        else 0.0
    )
    kept = texts(said, "modules_to_not_convert", "ignored_layers")
    return Form(8.0, scale, 8.0), [*kept, "lm_head"], ["linear layers and their inputs in FP8"]


def _mxfp4(said: dict[str, object], plain: Form) -> Parsed:
    kept = texts(said, "modules_to_not_convert")
    return (
        Form(4.0, 8.0 / 32.0, plain.inputs),
        kept,
        ["experts in MXFP4, with a scale for 32 weights; all else as the dtype says"],
    )


def _compressed_tensors(said: dict[str, object], plain: Form) -> Parsed:
    """Groups of modules: the format of their weights and inputs, and patterns of their names."""
    groups = [group for group in table(said, "config_groups").values() if isinstance(group, dict)]
    if not groups:
        raise ValueError(
            "quantization_config.config_groups is missing, expected the format of at least one"
            " group"
        )
    forms = [(_group(group), texts(group, "targets") or ["Linear"]) for group in groups]
    if all("Linear" in targets for _, targets in forms):
        form = max((form for form, _ in forms), key=_bits)
        note = [f"linear layers {_told(form)}"]
        if len({form for form, _ in forms}) > 1:
            note[0] += f" (the widest of {len(forms)} groups)"
        return form, texts(said, "ignore"), note
    parts: dict[Part, Form] = {part: _of_part(part, forms, plain) for part in LINEAR}
    return parts, texts(said, "ignore"), [f"{part} {_told(form)}" for part, form in parts.items()]


def _bits(form: Form) -> float:
    return form.weight + form.scale


def _told(form: Form) -> str:
    scales = f", scales {form.scale:g} bit a weight" if form.scale else ""
    return f"at {form.weight:g} bit, inputs at {form.inputs:g}{scales}"


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


def _of_part(part: Part, forms: list[tuple[Form, list[str]]], plain: Form) -> Form:
    """The format of a part: of the group that names its modules; the widest where several do, the
    plain one among them where a module has none."""
    best = plain
    for modules in MODULES[part]:
        found = [[form for form, targets in forms if _names(targets, name)] for name in modules]
        of_all = [max(each, key=_bits, default=plain) for each in found]
        widest = max(of_all, key=_bits)
        if any(found) and _bits(widest) < _bits(best):
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


def _group(group: dict[str, object]) -> Form:
    weights, inputs = group.get("weights"), group.get("input_activations")
    if not isinstance(weights, dict) or not isinstance(weights.get("num_bits"), int):
        raise ValueError(
            f"config_groups' weights = {shown(weights)}, expected an object with num_bits"
        )
    bits, size = float(weights["num_bits"]), weights.get("group_size")
    is_float = weights.get("type") == "float"
    per_group = (
        8.0 if is_float and bits == 4.0 else 16.0
    )  # FP4 blocks have 8-bit scales, integers 16-bit ones
    zero_point = bits if weights.get("symmetric") is False else 0.0
    scale = (per_group + zero_point) / size if isinstance(size, int) and size > 0 else 0.0
    return Form(
        bits,
        scale,
        float(inputs["num_bits"]) if isinstance(inputs, dict) and inputs.get("num_bits") else 16.0,
    )


MODELOPT = {
    "FP8": Form(8.0, 0.0, 8.0),
    "FP8_PB_WO": Form(8.0, 32.0 / 128**2, 16.0),
    "FP8_PER_CHANNEL_PER_TOKEN": Form(8.0, 0.0, 8.0),
    "NVFP4": Form(4.0, 8.0 / 16.0, 4.0),
    "NVFP4_AWQ": Form(4.0, 8.0 / 16.0, 4.0),
    "W4A16_AWQ": Form(4.0, 16.0 / 128.0, 16.0),
    "W4A8_AWQ": Form(4.0, 16.0 / 128.0, 8.0),
    "W4A8_NVFP4_FP8": Form(4.0, 8.0 / 16.0, 8.0),
    "INT4_AWQ": Form(4.0, 16.0 / 128.0, 16.0),
    "W8A16": Form(8.0, 0.0, 16.0),
    "W8A8_SQ_PER_CHANNEL": Form(8.0, 0.0, 8.0),
    "MXFP4": Form(4.0, 8.0 / 32.0, 16.0),
    "MXFP8": Form(8.0, 8.0 / 32.0, 8.0),
}
"""Formats by the name that NVIDIA's Model Optimizer gives them (modelopt 0.41, ``QUANTIZATION_*``).
"""


def _modelopt(said: dict[str, object], plain: Form) -> Parsed:
    kept = [*texts(said, "exclude_modules"), *texts(said, "ignore")]
    algo = said.get("quant_algo")
    if algo == "MIXED_PRECISION":
        listed = said.get("quantized_layers")
        if not isinstance(listed, dict) or not listed:
            return (
                None,
                kept,
                [
                    "mixed precision whose layers are not listed: all read as the dtype says, an"
                    " upper bound"
                ],
            )
        return _mixed(listed, kept)
    if algo is None and said.get("config_groups"):
        return _compressed_tensors(said, plain)
    if not isinstance(algo, str) or algo not in MODELOPT:
        raise refuse_value("quant_algo", algo, MODELOPT)
    form = MODELOPT[algo]
    size = said.get("group_size")
    if isinstance(size, int) and size > 0 and form.scale and form.weight == 4.0:
        form = form._replace(scale=(16.0 if "AWQ" in algo else 8.0) / size)
    return form, kept, [f"{algo} with {form.scale:g} bit of scales a weight"]


def _mixed(listed: dict[str, object], kept: list[str]) -> Parsed:
    """Each listed layer with a format; the widest holds for all, and parts without any keep the
    dtype."""
    forms = [
        MODELOPT[entry["quant_algo"]]
        for entry in listed.values()
        if isinstance(entry, dict) and entry.get("quant_algo") in MODELOPT
    ]
    if not forms:
        raise ValueError(
            "quantized_layers names no known quant_algo, expected one of " + ", ".join(MODELOPT)
        )
    form = max(forms, key=lambda f: f.weight + f.scale)
    covered = set(map(part_of, listed))
    module = {
        "attention": "self_attn",
        "shared": "shared_experts",
        "dense": "mlp",
        "head": "lm_head",
    }
    missing = [module.get(part, part) for part in (*LINEAR, "head") if part not in covered]
    return (
        form,
        [*kept, *missing],
        [f"mixed precision, the widest of its formats: {form.weight:g} bit"],
    )


def _grouped_integers(said: dict[str, object], plain: Form) -> Parsed:
    """AWQ and GPTQ: integers in groups, a 16-bit scale and a zero point for each."""
    bits = said.get("bits", said.get("w_bit", said.get("weight_bits", 4)))
    size = said.get("group_size", said.get("q_group_size", 128))
    if not isinstance(bits, int) or not 1 <= bits <= 8:
        raise refuse_value("quantization_config.bits", bits, (2, 3, 4, 8))
    scale = (16.0 + bits) / size if isinstance(size, int) and size > 0 else 0.0
    kept = [*texts(said, "modules_to_not_convert"), "lm_head"]
    return (
        Form(float(bits), scale, plain.inputs),
        kept,
        [f"linear layers at {bits} bit in groups of {size}, inputs as the dtype says"],
    )


def _bitsandbytes(said: dict[str, object], plain: Form) -> Parsed:
    four = said.get("load_in_4bit") or said.get("_load_in_4bit")
    kept = [*texts(said, "llm_int8_skip_modules"), "lm_head"]
    form = Form(4.0, 32.0 / 64.0, plain.inputs) if four else Form(8.0, 0.0, 8.0)
    return form, kept, [f"linear layers at {form.weight:g} bit (bitsandbytes)"]


def _fbgemm(said: dict[str, object], plain: Form) -> Parsed:
    return (
        Form(8.0, 0.0, 8.0),
        [*texts(said, "modules_to_not_convert"), "lm_head"],
        ["linear layers and their inputs in FP8"],
    )


def _quark(said: dict[str, object], plain: Form) -> Parsed:
    """AMD Quark: one format for all modules not excluded."""
    all_modules = table(said, "global_quant_config")
    weight, inputs = table(all_modules, "weight"), table(all_modules, "input_tensors")
    bits = {
        "fp4": 4.0,
        "fp8_e4m3": 8.0,
        "int8": 8.0,
        "int4": 4.0,
        "uint4": 4.0,
        "fp6_e2m3": 6.0,
        "fp6_e3m2": 6.0,
    }
    kind = weight.get("dtype")
    if not isinstance(kind, str) or kind not in bits:
        raise refuse_value("global_quant_config.weight.dtype", kind, bits)
    size = weight.get("group_size")
    scale = 8.0 / size if isinstance(size, int) and size > 0 else 0.0
    form = Form(bits[kind], scale, bits.get(str(inputs.get("dtype")), plain.inputs))
    return (
        form,
        [*texts(said, "exclude"), "lm_head"],
        [f"{kind} with {scale:g} bit of scales a weight (Quark)"],
    )


METHODS = {
    "fp8": _fp8,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
    "awq": _grouped_integers,
    "gptq": _grouped_integers,
    "auto-round": _grouped_integers,
    "bitsandbytes": _bitsandbytes,
    "fbgemm_fp8": _fbgemm,
    "quark": _quark,
}
"""Readers by ``quant_method``."""

"""Quantisation methods of Hugging Face configurations: how each writes bits, groups and scales."""

from collections.abc import Mapping

from codesign.workload.config_json.content import flag, group_size, table, texts, whole
from codesign.workload.config_json.quantised_modules import (
    LINEAR,
    Form,
    Layers,
    format_of_part,
    mixed,
    part_of,
    whole_bits,
)
from codesign.workload.config_json.refusal import refuse_value, shown
from codesign.workload.precision import Part

Parsed = tuple[Form | dict[Part, Form] | None, list[str], list[str]]


def _fp8(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    """DeepSeek's FP8: a 32-bit scale for a block of weights, inputs in FP8 too."""
    block, scale = said.get("weight_block_size"), 0.0
    if block is not None:
        sides = [n for n in block if type(n) is int and n > 0] if isinstance(block, list) else []
        if not isinstance(block, list) or len(block) != 2 or len(sides) != 2:
            raise ValueError(f"weight_block_size = {shown(block)}, expected two whole numbers")
        scale = 32.0 / (sides[0] * sides[1])
    kept = texts(said, "modules_to_not_convert", "ignored_layers")
    return Form(8.0, scale, 8.0), [*kept, "lm_head"], ["linear layers and their inputs in FP8"]


def _mxfp4(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    kept = texts(said, "modules_to_not_convert")
    return (
        Form(4.0, 8.0 / 32.0, plain.inputs),
        kept,
        ["experts in MXFP4, with a scale for 32 weights; all else as the dtype says"],
    )


def _compressed_tensors(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    """Groups of modules: the format of their weights and inputs, and patterns of their names."""
    groups = [table(table(said, "config_groups"), name) for name in table(said, "config_groups")]
    if not groups or not all(groups):
        raise ValueError(
            "quantization_config.config_groups is missing, expected the format of at least one"
            " group"
        )
    sparse = table(said, "sparsity_config").get("format")
    if sparse not in (None, "dense"):
        raise refuse_value("sparsity_config.format", sparse, ("dense",))
    forms = [(_group(group), texts(group, "targets") or ["Linear"]) for group in groups]
    if all("Linear" in targets for _, targets in forms):
        form = max((form for form, _ in forms), key=whole_bits)
        note = [f"linear layers {_told(form)}"]
        if len({form for form, _ in forms}) > 1:
            note[0] += f" (the widest of {len(forms)} groups)"
        return form, texts(said, "ignore"), note
    parts: dict[Part, Form] = {part: format_of_part(part, forms, plain) for part in LINEAR}
    return parts, texts(said, "ignore"), [f"{part} {_told(form)}" for part, form in parts.items()]


def _told(form: Form) -> str:
    scales = f", scales {form.scale:g} bit a weight" if form.scale else ""
    return f"at {form.weight:g} bit, inputs at {form.inputs:g}{scales}"


def _group(group: dict[str, object]) -> Form:
    weights, inputs = group.get("weights"), table(group, "input_activations")
    if not isinstance(weights, dict) or "num_bits" not in weights:
        raise ValueError(
            f"config_groups' weights = {shown(weights)}, expected an object with num_bits"
        )
    bits, size = float(_width(weights)), group_size(weights, "group_size")
    kind, strategy = weights.get("type"), weights.get("strategy")
    if kind not in (None, "float", "int"):
        raise refuse_value("config_groups' weights.type", kind, ("float", "int"))
    if strategy == "group" and size is None:
        raise ValueError(
            f"config_groups' weights.group_size = {shown(weights.get('group_size'))}, expected the"
            " size of the groups, because strategy = 'group'"
        )
    # FP4 blocks have 8-bit scales, integers 16-bit ones
    per_group = 8.0 if kind == "float" and bits == 4.0 else 16.0
    zero_point = bits if weights.get("symmetric") is False else 0.0
    scale = 0.0 if size is None else (per_group + zero_point) / size
    return Form(bits, scale, float(_width(inputs)) if "num_bits" in inputs else 16.0)


def _width(said: Mapping[str, object]) -> int:
    """Bits of a number as compressed-tensors says it."""
    found = whole(said, "num_bits", least=1, most=16)
    return 16 if found is None else found


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


def _modelopt(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    kept = [*texts(said, "exclude_modules"), *texts(said, "ignore")]
    algo = said.get("quant_algo")
    if algo == "MIXED_PRECISION":
        listed = table(said, "quantized_layers")
        if not listed:
            unlisted = "mixed precision whose layers are not listed: all read as the dtype says"
            return None, kept, [f"{unlisted}, an upper bound"]
        forms = _mixed(listed, plain, layers)
        return (
            forms,
            kept,
            [f"mixed precision, {part} {_told(form)}" for part, form in forms.items()],
        )
    if algo is None and said.get("config_groups"):
        return _compressed_tensors(said, plain, layers)
    if algo is None and "quant_algo" in said:
        return None, kept, ["quant_algo is null: weights as the dtype says"]
    form = _modelopt_form(said)
    return form, kept, [f"{algo} with {form.scale:g} bit of scales a weight"]


def _modelopt_form(said: Mapping[str, object]) -> Form:
    """The format of all layers, or of a listed one."""
    algo, size = said.get("quant_algo"), group_size(said, "group_size")
    if not isinstance(algo, str) or algo not in MODELOPT:
        raise refuse_value("quant_algo", algo, MODELOPT)
    form = MODELOPT[algo]
    if size is not None and form.scale and form.weight == 4.0:
        form = form._replace(scale=(16.0 if "AWQ" in algo else 8.0) / size)
    return form


def _mixed(listed: dict[str, object], plain: Form, layers: Layers) -> dict[Part, Form]:
    """Each listed module with a format of its own; of a part whose modules differ, the widest; what
    is not listed keeps the dtype."""
    by_part: dict[str, list[str]] = {}
    for name in listed:
        by_part.setdefault(part_of(name), []).append(name)
    found: dict[Part, Form] = {}
    for part in (*LINEAR, "head"):
        if names := by_part.get(part):
            widest = max((_modelopt_form(table(listed, name)) for name in names), key=whole_bits)
            found[part] = mixed(widest, plain, 1.0 - layers.share(part, names))
    return found


def _grouped_integers(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    """AWQ and GPTQ: integers in groups, a 16-bit scale and a zero point for each."""
    bits = whole(said, "bits", "w_bit", "weight_bits", least=1, most=8) or 4
    default = {} if "group_size" in said or "q_group_size" in said else {"group_size": 128}
    size = group_size({**said, **default}, "group_size", "q_group_size")
    scale = 0.0 if size is None else (16.0 + bits) / size
    kept = [*texts(said, "modules_to_not_convert"), "lm_head"]
    groups = "for whole channels" if size is None else f"in groups of {size}"
    return (
        Form(float(bits), scale, plain.inputs),
        kept,
        [f"linear layers at {bits} bit {groups}, inputs as the dtype says"],
    )


def _bitsandbytes(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    """Integers of 8 bit, or 4-bit codes with a 32-bit scale for 64 weights (QLoRA, arXiv 2305.14314
    §3), which double quantisation makes an 8-bit one, with a 32-bit scale for 256 of those."""
    four, eight = (
        flag(said, "load_in_4bit", "_load_in_4bit"),
        flag(said, "load_in_8bit", "_load_in_8bit"),
    )
    if four == eight:
        raise ValueError(
            f"load_in_4bit = {str(four).lower()} and load_in_8bit = {str(eight).lower()}, expected"
            " one of them true"
        )
    kept = [*texts(said, "llm_int8_skip_modules"), "lm_head"]
    twice = flag(said, "bnb_4bit_use_double_quant")
    scale = (8.0 + 32.0 / 256.0 if twice else 32.0) / 64.0
    form = Form(4.0, scale, plain.inputs) if four else Form(8.0, 0.0, 8.0)
    how = f", scales {scale:g} bit a weight" if four else ""
    return form, kept, [f"linear layers at {form.weight:g} bit{how} (bitsandbytes)"]


def _fbgemm(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
    return (
        Form(8.0, 0.0, 8.0),
        [*texts(said, "modules_to_not_convert"), "lm_head"],
        ["linear layers and their inputs in FP8"],
    )


def _quark(said: dict[str, object], plain: Form, layers: Layers) -> Parsed:
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
    size = group_size(weight, "group_size")
    scale = 0.0 if size is None else 8.0 / size
    multiplied = inputs.get("dtype")
    if multiplied is not None and multiplied not in bits:
        raise refuse_value("global_quant_config.input_tensors.dtype", multiplied, bits)
    form = Form(bits[kind], scale, bits.get(str(multiplied), plain.inputs))
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

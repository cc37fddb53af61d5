"""The precision that a checkpoint states: ``quantization_config``, ``hf_quant_config.json`` beside
it, ``torch_dtype``.

Tools say it in many ways; what they say is the same: a format for the weights of linear layers, the
modules that keep the dtype of the file, the format of the inputs, and that of the cache. A part of
the model of which only some modules are left out is read as left out as a whole: an upper bound,
and said to be one.
"""

from typing import NamedTuple

from codesign.workload.config_json.quantization_methods import LINEAR, METHODS, Form, left_out
from codesign.workload.config_json.refusal import refuse_value, shown
from codesign.workload.precision import Part, PartPrecision, Precision

DTYPES = {
    "float64": 64.0,
    "float32": 32.0,
    "float": 32.0,
    "bfloat16": 16.0,
    "float16": 16.0,
    "half": 16.0,
    "float8_e4m3fn": 8.0,
    "fp8": 8.0,
    "fp4": 4.0,
}
"""Bits by the name of a dtype."""

ASSUMED = 16.0  # bits of a checkpoint that does not say: published ones are in bfloat16
SERVED = 16.0  # the widest that engines serve unless told


class Stated(NamedTuple):
    """What a file says about precision: a format for each part, the cache, and how that was
    found."""

    parts: dict[Part, Form]
    cache: float
    dtype: float
    recurrent: float
    notes: tuple[str, ...]

    def precision(self) -> Precision:
        """The pytree."""
        parts = {
            name: PartPrecision(form.weight, form.scale, form.inputs)
            for name, form in self.parts.items()
        }
        return Precision(
            weight_bits=self.dtype,
            expert_weight_bits=self.parts["experts"].weight,
            state_bits=self.cache,
            activation_bits=self.dtype,
            recurrent_bits=self.recurrent,
            attention=parts["attention"],
            dense=parts["dense"],
            experts=parts["experts"],
            shared=parts["shared"],
            embedding=parts["embedding"],
            head=parts["head"],
        )


def stated_precision(
    content: dict[str, object],
    inner: dict[str, object],
    beside: dict[str, object] | None,
    layers: int,
) -> Stated:
    """Read what a checkpoint says of its precision.

    Args:
        content: the file.
        inner: the language model's fields in it.
        beside: the content of ``hf_quant_config.json``, if there is one.
        layers: layers of the language model; what is said of later ones concerns drafting.

    Raises:
        ValueError: a method or format that is not known, named.
    """
    dtype, how_wide = _dtype(content, inner)
    said, how_quantised = _said(content, inner, beside)
    notes = [*how_wide, *how_quantised]
    plain = Form(dtype, 0.0, dtype)
    parts: dict[Part, Form] = dict.fromkeys((*LINEAR, "embedding", "head"), plain)
    cache = dtype
    if said is not None:
        parts, cache_bits, how = quantised(said, plain, layers)
        notes += how
        cache = cache if cache_bits is None else cache_bits
    expert = content.get("expert_dtype") or inner.get("expert_dtype")
    if expert is not None:
        parts["experts"], how = _experts(expert, parts["experts"])
        notes += how
    state = _first(("mamba_ssm_dtype", "mamba_ssm_cache_dtype"), inner, content, kind=str)
    recurrent = DTYPES.get("float32" if state is None else str(state), 32.0)
    return Stated(parts, cache, dtype, recurrent, tuple(notes))


def _first(
    names: tuple[str, ...], *tables: dict[str, object], kind: type = object
) -> object | None:
    """The first value of such a name and kind that says something."""
    found = (table.get(name) for table in tables for name in names)
    return next((value for value in found if value and isinstance(value, kind)), None)


def _dtype(content: dict[str, object], inner: dict[str, object]) -> tuple[float, list[str]]:
    """Bits of what is not quantised, and how they were found."""
    name = next(
        (
            c[key]
            for c in (inner, content)
            for key in ("dtype", "torch_dtype")
            if c.get(key) not in (None, "auto")
        ),
        None,
    )
    if name is not None and not dtype_known(name):
        raise refuse_value("dtype", name, DTYPES)
    bits = DTYPES.get(str(name).removeprefix("torch."), ASSUMED)
    note = "no dtype in the file: 16 bit assumed" if name is None else f"{name}, as the file says"
    if bits <= SERVED:
        return bits, [note]
    served = "served in 16 bit, as engines do with checkpoints in float32 (vLLM 0.11, --dtype auto)"
    return SERVED, [note, served]


def _said(
    content: dict[str, object], inner: dict[str, object], beside: dict[str, object] | None
) -> tuple[dict[str, object] | None, list[str]]:
    """What is said of quantisation, in the file or beside it, and where that was found."""
    said = _first(("quantization_config", "compression_config"), inner, content)
    if beside is not None and isinstance(sidecar := beside.get("quantization"), dict):
        algo = (
            {k: v for k, v in said.items() if k == "quant_algo"} if isinstance(said, dict) else {}
        )
        merged = {"quant_method": "modelopt", **sidecar, **algo}
        return merged, ["quantised as hf_quant_config.json says"]
    if said is not None and not isinstance(said, dict):
        raise ValueError(f"quantization_config = {shown(said)}, expected an object")
    return said, []


def _experts(name: object, form: Form) -> tuple[Form, list[str]]:
    """The format of experts that have a dtype of their own."""
    if not isinstance(name, str) or name not in DTYPES:
        raise refuse_value("expert_dtype", name, DTYPES)
    bits = DTYPES[name]
    narrow = bits == 4.0
    note = f"experts in {name}" + (", with a scale for 32 weights" if narrow else "")
    return Form(bits, 0.25 if narrow else form.scale, form.inputs), [note]


def dtype_known(name: object) -> bool:
    """Whether a dtype is one whose bits are known."""
    return str(name).removeprefix("torch.") in DTYPES


def quantised(
    said: dict[str, object], plain: Form, layers: int
) -> tuple[dict[Part, Form], float | None, list[str]]:
    """Formats by part, bits of the cache if stated, and notes."""
    method = str(said.get("quant_method") or said.get("quant_algo") or "").lower()
    method = (
        "modelopt"
        if method.startswith("modelopt") or (not said.get("quant_method") and "quant_algo" in said)
        else method
    )
    if method not in METHODS:
        raise refuse_value("quantization_config.quant_method", said.get("quant_method"), METHODS)
    form, kept, notes = METHODS[method](said, plain)
    parts: dict[Part, Form] = dict.fromkeys((*LINEAR, "embedding", "head"), plain)
    if form is None:
        return parts, cache_bits(said), notes
    covered = ("experts",) if method == "mxfp4" else LINEAR
    parts.update(form if isinstance(form, dict) else dict.fromkeys(covered, form))
    left = left_out(kept, layers)
    for name in LINEAR:
        if name in left:
            parts[name] = mixed(parts[name], plain, left[name] / layers)
    if said.get("lm_head") is True or (
        kept and "head" not in left and method in ("modelopt", "compressed-tensors")
    ):
        parts["head"] = form if isinstance(form, Form) else plain
    names = [name for name in (*LINEAR, "head") if left.get(name) == layers]
    if names and method != "mxfp4":
        notes.append(f"left at {plain.weight:g} bit, in whole where in part: {', '.join(names)}")
    some = [f"{name} in {left[name]}" for name in LINEAR if 0 < left.get(name, 0) < layers]
    if some:
        notes.append(f"left at {plain.weight:g} bit: {', '.join(some)} of {layers} layers")
    return parts, cache_bits(said), notes


def mixed(form: Form, plain: Form, share: float) -> Form:
    """A format of which a share of the layers keeps the plain one: mean bits, since bytes and times
    of layers add up. Weights and inputs of the plain one are equally wide."""
    if share >= 1.0:
        return plain
    return Form(
        *((1.0 - share) * own + share * kept for own, kept in zip(form, plain, strict=True))
    )


def cache_bits(said: dict[str, object]) -> float | None:
    """Bits of the cache, if stated."""
    scheme = said.get("kv_cache_scheme")
    if isinstance(scheme, dict) and isinstance(scheme.get("num_bits"), int):
        return float(scheme["num_bits"])
    algo = said.get("kv_cache_quant_algo")
    known = {"FP8": 8.0, "INT8": 8.0, "NVFP4": 4.5}
    if algo is None:
        return None
    if not isinstance(algo, str) or algo not in known:
        raise refuse_value("kv_cache_quant_algo", algo, known)
    return known[algo]

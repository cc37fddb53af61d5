"""The precision that a checkpoint states: ``quantization_config``, ``hf_quant_config.json`` beside
it, ``torch_dtype``.

Tools say it in many ways; what they say is the same: a format for the weights of linear layers, the
modules that keep the dtype of the file, the format of the inputs, and that of the cache. A part of
the model of which only some modules are left out is read as left out as a whole: an upper bound,
and said to be one.
"""

from typing import NamedTuple

from codesign.workload.config_json.content import flag, table, whole
from codesign.workload.config_json.quantised_modules import LINEAR, Form, Layers, mixed
from codesign.workload.config_json.quantization_methods import METHODS
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
    layers: Layers,
) -> Stated:
    """Read what a checkpoint says of its precision.

    Args:
        content: the file.
        inner: the language model's fields in it.
        beside: the content of ``hf_quant_config.json``, if there is one.
        layers: those of the language model; what is said of later ones concerns drafting.

    Raises:
        ValueError: a method or format that is not known, named.
    """
    dtype, how_wide = _dtype(content, inner)
    plain = Form(dtype, 0.0, dtype)
    said, how_quantised = _said(content, inner, beside, plain, layers)
    notes = [*how_wide, *how_quantised]
    parts: dict[Part, Form] = dict.fromkeys((*LINEAR, "embedding", "head"), plain)
    cache = dtype
    if said:
        parts, cache_bits, how = quantised(said, plain, layers)
        notes += how
        cache = cache if cache_bits is None else cache_bits
    expert = content.get("expert_dtype") or inner.get("expert_dtype")
    if expert is not None:
        parts["experts"], how = _experts(expert, parts["experts"])
        notes += how
    state = _first(("mamba_ssm_dtype", "mamba_ssm_cache_dtype"), inner, content, kind=str)
    if state not in (None, "auto") and not dtype_known(state):
        raise refuse_value("mamba_ssm_dtype", state, DTYPES)
    recurrent = DTYPES.get(str(state).removeprefix("torch."), 32.0)
    return Stated(parts, cache, dtype, recurrent, tuple(notes))


def _first(
    names: tuple[str, ...], *tables: dict[str, object], kind: type = object
) -> object | None:
    """The first value of such a name and kind that says something."""
    found = (table.get(name) for table in tables for name in names)
    return next((value for value in found if value and isinstance(value, kind)), None)


def _dtype(content: dict[str, object], inner: dict[str, object]) -> tuple[float, list[str]]:
    """Bits of what is not quantised, and how they were found."""
    field, name = "dtype", None
    for where in (content, inner):  # the language model's own goes before
        said = {key: where.get(key) for key in ("torch_dtype", "dtype")}
        said = {key: value for key, value in said.items() if value not in (None, "auto")}
        if len(set(map(str, said.values()))) > 1:
            raise ValueError(
                f"torch_dtype = {said['torch_dtype']!r} and dtype = {said['dtype']!r}, expected the"
                " same"
            )
        field, name = next(iter(said.items()), (field, name))
    if name is not None and not dtype_known(name):
        raise refuse_value(field, name, DTYPES)
    bits = DTYPES.get(str(name).removeprefix("torch."), ASSUMED)
    note = "no dtype in the file: 16 bit assumed" if name is None else f"{name}, as the file says"
    if bits <= SERVED:
        return bits, [note]
    served = "served in 16 bit, as engines do with checkpoints in float32 (vLLM 0.11, --dtype auto)"
    return SERVED, [note, served]


def _said(
    content: dict[str, object],
    inner: dict[str, object],
    beside: dict[str, object] | None,
    plain: Form,
    layers: Layers,
) -> tuple[dict[str, object], list[str]]:
    """What is said of quantisation, in the file or beside it, and where that was found."""
    said: dict[str, object] = {}
    for where in (content, inner):  # the language model's own goes before
        both = [table(where, name) for name in ("quantization_config", "compression_config")]
        if all(both) and both[0] != both[1]:
            raise ValueError(
                "quantization_config and compression_config say different things, expected one of"
                " them"
            )
        said = both[0] or both[1] or said
    if beside is None:
        return said, []
    sidecar = table(beside, "quantization")
    if not sidecar:
        raise ValueError(
            f"hf_quant_config.json has quantization = {shown(beside.get('quantization'))}, expected"
            " an object with quant_algo"
        )
    sidecar = {"quant_method": "modelopt", **sidecar}
    if said.get("quant_algo") == "MIXED_PRECISION" == sidecar.get("quant_algo"):
        sidecar = {**said, **sidecar}  # the list of layers stands in either
    if said:
        _refuse_contradiction(said, sidecar, plain, layers)
    return sidecar, ["quantised as hf_quant_config.json says"]


def _refuse_contradiction(
    said: dict[str, object], beside: dict[str, object], plain: Form, layers: Layers
) -> None:
    """Refuse a file beside the config that speaks of other bits: engines read one or the other."""
    (ours, cache, _), (theirs, cache_beside, _) = (
        quantised(each, plain, layers) for each in (said, beside)
    )
    for part in LINEAR:
        bits, others = ours[part].weight, theirs[part].weight
        # both lists may leave out a layer more or less
        if (bits <= plain.weight / 2.0) and (others <= plain.weight / 2.0) and bits != others:
            raise ValueError(
                f"quantization_config has {part} weights of {bits:g} bit and hf_quant_config.json"
                f" beside it of {others:g}, expected the same: remove the one that does not hold"
            )
    if None not in (cache, cache_beside) and cache != cache_beside:
        raise ValueError(
            f"quantization_config has a cache of {cache:g} bit and hf_quant_config.json beside it"
            f" of {cache_beside:g}, expected the same: remove the one that does not hold"
        )


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
    said: dict[str, object], plain: Form, layers: Layers
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
    form, kept, notes = METHODS[method](said, plain, layers)
    parts: dict[Part, Form] = dict.fromkeys((*LINEAR, "embedding", "head"), plain)
    if form is None:
        return parts, cache_bits(said), notes
    covered = ("experts",) if method == "mxfp4" else LINEAR
    parts.update(form if isinstance(form, dict) else dict.fromkeys(covered, form))
    shares = {name: layers.share(name, kept) for name in (*LINEAR, "head")}
    for name in LINEAR:
        if shares[name]:
            parts[name] = mixed(parts[name], plain, shares[name])
    everywhere = method in ("modelopt", "compressed-tensors") and isinstance(form, Form)
    if isinstance(form, Form) and (
        flag(said, "lm_head") or (kept and not shares["head"] and everywhere)
    ):
        parts["head"] = form
    names = [name for name in (*LINEAR, "head") if shares[name] == 1.0]
    if names and method != "mxfp4":
        notes.append(f"left at {plain.weight:g} bit, in whole where in part: {', '.join(names)}")
    some = [f"{name} in {shares[name]:.0%}" for name in LINEAR if 0.0 < shares[name] < 1.0]
    if some:
        notes.append(f"left at {plain.weight:g} bit: {', '.join(some)} of their layers")
    return parts, cache_bits(said), notes


def cache_bits(said: dict[str, object]) -> float | None:
    """Bits of the cache, if stated."""
    bits = whole(table(said, "kv_cache_scheme"), "num_bits", least=1, most=16)
    algo = said.get("kv_cache_quant_algo")
    known = {"FP8": 8.0, "INT8": 8.0, "NVFP4": 4.5}
    if algo is None:
        return None if bits is None else float(bits)
    if not isinstance(algo, str) or algo not in known:
        raise refuse_value("kv_cache_quant_algo", algo, known)
    if bits is not None and bits != round(known[algo]):
        raise ValueError(
            f"kv_cache_quant_algo = {algo!r}, expected the {bits} bit that kv_cache_scheme has"
        )
    return known[algo]

"""Names as sources print them, to names of the catalogue: models, engines, precisions.

Devices are named by ``hardware_priors.families``, which owns the catalogue.
"""

import dataclasses
import re

_MODEL_SUFFIXES = re.compile(
    r"(-instruct|-it|-hf|-chat|-fp8|-nvfp4|-mxfp4|-fp4|-dynamic|-0528|-2507|-thinking|-quantized\.w\d+a\d+|-v0\.[1-9]|-base)+$"
)
_MODEL_ALIASES = {
    # not the catalogue's spelling
    "meta-llama-3-8b": "llama-3-8b",
    "meta-llama-3-70b": "llama-3-70b",
    "meta-llama-3.1-8b": "llama-3.1-8b",
    "deepseek-v3/r1": "deepseek-r1",
    "r1": "deepseek-r1",
    "deepseek-r1-671b": "deepseek-r1",
    "mixtral-8x7b-v0.1": "mixtral-8x7b",
    "gpt-j-6b": "gptj-6b",
    "huggyllama/llama-7b": "llama-7b",
    "llama-4-maverick-17b-128e": "llama-4-maverick",
    "llama-4-scout-17b-16e": "llama-4-scout",
    "qwen3-coder-480b-a35b": "qwen3-coder-480b-a35b",
    # same architecture, other weights
    "llama-3-8b": "llama-3.1-8b",
    "llama-3-70b": "llama-3.1-70b",
    "llama-3.3-70b": "llama-3.1-70b",
    "deepseek-v3": "deepseek-r1",
    "deepseek-v3-0324": "deepseek-r1",
    "deepseek-v3.1": "deepseek-r1",
    "codellama-13b": "llama-2-13b",
    "aquila-7b": "llama-2-7b",
    "llama-7b": "llama-2-7b",
    "minimax-m2.1": "minimax-m2",
    "minimax-m2.5": "minimax-m2",
    "kimi-k2.6": "kimi-k2",
    "kimi-k2.5": "kimi-k2",
    "kimi-k2-thinking": "kimi-k2",
    "qwen3-coder-30b-a3b": "qwen3-30b-a3b",
    "qwen2-7b": "qwen2.5-7b",
}


def model_candidates(printed: str) -> list[str]:
    """Names to look up in the catalogue for a printed model name, the most literal first.

    >>> model_candidates("meta-llama/Llama-3.1-405B-Instruct-FP8")
    ['llama-3.1-405b-instruct-fp8', 'llama-3.1-405b']
    """
    name = re.sub(r"[\s_]+", "-", printed.strip().lower())
    if name not in _MODEL_ALIASES:
        name = name.rsplit("/", 1)[-1]
    found = [name]
    for candidate in (
        _MODEL_SUFFIXES.sub("", name),
        re.sub(r"^meta-", "", _MODEL_SUFFIXES.sub("", name)),
    ):
        found += [candidate, _MODEL_ALIASES.get(candidate, candidate)]
    found.append(_MODEL_ALIASES.get(found[-1], found[-1]))
    return list(dict.fromkeys(found))


def architecture_name(model: str) -> str:
    """The name that models of one architecture share, whatever their weights.

    >>> architecture_name("deepseek-v3"), architecture_name("llama-3.3-70b-instruct")
    ('deepseek-r1', 'llama-3.1-70b')
    """
    return model_candidates(model)[-1]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Serving software: its family, the variant that gets an offset of its own, and the half-year
    of its release (blank: unknown)."""

    family: str
    variant: str
    release: str = ""


_ENGINES = (
    (r"ml\.energy", "vllm", "vllm-mlenergy"),
    (r"dynamo-trt", "tensorrt-llm", "tensorrt-llm-dynamo"),
    (r"dynamo-sglang", "sglang", "sglang-dynamo"),
    (r"mori-sglang", "sglang", "sglang-mori"),
    (r"sglang disaggregated", "sglang", "sglang-disaggregated"),
    (r"sglang.*(rocm|mi3)", "sglang", "sglang-rocm"),
    (r"sglang", "sglang", "sglang"),
    (r"atom", "atom", "atom"),
    (r"llama\.cpp|ollama", "llama.cpp", "llama.cpp"),
    (r"neuron", "neuron", "neuron"),
    (r"mlx", "mlx", "mlx"),
    (r"tensorrt-llm v0\.", "tensorrt-llm", "tensorrt-llm-v0"),
    (r"trt-?llm|tensorrt-llm", "tensorrt-llm", "tensorrt-llm"),
    (r"tensorrt", "tensorrt-llm", "tensorrt-llm-mlperf"),
    (r"vllm-tpu", "vllm", "vllm-tpu"),
    (r"vllm-ascend", "vllm", "vllm-ascend"),
    (r"vllm 0\.7|vllm 0\.6", "vllm", "vllm-v0"),
    (r"vllm.*rocm|vllm main", "vllm", "vllm-rocm"),
    (r"vllm", "vllm", "vllm"),
    (r"deepspeed", "deepspeed", "deepspeed"),
    (r"sambaflow", "sambaflow", "sambaflow"),
)

ENGINES = ("vllm", "sglang", "tensorrt-llm", "atom", "llama.cpp", "neuron")
"""Families of engines to name; the shipped profile has measured rows of each."""


_BACKENDS = ((r"(?i)mi\d", "-rocm"), (r"(?i)(intel|arc|max-1550|b60)", "-xpu"))
"""Names of devices whose kernels of one engine are others, and what such a variant is called."""


def engine(software: str, date: str = "", hardware: str = "") -> Engine:
    """The engine of a printed software string; an unknown one is ``other``.

    vLLM of 2024 and before (its first scheduler) has offsets of its own, and so has every engine
    whose kernels are others on AMD and on Intel.

    >>> engine("trtllm-1.0.0rc3"), engine("vLLM", "2024").variant
    (Engine(family='tensorrt-llm', variant='tensorrt-llm', release='2025H2'), 'vllm-v0')
    """
    text = software.lower()
    for pattern, family, variant in _ENGINES:
        if re.search(pattern, text):
            if variant == "vllm" and date[:4].isdigit() and int(date[:4]) <= 2024:
                variant = "vllm-v0"
            if variant in ("vllm", "vllm-v0", "sglang", "llama.cpp"):
                variant += next((end for start, end in _BACKENDS if re.match(start, hardware)), "")
            return Engine(family, variant, _release(family, text, date))
    return Engine("other", "other")


_RELEASES: dict[str, tuple[tuple[str, str], ...]] = {
    # from github.com/{vllm-project/vllm,sgl-project/sglang,NVIDIA/TensorRT-LLM}/releases; the first
    # half-year of a minor version
    "vllm": (
        (r"0\.[67]\.", "2024H2"),
        (r"0\.(8|9|10)\.", "2025H1"),
        (r"0\.1[1-3]\.", "2025H2"),
        (r"0\.(1[4-9]|2\d)\.", "2026H1"),
    ),
    "sglang": (
        (r"0\.4\.", "2025H1"),
        (r"0\.5\.[0-6](\D|$)", "2025H2"),
        (r"0\.5\.([7-9]|1\d)", "2026H1"),
    ),
    "tensorrt-llm": ((r"v0\.", "2024H1"), (r"1\.[0-2]\.0", "2025H2"), (r"1\.[3-9]\.0", "2026H1")),
}


def _release(family: str, software: str, date: str) -> str:
    """The half-year of a release: by its version, else by the date of the run; blank where neither
    is said.

    >>> _release("sglang", "sglang-0.5.6.post2", "")
    '2025H2'
    >>> _release("vllm", "vllm", "2026-04"), _release("vllm", "vllm", "2024")
    ('2026H1', '2024H2')
    """
    for pattern, half in _RELEASES.get(family, ()):
        if re.search(pattern, software):
            return half
    if re.match(r"20\d\d", date) is None:
        return ""
    month = date[5:7]
    return f"{date[:4]}H{1 if month.isdigit() and int(month) <= 6 else 2}"


@dataclasses.dataclass(frozen=True)
class Formats:
    """Bits of each kind of data, and the width at which each class of product computes [bit]."""

    weights: float
    experts: float
    cache: float
    activations: float
    product_width: int
    expert_width: int
    assumed: bool = False

    @property
    def name(self) -> str:
        """Short name of the class, for grouping: bits of weights and of experts' weights, and the
        widths at which they compute."""
        return f"w{self.weights:g}e{self.experts:g}x{self.product_width}/{self.expert_width}"


_DENSE = re.compile(r"llama-(2|3)|qwen3-(8|14|32)b|falcon|gemma|opt|mistral-7b")


def formats(
    weights: str, cache: str, model: str, hardware: str, engine_family: str
) -> Formats | None:
    """Read the printed precisions of a row, or None where they are of no known kind.

    "fp4" means four things: MXFP4 experts under 16-bit activations (gpt-oss), NVFP4 or MXFP4
    experts beside 16-bit attention (DeepSeek, MiniMax, Kimi, Qwen3.5), and products of 4-bit
    weights and activations (dense models). A blank is read as 16 bit, unless the model's name says
    otherwise; an unstated cache is 8 bit only for TensorRT-LLM at 8 bit or less.
    """
    text = weights.lower().strip()
    if not text:
        text = "fp4" if "fp4" in model.lower() else "fp8" if "fp8" in model.lower() else "bf16"
        assumed = True
    else:
        assumed = not cache
    kv = _bits(cache.lower()) if cache else None
    dense = bool(_DENSE.search(model)) and "maverick" not in model and "scout" not in model
    old = bool(re.search(r"^(h100|h200|h20|h800|gh200|a100|a800)", hardware))
    if re.search(r"bf16|fp16|float16|16-bit|bfloat16", text) and "moe" not in text:
        spec = (16.0, 16.0, 16.0, 16, 16)
    elif "gpt-oss" in model and re.search(r"fp4|4-bit", text):
        spec = (16.0, 4.25, 16.0, 16, 16 if old or engine_family == "llama.cpp" else 8)
    elif re.search(r"fp4\(moe\)", text):
        spec = (16.0, 4.5, 16.0, 16, 4)
    elif "fp4" in text or text == "uint4":
        width = 16 if hardware.startswith(("mi300", "h", "a")) else 4
        spec = (4.5, 4.5, float(width), width, width) if dense else (16.0, 4.5, 16.0, 16, width)
    elif re.search(r"q4|4-bit|w4a16|int4", text):
        spec = (
            (4.85, 4.85, 16.0, 16, 16)
            if re.search(r"q4|4-bit", text) or dense
            else (16.0, 4.5, 16.0, 16, 16)
        )
        if "w4a16" in text:
            spec = (4.5, 4.5, 16.0, 16, 16)
    elif "w8a16" in text or "int8_wo" in text:
        spec = (8.0, 8.0, 16.0, 16, 16)
    elif re.search(r"fp8|w8a8|int8|mxfp8", text):
        spec = (8.0, 8.0, 8.0, 8, 8)
        if hardware.startswith(("a100", "a800", "rtx-3090", "rtx-a6000", "v100")):
            spec = (8.0, 8.0, 16.0, 16, 16)
    else:
        return None
    if kv is None:
        kv = 8.0 if engine_family == "tensorrt-llm" and spec[0] <= 8.0 else 16.0
    return Formats(spec[0], spec[1], kv, spec[2], spec[3], spec[4], assumed)


def _bits(text: str) -> float | None:
    match = re.search(r"(16|8|4)", text)
    return float(match.group(1)) if match else None

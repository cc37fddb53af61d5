"""Multimodal files: where the language model is in them, and what stands beside it."""

import re
from typing import NamedTuple

from codesign.workload.config_json.content import table
from codesign.workload.config_json.refusal import judge_unknown, nearest, refuse_value

INNER = ("text_config", "language_config", "llm_config", "thinker_config")
"""Where the fields of the language model are kept."""

ANY_TEXT_MODEL = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "qwen2_moe",
    "qwen3_moe",
    "gemma",
    "gemma2",
    "phi3",
    "internlm2",
    "mixtral",
)

WRAPPERS: dict[str, tuple[str, ...]] = {
    "gemma3": ("gemma3_text",),
    "gemma3n": ("gemma3n_text",),
    "gemma4": ("gemma4_text",),
    "llama4": ("llama4_text",),
    "mllama": ("mllama_text_model",),
    "kimi_k25": ("kimi_k2", "deepseek_v3"),
    "kimi_k3": ("kimi_linear",),
    "kimi_vl": ("deepseek_v3",),
    "deepseek_vl_v2": ("deepseek_v2", "deepseek_v3"),
    "qwen2_vl": ("qwen2_vl_text", "qwen2"),
    "qwen2_5_vl": ("qwen2_5_vl_text", "qwen2"),
    "qwen3_vl": ("qwen3_vl_text", "qwen3"),
    "qwen3_vl_moe": ("qwen3_vl_moe_text", "qwen3_moe"),
    "qwen3_5": ("qwen3_5_text",),
    "qwen3_5_moe": ("qwen3_5_moe_text",),
    "qwen2_5_omni": ("qwen2_5_omni_text",),
    "qwen2_5_omni_thinker": ("qwen2_5_omni_text",),
    "glm46v": ("glm4v_moe_text", "glm4v_text"),
    "qwen3_omni_moe": ("qwen3_omni_moe_text",),
    "qwen3_omni_moe_thinker": ("qwen3_omni_moe_text",),
    "mistral3": ("mistral", "ministral3", "mistral4"),
    "glm4v": ("glm4v_text", "glm4"),
    "glm4v_moe": ("glm4v_moe_text", "glm4_moe"),
    "minimax_m3_vl": ("minimax_m3_vl_text", "minimax_m3"),
    "step3p7": ("step3p7_text",),
    "step3_vl": ("step3_text",),
    **dict.fromkeys(("phi3_v", "phi4mm"), ("phi3",)),
    "cohere2_vision": ("cohere2",),
    "aya_vision": ("cohere2",),
    "lfm2_vl": ("lfm2",),
    "exaone4_5": ("exaone4",),
    **dict.fromkeys(
        (
            "llava",
            "llava_next",
            "llava_next_video",
            "llava_onevision",
            "vipllava",
            "video_llava",
            "internvl",
            "internvl_chat",
            "paligemma",
            "idefics2",
            "idefics3",
            "smolvlm",
            "voxtral",
            "qwen2_audio",
            "got_ocr2",
            "fuyu",
            "pixtral",
            "ovis",
            "tarsier",
            "h2ovl_chat",
        ),
        ANY_TEXT_MODEL,
    ),
}
"""Multimodal types, and the types that their language model may have, the default first."""

FLAT = frozenset({"qwen2_vl", "qwen2_5_vl", "step3p7", "glm4v", "phi3_v", "phi4mm"})
"""Types whose older files keep the language model's fields beside the vision tower."""

BESIDE = re.compile(
    r"^(vision|image|video|audio|mm)(?!.*(layers|heads|experts|blocks)$)|projector|perceiver_config$|^projection_|^alignment_|^spatial_|^select_layer$|_placeholder$|^use_image|^ignore_index$|^model_type$"
    r"|^downsample|^dynamic_image|^max_dynamic|^min_dynamic|^use_thumbnail|^ps_version$|^template$|^force_image|^pad2square$"
    r"|^patch|^pixel_|^scale_factor$|^tile_|^global_view|^candidate_resolutions$|^use_unified_vision|^boi_|^eoi_|^boa_|^eoa_"
    r"|^(text|language|llm|thinker|talker|code2wav)_config$|^enable_(audio|talker)|^max_image|^tie_word_embeddings$|^tts_"
    r"|^embd_layer$|^img_processor$|^speech_|^use_backbone_lora$|^use_llm_lora$|^merged?_|^position_id_per|^user_token|^assistant_token|^im_(start|end)|^multimodal|^fps$"
)
"""Fields of a wrapper that say nothing of its language model."""

NESTED_DEFAULTS: dict[str, dict[str, object]] = {
    "llama": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
    },
    "mistral": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "num_key_value_heads": 8,
    },
}
"""What the text model of a wrapper means by leaving a field out: the defaults of its class, as
transformers saves it."""


class LanguageModel(NamedTuple):
    """The type and fields of a language model, and why what stands beside it is not read."""

    model_type: str
    fields: dict[str, object]
    outside: dict[str, str]


def language_model(content: dict[str, object], known: set[str]) -> LanguageModel:
    """The type and fields of the language model, out of a multimodal wrapper if there is one."""
    if "model_type" not in content:
        raise ValueError(f"the field model_type is missing{nearest('model_type', content)}")
    model_type = content["model_type"]
    if not isinstance(model_type, str):
        raise ValueError(f"model_type = {model_type!r}, expected a text")
    inner_name = next((name for name in INNER if isinstance(content.get(name), dict)), None)
    if model_type not in WRAPPERS or (inner_name is None and model_type in known):
        return LanguageModel(model_type, content, {})
    types = WRAPPERS[model_type]
    if inner_name is None:
        if model_type not in FLAT:
            raise ValueError(
                f"text_config = {content.get('text_config')!r}, expected an object, for"
                f" {model_type!r} keeps its fields there"
            )
        outside = {
            name: towers(name, value)
            for name, value in content.items()
            if BESIDE.search(name) and name != "model_type"
        }
        outside.pop("tie_word_embeddings", None)
        return LanguageModel(
            types[0],
            {name: value for name, value in content.items() if name not in outside},
            outside,
        )
    inner = table(content, inner_name)
    if isinstance(again := inner.get("text_config"), dict):  # an omni model's thinker wraps again
        inner = again
    inner_type = inner.get("model_type", types[0])
    if not isinstance(inner_type, str) or inner_type not in types:
        raise refuse_value(f"{inner_name}.model_type", inner_type, types)
    beside = {name: value for name, value in content.items() if name != inner_name}
    outside = {
        name: towers(name, value)
        for name, value in beside.items()
        if BESIDE.search(name) and name != "model_type"
    }
    rest = {
        name: value
        for name, value in beside.items()
        if name not in outside and name != "model_type"
    }
    shared = {name: rest.pop(name) for name in ("vocab_size",) if name in rest}
    shared |= {name: content[name] for name in ("tie_word_embeddings",) if name in content}
    repeated = {
        name: value
        for name, value in rest.items()
        if inner.get(name, value) == value and name in inner
    }
    outside |= dict.fromkeys(repeated, "repeats the language model's")
    outside |= judge_unknown(
        {name: value for name, value in rest.items() if name not in repeated}, (), (), model_type
    )
    outside.pop("tie_word_embeddings", None)
    inner = {
        name: value
        for name, value in inner.items()
        if name == "model_type" or not name.endswith("_config") or name in KEPT
    }
    return LanguageModel(
        inner_type, {**NESTED_DEFAULTS.get(inner_type, {}), **shared, **inner}, outside
    )


KEPT = frozenset(
    {
        "quantization_config",
        "linear_attn_config",
        "sparse_attention_config",
        "attn_config",
        "block_configs",
    }
)
"""Objects within a language model that are read."""


def towers(name: str, value: object) -> str:
    """Why something beside the language model is not read; a tower with its kind and, where its
    file tells, its weights."""
    if not isinstance(value, dict) or not name.endswith("_config"):
        return "beside the language model"
    kind = value.get("model_type") or name.removesuffix("_config")
    count = tower_parameters(value)
    return f"a tower ({kind}) that is no part of the language model" + (
        "" if count is None else f": about {count / 1e9:.2f}e9 parameters"
    )


def tower_parameters(config: dict[str, object]) -> float | None:
    """About how many weights a vision or audio tower has, by its layers alone, or None if its file
    does not say."""
    names = (
        ("num_hidden_layers", "depth", "num_layers"),
        ("hidden_size", "embed_dim", "width"),
        ("intermediate_size",),
    )
    layers, hidden, width = (
        next((v for n in group if isinstance(v := config.get(n), int)), None) for group in names
    )
    if layers is None or hidden is None:
        return None
    return float(layers) * (4.0 * hidden**2 + 2.0 * hidden * (width or 4 * hidden))

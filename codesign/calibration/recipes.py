"""What public benchmarks run with and do not print with their results: the format of the cache.

InferenceX prints the precision of the weights only. Its recipes are public
(github.com/SemiAnalysisAI/InferenceX, ``benchmarks``, read 2026-11-28): vLLM, SGLang, TensorRT-LLM
and ATOM are started with an 8-bit cache, but for the runs below. Times to first token agree: with
16 bit, half of the sequences that were served at once would have had to wait (MiniMax-M2.5 at 4 bit
on one B200, 32 requests of 8K: first token after 0.5 s, where waiting takes 13 s).
"""

import re

_SIXTEEN = (  # recipes without a format of the cache: that of the activations
    (r"bf16|fp16", r"", r"", r""),
    (r"", r"gpt-oss", r"(?!b200|b300|gb200|gb300)", r""),
    (r"int4", r"kimi", r"", r""),
    (r"fp8", r"minimax", r"h100", r""),
    (r"fp8", r"deepseek", r"h100|h200", r"sglang"),
)
"""Weights, model, device and family of engine, as patterns of what their names begin with."""


def cache_of_recipe(
    source: str, weights: str, model: str, device: str, engine_family: str
) -> str | None:
    """Bits of the cache in a benchmark's public recipe, or None for other sources.

    Args:
        source, weights: as printed with the result.
        model, device: names of the catalogue.
        engine_family: of the serving software.

    >>> cache_of_recipe("InferenceX(SemiAnalysis)", "fp4", "minimax-m2", "b200", "vllm")
    '8'
    >>> cache_of_recipe("InferenceX(SemiAnalysis)", "fp4", "gpt-oss-120b", "h200", "tensorrt-llm")
    '16'
    """
    if not source.startswith("InferenceX"):
        return None
    run = (weights.lower(), model, device, engine_family)
    wide = any(
        all(re.match(pattern, name) for pattern, name in zip(patterns, run, strict=True))
        for patterns in _SIXTEEN
    )
    return "16" if wide else "8"

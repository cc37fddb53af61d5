"""A small machine, model and question, of which tests spoil one thing at a time."""

EVALUATE = (
    "evaluate",
    "--model",
    "llama-3.1-8b",
    "--device",
    "h100",
    "--execution",
    "operatorwise",
)
DEVICE = {
    "memory_bandwidth": '"2 TB/s"', "memory_capacity": '"90 GB"', "peak_flops": '"1 PFLOP/s"', "sync_latency": '"2 us"',
    "link_bandwidth": '"400 GB/s"', "technology": '["N3", "HBM4", "NVLink5"]',
}  # fmt: skip
CONFIG = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "vocab_size": 100, "intermediate_size": 256,
}  # fmt: skip


def device_of(**stated: str) -> str:
    return "".join(f"{key} = {value}\n" for key, value in {**DEVICE, **stated}.items())


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels

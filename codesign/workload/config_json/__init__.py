"""Reading a Hugging Face ``config.json`` into a ``Transformer``; nothing that changes cost is guessed or ignored."""

from codesign.workload.config_json.reader import FAMILIES, read_config

__all__ = ["FAMILIES", "read_config"]

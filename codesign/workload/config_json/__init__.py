"""Reading a Hugging Face ``config.json`` into a ``Transformer``; nothing that changes cost is
guessed or ignored."""

from codesign.workload.config_json.reader import FAMILIES, Structure, read_config, read_structure

__all__ = ["FAMILIES", "Structure", "read_config", "read_structure"]

"""What a question asks beyond what its model was made for: refused where the answer would mean nothing, else a warning."""

from codesign.files import own_path
from codesign.workload.catalogue import canonical, index
from codesign.workload.config_json.reader import language_model, load
from codesign.workload.transformer import Transformer, layer_count
from experiments.refusal import Refused

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "n_ctx", "seq_length")
"""Fields in which a config.json says how many positions its model was trained for."""


def refuse_more_stages(stages: int, model: Transformer, asked: str) -> None:
    """Refuse a pipeline with stages that hold no layer; ``asked`` is the option or key.

    Raises:
        Refused: naming both numbers.
    """
    layers = round(float(layer_count(model)))
    if stages > layers:
        raise Refused(f"{asked} is {stages}, but {model.name} has {layers} layers; expected at most one stage a layer, {layers}")


def too_long(positions: int, name_or_path: str, model: Transformer) -> list[str]:
    """A warning where more positions are asked for than the model has or was trained for."""
    most = known_positions(name_or_path, model)
    if most is None or positions <= most:
        return []
    return [f"{model.name} has {most} positions; {positions} are beyond them, and are computed as if it had that many"]


def known_positions(name_or_path: str, model: Transformer) -> int | None:
    """Rows of the model's table of positions, or what its config.json says; None where nobody says."""
    if float(model.positions) > 0:
        return round(float(model.positions))
    path = own_path(name_or_path)
    path = path / "config.json" if path.is_dir() else path
    if canonical(name_or_path) in index() or not path.is_file():
        return None
    _, fields = language_model(load(path))
    stated = [fields[name] for name in POSITIONS if isinstance(fields.get(name), int)]
    return stated[0] if stated and stated[0] > 0 else None

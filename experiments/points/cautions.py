"""What a question asks beyond what its model was made for: refused where the answer would mean
nothing, else a warning."""

from codesign.workload.reading import Reading
from codesign.workload.transformer import Transformer, layer_count
from experiments.terminal.refusal import Refused


def refuse_more_stages(stages: int, model: Transformer, asked: str) -> None:
    """Refuse a pipeline with stages that hold no layer; ``asked`` is the option or key.

    Raises:
        Refused: naming both numbers.
    """
    layers = round(float(layer_count(model)))
    if stages > layers:
        raise Refused(
            f"{asked} is {stages}, but {model.name} has {layers} layers; expected at most one stage"
            f" a layer, {layers}"
        )


def too_long(positions: int, reading: Reading) -> list[str]:
    """A warning where more positions are asked for than the model has or was made for."""
    learned = round(float(reading.model.positions))
    most = learned or reading.context_limit
    if not most or positions <= most:
        return []
    has = "has" if learned else "was made for"
    return [
        f"{reading.model.name} {has} {most} positions; {positions} are beyond them, and are"
        " computed as if it had that many"
    ]

"""What a scenario asks for: models, phases, lengths, precisions."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from experiments.scenarios.values import (
    Bits,
    Integer,
    Number,
    Positions,
    Share,
    catalogue_model,
    quantity,
)

SHARES = 1e-6
"""How far shares may be from summing to 1."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


PHASES_USING = {
    "context": ("decode",),
    "prompt": ("prefill", "serving"),
    "cached": ("prefill", "serving"),
    "output": ("serving",),
    "load": ("serving",),
    "first_promise": ("serving",),
    "draft_length": ("decode", "serving"),
    "draft_acceptance": ("decode", "serving"),
    "draft_cost": ("decode", "serving"),
    "decode_machine": ("decode", "serving"),
    "prefill_machine": ("prefill", "serving"),
}
"""Which phases a key of a workload has an effect in, where not in all."""


def _either(words: Sequence[str]) -> str:
    return " or ".join(f'"{word}"' for word in words)


class Work(Section):
    """One service: model, phase, precision, promises."""

    model: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(catalogue_model)]
    phase: Literal["decode", "prefill", "serving"] = "decode"
    context: Positions | None = None
    """cached positions per sequence (decode)"""
    prompt: Positions | None = None
    """positions of a prompt (prefill, serving)"""
    output: Positions | None = None
    """tokens of an output (serving)"""
    cached: Share = 0.0
    """share of the prompt already in a cache"""
    load: Share = 0.7
    """offered load over capacity: how long prompts wait (serving)"""
    draft_length: Annotated[Integer, Field(ge=0, le=1000)] = 0
    draft_acceptance: Share = 0.0
    draft_cost: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """draft model over target model"""
    weight_bits: Bits | None = None
    """of all weights; as the model's file says where left out, like the widths that follow"""
    expert_weight_bits: Bits | None = None
    kv_bits: Bits | None = None
    activation_bits: Bits | None = None
    message_bits: Bits = 16.0
    promise: quantity("s")  # pyright: ignore[reportInvalidTypeForm]
    first_promise: quantity("s") | None = None  # pyright: ignore[reportInvalidTypeForm]
    """longest mean time to the first token (serving)"""
    share: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """of the fleet's output tokens"""
    decode_machine: Annotated[Integer, Field(ge=0)] = 0
    prefill_machine: Annotated[Integer, Field(ge=0)] = 0
    """which of the machines decodes and which prefills; the same one interleaves both"""

    @property
    def machines(self) -> set[int]:
        """The machines that work for this service."""
        return {"decode": {self.decode_machine}, "prefill": {self.prefill_machine}}.get(
            self.phase, {self.decode_machine, self.prefill_machine}
        )

    @model_validator(mode="after")
    def _whole(self) -> "Work":
        needed = {"decode": ("context",), "prefill": ("prompt",), "serving": ("prompt", "output")}[
            self.phase
        ]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"the phase {self.phase!r} needs {name!r}, which is missing")
        for name in sorted(self.model_fields_set):
            if self.phase not in (used := PHASES_USING.get(name, (self.phase,))):
                raise ValueError(
                    f"{name} has no effect in the phase {self.phase!r}; expected it only with phase"
                    f" = {_either(used)}"
                )
        for name in ("draft_acceptance", "draft_cost"):
            if getattr(self, name) and not self.draft_length:
                raise ValueError(
                    f"{name} has no effect without drafts; expected draft_length of at least 1"
                    " beside it"
                )
        return self

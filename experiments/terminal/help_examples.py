"""Two commands that show what each command is for: the end of its help. A test reads every one of
them."""

EXAMPLES: dict[str, tuple[str, str]] = {
    "": (
        "codesign optimize llama-405b",
        "codesign evaluate --model llama-3.1-70b --device h200 --chips 8 --batch 32 --context 8192",
    ),
    "advise-batch": (
        "codesign advise-batch --model opt-1.3b --device h100 --context 256 --latency-promise 2x",
        (
            "codesign advise-batch --model llama-3.1-8b --device h200 --latency-promise '20 ms'"
            " --json"
        ),
    ),
    "calibrate": (
        "codesign calibrate measured.csv --output mine.npz",
        "codesign calibrate two-rows.csv --anchor --output mine.npz",
    ),
    "describe": (
        "codesign describe deepseek-v4-pro",
        "codesign describe gpt-oss-120b --expert-weight-bits 8 --json",
    ),
    "evaluate": (
        "codesign evaluate --model llama-3.1-70b --device h200 --chips 8 --batch 32 --context 8192",
        (
            "codesign evaluate --model deepseek-v3 --device b200 --chips 8 --phase prefill --prompt"
            " 4096 --json"
        ),
    ),
    "explain": (
        "codesign explain b200 runs/llama-405b:0 --picture why.png",
        (
            "codesign explain 'h100 --chips 8' 'b200 --chips 4' --model llama-3.1-70b --batch 32"
            " --context 8192"
        ),
    ),
    "list": (
        "codesign list models",
        "codesign list devices --sources --json",
    ),
    "optimize": (
        "codesign optimize chat --output runs/chat",
        "codesign optimize llama-405b --write-template mine.toml",
    ),
    "plan": (
        'codesign plan --model deepseek-v3 --prompt 4096 --output 1024 --promise "33 ms"',
        (
            "codesign plan --model llama-3.1-70b --prompt 2048 --output 512 --rate 200/min"
            " --devices h100,h200 --json"
        ),
    ),
    "reproduce": (
        "codesign reproduce devices",
        "codesign reproduce limit-study --chips 8,64 --json",
    ),
    "sensitivity": (
        "codesign sensitivity llama-405b --objective tokens/s/W",
        (
            "codesign sensitivity --model llama-3.1-70b --device h200 --chips 8 --batch 32"
            " --context 8192 --json"
        ),
    ),
    "show": (
        "codesign show llama-405b",
        "codesign show runs/chat --design 0",
    ),
    "uncertainty": (
        "codesign uncertainty llama-405b --samples 2000 --against b200",
        "codesign uncertainty dense --seed 1 --json",
    ),
    "validate": (
        "codesign validate measured.csv",
        "codesign validate measured.csv --page accuracy.md --json",
    ),
}
"""Examples by command; of the program itself under the empty name."""


def ending(command: str) -> str:
    """The last lines of a command's help.

    >>> print(ending("list"))
    <BLANKLINE>
    examples:
      codesign list models
      codesign list devices --sources --json
    """
    return "\n".join(
        ["", "examples:", *(f"  {example}" for example in EXAMPLES.get(command, EXAMPLES[""]))]
    )

"""Trains a small model of many families under PyTorch on the CPU and writes down the bytes of live tensors.

One model of each type, eager attention, no dropout, plain SGD: the peak of the second step, which
tests/core/test_trained_families.py holds the planner's estimate against. The file states the models and the
steps. It needs the environment that benchmarks/trained_on_cpu.py tells of; some two minutes on one core:

    PYTHONPATH=. ../torchenv/bin/python -m benchmarks.trained_families tests/data/trained_families.json
"""

# mypy: disable-error-code="import-not-found,misc"

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks.trained_on_cpu import PRECISIONS, second_peak


def counted(family: dict[str, Any], step: dict[str, Any]) -> int:
    """Bytes alive at the peak of the second step."""
    config = dict(family["config"])
    read = transformers.CONFIG_MAPPING[config.pop("model_type")](**config)
    for name, value in vars(read).items():
        if isinstance(value, float) and ("dropout" in name or "layerdrop" in name or name.endswith("pdrop")):
            setattr(read, name, 0.0)
    read.use_cache = False
    dtype = PRECISIONS[step["precision"]][0]
    kind = getattr(transformers, family["config"]["architectures"][0])
    model = kind._from_config(read, dtype=dtype, attn_implementation="eager").train()  # noqa: SLF001 - the one way to state both
    if step["checkpointing"] == "full":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    tokens = torch.randint(2, read.vocab_size, (step["sequences"], step["tokens"]))
    return second_peak(model, optimizer, tokens)


def main() -> None:
    """Counts every step of the named file again."""
    torch.set_num_threads(1)
    path = Path(sys.argv[1])
    families = json.loads(path.read_text(encoding="utf-8"))
    for family in families:
        for step in family["steps"]:
            step["counted"] = counted(family, step)
    lines = ",\n".join(json.dumps(family) for family in families)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()

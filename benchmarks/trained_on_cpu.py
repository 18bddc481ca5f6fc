"""Trains small real models under PyTorch on the CPU, counts the bytes of live tensors, and compares.

Two steps of each model with real arithmetic; the peak of the second is held against the estimate of the same
step, device and libraries left out. It needs an environment of its own, never the product's:

    python3 -m venv ../torchenv
    ../torchenv/bin/pip install torch==2.13.0 transformers==5.23.0 msgspec platformdirs
    PYTHONPATH=. ../torchenv/bin/python -m benchmarks.trained_on_cpu [tests/data/trained_on_cpu.csv]
"""

# ruff: noqa: ANN401 - the libraries measured are not installed where this is checked
# mypy: disable-error-code="import-not-found,misc"

import csv
import gc
import itertools
import json
import statistics
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.plan import Checkpointing, Optimizer, Precision, Split, Train
from llmplanner.core.step import one_step
from llmplanner.core.training import tensors
from llmplanner.models.config import from_config

DATA = Path(__file__).parents[1] / "tests" / "data"
CONFIGS: dict[str, dict[str, object]] = json.loads(  # families that stand in no table, and some that do
    (DATA / "trained_on_cpu.json").read_text(
        encoding="utf-8"
    )  # without dropout: on a GPU its masks are bytes
)
SHAPES = ((64, 4), (192, 1))  # tokens, sequences
CASES = (  # precision, checkpointing, optimizer
    ("fp32", "none", Optimizer.ADAMW_LOOP),
    ("fp32", "full", Optimizer.ADAMW),
    ("bf16", "none", Optimizer.ADAMW),
    ("bf16", "full", Optimizer.SGD_MOMENTUM),
)
PRECISIONS = {"fp32": (torch.float32, Precision.FP32), "bf16": (torch.bfloat16, Precision.BF16)}
OPTIMIZERS = {
    Optimizer.ADAMW_LOOP: lambda parameters: torch.optim.AdamW(parameters, foreach=False),
    Optimizer.ADAMW: lambda parameters: torch.optim.AdamW(parameters, foreach=True),
    Optimizer.SGD_MOMENTUM: lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.9),
}
COLUMNS = ("model", "precision", "checkpointing", "optimizer", "tokens", "sequences", "counted", "predicted")


class Live(TorchDispatchMode):
    """Counts every storage that an operation makes, until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._held: dict[int, object] = {}

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, torch.Tensor):
                self.count(each.untyped_storage())
        self.peak = max(self.peak, self.live)
        return out

    def count(self, storage: Any) -> None:
        """Adds a storage that is not known."""
        key, size = storage._cdata, storage.nbytes()  # noqa: SLF001 - the storage's own address
        if key in self._held:
            return

        def freed() -> None:
            self.live -= size
            del self._held[key]

        self._held[key] = weakref.finalize(storage, freed)
        self.live += size


def counted(kind: str, config: dict[str, object], row: dict[str, Any]) -> int:
    """Bytes alive at the peak of the second step."""
    dtype, tokens, batch = PRECISIONS[row["precision"]][0], row["tokens"], row["sequences"]
    read = transformers.AutoConfig.for_model(kind, **config, use_cache=False)
    model = transformers.AutoModelForCausalLM.from_config(read, dtype=dtype, attn_implementation="eager")
    model.train()
    if row["checkpointing"] == "full":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = OPTIMIZERS[row["optimizer"]](model.parameters())
    return second_peak(model, optimizer, torch.randint(0, 1024, (batch, tokens)))


def second_peak(model: Any, optimizer: Any, tokens: Any) -> int:
    """Bytes alive at the peak of the second of two steps over some tokens."""
    live = Live()
    for each in (*model.parameters(), *model.buffers()):
        live.count(each.untyped_storage())
    for _ in range(2):
        gc.collect()
        live.peak = live.live
        with live:
            ids = tokens.clone()
            loss = model(input_ids=ids, labels=ids.clone()).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        del loss, ids
    return live.peak


def predicted(kind: str, config: dict[str, object], row: dict[str, Any]) -> int:
    """What the planner says of the same step."""
    model = from_config({"model_type": kind, **config}, kind, "small")
    step = Train(
        row["tokens"],
        row["sequences"],
        PRECISIONS[row["precision"]][1],
        row["optimizer"],
        AttentionKernel.EAGER,
        Checkpointing(row["checkpointing"]),
    )
    return max(int(phase.bytes) for phase in tensors(one_step(model, step, Split())))


def rows() -> Iterator[dict[str, Any]]:
    """Every run, counted and predicted."""
    for kind, config in CONFIGS.items():
        for (precision, kept, optimizer), (tokens, batch) in itertools.product(CASES, SHAPES):
            row: dict[str, Any] = {"model": kind, "precision": precision, "checkpointing": kept}
            row |= {"optimizer": optimizer, "tokens": tokens, "sequences": batch}
            yield row | {"counted": counted(kind, config, row), "predicted": predicted(kind, config, row)}


def main() -> None:
    """Prints the errors by model; writes the rows where a file is named."""
    torch.set_num_threads(1)  # small products: more threads wait for each other
    found = list(rows())
    if len(sys.argv) > 1:
        with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(found)
    for kind in CONFIGS:
        errors = sorted(abs(row["predicted"] / row["counted"] - 1) for row in found if row["model"] == kind)
        print(
            f"{kind:12} {len(errors):3} runs: median {statistics.median(errors):.2%}, worst {errors[-1]:.2%}"
        )


if __name__ == "__main__":
    main()

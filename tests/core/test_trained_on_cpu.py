"""Steps of small models that PyTorch ran on the CPU (tests/data/trained_on_cpu.csv) beside their estimate."""

import csv
import json

import pytest

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.plan import Checkpointing, Optimizer, Precision, Split, Train
from llmplanner.core.step import one_step
from llmplanner.core.training import tensors
from llmplanner.models.config import from_config
from tests.reference import ROOT

CONFIGS: dict[str, dict[str, object]] = json.loads(
    (ROOT / "tests" / "data" / "trained_on_cpu.json").read_text(encoding="utf-8")
)
with (ROOT / "tests" / "data" / "trained_on_cpu.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("kind", CONFIGS)
def test_steps_of_small_models(kind: str) -> None:
    model = from_config({"model_type": kind, **CONFIGS[kind]}, kind, "small")
    rows = [row for row in ROWS if row["model"] == kind]
    assert rows
    for row in rows:
        step = Train(
            int(row["tokens"]),
            int(row["sequences"]),
            Precision(row["precision"]),
            Optimizer(row["optimizer"]),
            AttentionKernel.EAGER,
            Checkpointing(row["checkpointing"]),
        )
        peak = max(int(phase.bytes) for phase in tensors(one_step(model, step, Split())))
        exact = row["checkpointing"] == "none"
        assert peak == pytest.approx(int(row["counted"]), rel=0.002 if exact else 0.007), row

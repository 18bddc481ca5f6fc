"""Steps in ways that the table of measured steps lacks, counted by the same method (tests/data/README.md)."""

import json
from functools import cache

import numpy as np
import pytest

from llmplanner.core import measured, training
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.estimate import Phase
from llmplanner.core.plan import Checkpointing, Loss, Optimizer, Precision, Split, Train
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms import activations, loss
from llmplanner.models.config import from_config
from tests.reference import ROOT

DATA = json.loads((ROOT / "tests" / "data" / "training_steps.json").read_text(encoding="utf-8"))
PRECISIONS = {"fp32": Precision.FP32, "bf16": Precision.BF16, "amp": Precision.BF16_MIXED}
BUFFERS = 4096  # bytes of buffers, which the planner leaves out
Row = dict[str, object]


def step(row: Row) -> Step:
    """The step of a row."""
    train = Train(
        sequence=int(str(row["sequence"])),
        micro_batch=int(str(row["batch"])),
        precision=PRECISIONS[str(row["precision"])],
        optimizer=Optimizer.SGD,
        attention=AttentionKernel(str(row["attention"])),
        checkpointing=Checkpointing(str(row["checkpointing"])),
        target=int(str(row["target"])) if "target" in row else None,
        loss=Loss(str(row.get("loss", "whole"))),
        accumulation=int(str(row.get("accumulation", 1))),
        padded=bool(row.get("padded", False)),
    )
    return one_step(
        from_config(DATA["configs"][row["config"]], str(row["config"]), "config.json"), train, Split()
    )


def kept(one: Step) -> int:
    """What is kept for the backward pass, but token ids and labels."""
    parts = [*activations.activations(one), *loss.saved(one)]
    return int(sum(part.bytes for part in parts) - activations.inputs(one).bytes)


@cache
def backward(number: int) -> Phase:
    return training.tensors(step(DATA["steps"][number]))[1]


@pytest.mark.parametrize("name", sorted({str(row["config"]) for row in DATA["families"]}))
def test_other_architectures_keep_and_need_what_was_counted(name: str) -> None:
    for row in DATA["families"]:
        if row["config"] == name:
            one = step(row)
            assert kept(one) == pytest.approx(row["kept_bytes"], rel=0.01), row
            peak = int(training.tensors(one)[1].bytes) - row["held_bytes"]
            assert peak == pytest.approx(row["backward_bytes"], rel=0.06), row


def test_architectures_with_steps_of_their_own_have_narrow_bounds() -> None:
    types = {str(DATA["configs"][row["config"]]["model_type"]) for row in DATA["families"]}
    assert types - measured.TRAINED - measured.KEPT == measured.STEPPED


def rows(**asked: object) -> list[int]:
    return [
        number
        for number, row in enumerate(DATA["steps"])
        if all(row.get(name) == value for name, value in asked.items())
    ]


@pytest.mark.parametrize("checkpointing", ["selective", "selective-op"])
def test_selective_checkpointing_keeps_what_was_counted(checkpointing: str) -> None:
    found = rows(checkpointing=checkpointing)
    assert len(found) > 10
    for number in found:
        row = DATA["steps"][number]
        assert kept(step(row)) == pytest.approx(row["kept_bytes"], rel=0.0002), row
        peak = int(backward(number).bytes) - row["held_bytes"]
        near = 0.04 if row["precision"] == "amp" else 0.001
        assert peak == pytest.approx(row["backward_bytes"], rel=near), row


@pytest.mark.parametrize("way", ["chunked", "fused"])
def test_losses_without_all_logits_at_once_keep_what_was_counted(way: str) -> None:
    found = rows(loss=way)
    assert len(found) == 6
    for number in found:
        row = DATA["steps"][number]
        assert kept(step(row)) == pytest.approx(row["kept_bytes"], rel=0.001), row
        if row["precision"] != "fp32":  # what was counted adds gradients out of place, as no GPU does
            peak = int(backward(number).bytes) - row["held_bytes"]
            assert peak == pytest.approx(row["backward_bytes"], rel=0.03), row


def test_gradients_of_earlier_micro_batches_are_there_from_the_start() -> None:
    for number in rows(accumulation=3):
        row = DATA["steps"][number]
        peak = int(backward(number).bytes) - row["held_bytes"]
        assert peak == pytest.approx(row["backward_bytes"], rel=0.0005), row


def test_a_mask_of_padding_is_kept_as_was_counted() -> None:
    found = rows(padded=True)
    assert len(found) > 60
    off = np.sort(
        [abs(kept(step(row)) / row["kept_bytes"] - 1) for row in map(DATA["steps"].__getitem__, found)]
    )
    assert off[int(0.9 * len(off))] < 0.008
    assert off[-1] < 0.03
    assert np.median(off) < 0.0001

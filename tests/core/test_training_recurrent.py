"""Recurrent models without fused kernels, counted as tests/data/README.md says, and with them."""

import json

import numpy as np
import pytest

from llmplanner.core import measured, training
from llmplanner.core.autograd.tape import Cause
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Model
from llmplanner.core.plan import Checkpointing, Optimizer, Precision, Split, Train
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms import activations, activations_serving, loss
from llmplanner.core.terms.activations_serving import Pass
from llmplanner.models.config import from_config
from tests.reference import ROOT

DATA = json.loads((ROOT / "tests" / "data" / "training_recurrent.json").read_text(encoding="utf-8"))
PRECISIONS = {"fp32": Precision.FP32, "bf16": Precision.BF16, "amp": Precision.BF16_MIXED}
SHARED = "zamba2"  # its blocks' parameters are shared, and undone with the recurrent layer beside them
Row = dict[str, object]


def model(name: str) -> Model:
    return from_config(DATA["configs"][name], name, "config.json")


def step(row: Row) -> Step:
    """The step of a row."""
    train = Train(
        int(str(row["sequence"])),
        int(str(row["batch"])),
        PRECISIONS[str(row["precision"])],
        Optimizer.SGD,
        AttentionKernel(str(row["attention"])),
        Checkpointing(str(row["checkpointing"])),
    )
    return one_step(model(str(row["config"])), train, Split())


def kept(one: Step) -> int:
    """What is kept for the backward pass, but token ids and labels."""
    parts = [*activations.activations(one), *loss.saved(one)]
    return int(sum(part.bytes for part in parts) - activations.inputs(one).bytes)


@pytest.mark.parametrize("name", sorted(DATA["configs"]))
def test_what_is_kept_without_kernels_is_what_was_counted(name: str) -> None:
    for row in DATA["steps"]:
        if row["config"] == name and row["checkpointing"] == "none":
            within = 0.035 if name == SHARED else 0.025
            assert kept(step(row)) == pytest.approx(row["kept_bytes"], rel=within), row


@pytest.mark.parametrize("name", sorted(DATA["configs"]))
def test_a_step_without_kernels_needs_what_was_counted(name: str) -> None:
    for row in DATA["steps"]:
        if row["config"] == name:
            within = 0.12 if name == SHARED else 0.03
            needed = int(training.tensors(step(row))[1].bytes) - row["held_bytes"]
            assert needed == pytest.approx(row["backward_bytes"], rel=within), row


def test_narrow_bounds_are_for_architectures_that_were_counted() -> None:
    assert {str(config["model_type"]) for config in DATA["configs"].values()} - {SHARED} == measured.SCANNED


@pytest.mark.parametrize("name", ["mamba", "mamba2", "qwen3_5_text"])
def test_fused_kernels_keep_less_and_say_so(name: str) -> None:
    steps = [one_step(model(name), Train(2048, kernels=on), Split()) for on in (False, True)]
    without, fused = (next(each.saved([Cause.RECURRENCE]) for each in one.layers) for one in steps)
    assert without > 2 * fused
    terms = {term.name: term for term in training.tensors(steps[0])[1].terms}
    assert "kernels=on" in terms["activations"].change
    terms = {term.name: term for term in training.tensors(steps[1])[1].terms}
    assert "kernels" not in terms["activations"].change


@pytest.mark.parametrize("name", ["mamba", "mamba2", "qwen3_5_text"])
def test_a_map_of_plans_has_the_numbers_of_each(name: str) -> None:
    sequences, batches = np.array([[60], [64], [256], [1000]]), np.array([1, 2, 5])
    whole = kept_map(name, sequences, batches)
    for row, sequence in enumerate(sequences[:, 0]):
        for column, batch in enumerate(batches):
            one = one_step(model(name), Train(int(sequence), int(batch)), Split())
            assert whole[row, column] == sum(part.bytes for part in activations.activations(one))


def kept_map(name: str, sequences: np.ndarray, batches: np.ndarray) -> np.ndarray:
    one = one_step(model(name), Train(sequences, batches), Split())
    return np.asarray(sum(part.bytes for part in activations.activations(one)))


@pytest.mark.parametrize("name", sorted({str(row["config"]) for row in DATA["prompts"]}))
def test_reading_a_prompt_without_kernels_needs_what_was_counted(name: str) -> None:
    served = model(name)
    for row in DATA["prompts"]:
        if row["config"] == name:
            tokens = row["sequence"]
            run = Pass(tokens, tokens, row["batch"], 2, eager=True)
            term = activations_serving.activations(served, served.stacks[-1], run)
            needed = row["peak_bytes"] - row["end_bytes"]
            assert term.bytes == pytest.approx(needed, rel=0.07), row
            assert term.low <= needed <= term.high


def test_fused_kernels_read_a_prompt_in_less_and_one_token_in_as_much() -> None:
    served = model("mamba2")

    def needed(new: int, *, kernels: bool) -> int:
        run = Pass(new, 2048, 1, 2, kernels=kernels)
        return int(activations_serving.activations(served, served.stacks[-1], run).bytes)

    assert needed(2048, kernels=False) > 5 * needed(2048, kernels=True)
    assert needed(1, kernels=False) == needed(1, kernels=True)

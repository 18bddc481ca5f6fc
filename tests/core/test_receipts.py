"""What a receipt of training says adds up to its bytes, as a reader adds it."""

import math
import re
from dataclasses import replace

import pytest

from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimate import DeviceEstimate, Part
from llmplanner.core.estimating import estimate
from llmplanner.plans import Draft

NUMBER = re.compile(r"[\d,]*\d")
GEMMA = Draft(task="finetune", model="gemma-2-2b", gpu="h100-sxm", sequence=1024)  # caps its logits
PLANS = (
    Draft(task="finetune", gpu="h100-sxm", sequence=2048),
    Draft(task="pretrain", precision="fp32", gpu="h100-sxm", checkpointing="selective-op"),
    Draft(task="pretrain", gpu="h100-sxm", checkpointing="full", sequence=4096),
    Draft(task="finetune", method="lora", gpu="h100-sxm", micro_batch=4),
    Draft(task="finetune", model="t5-3b", gpu="h100-sxm", sequence=512),
    GEMMA,
)


def trained(draft: Draft) -> DeviceEstimate:
    return estimate(plan_of(draft, model_named(draft.model).model, machine_named(draft, None))).devices[0]


def told(device: DeviceEstimate, term: str) -> list[Part]:
    """The parts of a term in every phase."""
    return [
        part for phase in device.phases for each in phase.terms if each.name == term for part in each.parts
    ]


def added(formula: str) -> int:
    """Products of numbers, added and taken away; the words between them are skipped."""
    total, sign = 0, 1
    for piece in re.split(r"( [+−] )", formula):
        if piece in {" + ", " − "}:
            sign = 1 if piece == " + " else -1
        else:
            numbers = (NUMBER.findall(factor)[0] for factor in piece.split(" × "))
            total += sign * math.prod(int(number.replace(",", "")) for number in numbers)
    return total


@pytest.mark.parametrize("draft", PLANS)
def test_the_logits_are_as_many_bytes_as_their_receipt_says(draft: Draft) -> None:
    parts = told(trained(draft), "logits")
    assert parts
    assert [added(part.formula) for part in parts] == [part.bytes for part in parts]


SEVENTY = Draft(
    task="pretrain", model="llama-3.1-70b", gpu="h100-sxm", tp=8, pp=4, dp=2, zero=1, sequence=4096
)
PIPELINE = replace(
    SEVENTY,
    count=64,
    checkpointing="selective",
    accumulation=8,
    precision="bf16-mixed",
    sequence_parallel=True,
)
INSIDE = (  # peaks that lie inside a layer
    Draft(
        task="finetune", method="lora", gpu="h100-sxm", sequence=32_768, checkpointing="full", loss="fused"
    ),
    Draft(task="finetune", method="qlora", gpu="h100-sxm", sequence=16_384, attention="eager", loss="fused"),
    Draft(task="pretrain", gpu="h100-sxm", sequence=16_384, checkpointing="selective-op", loss="fused"),
    PIPELINE,
)


@pytest.mark.parametrize("draft", INSIDE)
def test_a_peak_inside_a_layer_is_told_in_bytes(draft: Draft) -> None:
    device = trained(draft)
    named = {
        *("of the layers before", "of the layer", "gradients on their way"),
        "of micro-batches in flight",
    }
    kinds = ("activations", "temporaries")
    parts = [part for term in kinds for part in told(device, term) if part.name in named]
    assert len(parts) >= len(named) - 1
    assert [added(part.formula) for part in parts] == [part.bytes for part in parts]

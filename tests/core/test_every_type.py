"""Every architecture that can be read gets numbers in their bounds, or one sentence; never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate
from llmplanner.core.estimating import estimate
from llmplanner.core.flops import sequence_flops
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import (
    Checkpointing,
    FineTune,
    Plan,
    Precision,
    Serve,
    Split,
    Train,
)
from llmplanner.core.step import one_step
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types

DATA = Path(__file__).parent.parent / "data"
DEVICE = Device("a card", 80 * 2**30)
STEPS = (
    Train(64),
    Train(64, precision=Precision.BF16, attention=AttentionKernel.EAGER),
    Train(64, attention=AttentionKernel.FLASH, checkpointing=Checkpointing.FULL),
)
TYPES = sorted(model_types())
ROWS = [
    row
    for file in sorted((DATA / "counted").glob("*.json"))
    for row in json.loads(file.read_text())["configs"]
]
COUNTED = {from_config(row["config"], "a", "a.json").model_type: row["config"] for row in reversed(ROWS)}


def model_of(kind: str) -> Model:
    """The model of the class's own defaults; where it has none for a size, the first that was counted."""
    try:
        return from_config({"model_type": kind}, kind, "config.json")
    except BadInput as error:
        if kind not in COUNTED:
            pytest.skip(str(error))
        return from_config(COUNTED[kind], kind, "config.json")


def answered(plan: Plan) -> Estimate | BadInput:
    try:
        return estimate(plan)
    except BadInput as error:
        return error


def check(plan: Plan) -> None:
    """Numbers in their bounds, each with its formula and source; or a sentence on a split that cannot be."""
    answer = answered(plan)
    if isinstance(answer, BadInput):
        assert answer.field == "tp"
        assert plan.split.tensor > 1
        return
    for phase in answer.devices[0].phases:
        for term in phase.terms:
            assert 0 <= term.low <= term.bytes <= term.high, (phase.name, term)
            assert term.formula, (phase.name, term)
            assert term.source, (phase.name, term)
            assert sum(part.bytes for part in term.parts) in {0, term.bytes}, (phase.name, term)


@pytest.mark.parametrize("tensor", [1, 2])
@pytest.mark.parametrize("kind", TYPES)
def test_it_is_served(kind: str, tensor: int) -> None:
    model = model_of(kind)
    check(Plan(model, Serve(64, 2), Machine((DEVICE,) * tensor), Split(tensor=tensor), FORMATS["bf16"]))
    assert sequence_flops(model, 64).forward > 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_step_trains_every_parameter_that_was_counted(row: dict[str, Any]) -> None:
    model = from_config(row["config"], "a", "a.json")
    assert one_step(model, STEPS[1], Split()).parameters == row["total"]


@pytest.mark.parametrize("kind", TYPES)
def test_it_is_trained_every_parameter_once(kind: str) -> None:
    model = model_of(kind)
    for step in STEPS:
        check(Plan(model, FineTune(step), Machine((DEVICE,)), Split(), FORMATS["bf16"]))
        assert one_step(model, step, Split()).parameters == parameters(model).total
    check(Plan(model, FineTune(STEPS[0]), Machine((DEVICE,) * 2), Split(tensor=2), FORMATS["bf16"]))

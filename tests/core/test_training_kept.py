"""What a forward pass keeps in training, and what autograd kept of Transformers (tests/data/README.md)."""

import csv

import pytest

from llmplanner.core import measured
from llmplanner.core.autograd.tape import Cause
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Model
from llmplanner.core.plan import Precision, Split, Train
from llmplanner.core.step import one_step
from llmplanner.models.config import from_config, read
from tests.reference import REFERENCE, ROOT, needs_reference

KEPT = tuple(cause for cause in Cause if cause is not Cause.LOSS)

with (ROOT / "tests" / "data" / "training_kept.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
NAMES = sorted({row["model"] for row in ROWS})


def cut(name: str, layers: int) -> Model:
    """The model with as many layers as were measured."""
    config = read(REFERENCE / "configs" / f"{name}.json")
    config |= {key: layers for key in ("num_hidden_layers", "n_layer") if key in config}
    if isinstance(config.get("layer_types"), list):
        config["layer_types"] = config["layer_types"][:layers]  # type: ignore[index]  # a list: the line above
    return from_config(config, name, "config.json")


@needs_reference
@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_is_known_within_three_in_a_thousand(name: str) -> None:
    for row in ROWS:
        if row["model"] == name:
            kernel, precision = AttentionKernel(row["attention"]), Precision.BF16
            train = Train(int(row["sequence"]), int(row["batch"]), precision, attention=kernel)
            step = one_step(cut(name, int(row["layers"])), train, Split())
            kept = sum(each.count * each.saved(KEPT) for each in step.traced)
            assert kept == pytest.approx(int(row["kept_bytes"]), rel=0.003), row


@needs_reference
def test_only_architectures_that_were_measured_have_narrow_bounds() -> None:
    types = {cut(name, 2).model_type for name in NAMES}
    assert types - measured.TRAINED == measured.KEPT

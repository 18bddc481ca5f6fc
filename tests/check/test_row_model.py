"""Models that are built from the sizes a row states, against Transformers' counts (tests/data/README.md)."""

import json

import pytest

from llmplanner.check.row_model import model
from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from tests.reference import ROOT

ROWS = json.loads((ROOT / "tests" / "data" / "row_models.json").read_text("utf-8"))["rows"]
STATED = {"attention": "sdpa", "seq": "128", "dropout_hidden": "0.0", "dropout_attention": "0.0"}
EMPTY = dict.fromkeys(
    ("ffn_kind", "experts", "top_k", "expert_ffn", "window", "extra_dims", "lora_r", "trainable"), ""
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['family']}-{row['kv_heads']}")
def test_a_rows_model_has_the_parameters_that_were_counted(row: dict[str, str]) -> None:
    built = model(EMPTY | STATED | row)
    assert parameters(built).total == int(row["params"])
    assert built.note == ""


def test_sizes_that_lead_elsewhere_are_refused() -> None:
    with pytest.raises(BadInput, match="No llama of these sizes has 5 parameters"):
        model(EMPTY | STATED | ROWS[0] | {"params": "5"})
    with pytest.raises(BadInput, match="is not one that the planner reads"):
        model(EMPTY | STATED | ROWS[0] | {"family": "no-such-family"})

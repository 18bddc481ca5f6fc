"""Parameters of configs that Transformers itself built and counted; the file says how."""

import json
from pathlib import Path

import pytest

from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types

COUNTED = json.loads((Path(__file__).parent.parent / "data" / "counted_configs.json").read_text("utf-8"))


@pytest.mark.parametrize("row", COUNTED["configs"], ids=lambda row: row["name"])
def test_equals_what_transformers_counted(row: dict[str, object]) -> None:
    config = row["config"]
    assert isinstance(config, dict)
    counted = parameters(from_config(config, "a", "a.json"))
    measured = (row["total"], row["active"], row["embedding"])
    assert (counted.total, counted.active, counted.embedding) == measured


def test_every_family_was_counted() -> None:
    assert {row["config"]["model_type"] for row in COUNTED["configs"]} == set(model_types())

"""Parameters of configs that Transformers itself built and counted; the file says how."""

import json
from pathlib import Path

import pytest

from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types

FILES = sorted((Path(__file__).parent.parent / "data" / "counted").glob("*.json"))
COUNTED = [row for file in FILES for row in json.loads(file.read_text("utf-8"))["configs"]]


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row["name"])
def test_equals_what_transformers_counted(row: dict[str, object]) -> None:
    config = row["config"]
    assert isinstance(config, dict)
    counted = parameters(from_config(config, "a", "a.json"))
    measured = (row["total"], row["active"], row["embedding"])
    assert (counted.total, counted.active, counted.embedding) == measured


def test_every_family_was_counted() -> None:
    counted = {from_config(row["config"], "a", "a.json").model_type for row in COUNTED}
    assert counted == set(model_types()) - {"gguf"}  # built from a file's own tensors, of no class

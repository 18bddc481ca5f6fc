"""The tensors of a GGUF file, from a config.json alone, held against headers of the same models."""

import json

import pytest

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.model import Kind, Model
from llmplanner.core.recipes.gguf_tensors import architecture_of, gguf_tensors
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types
from tests.core.test_recipes_llamacpp import SHAPES, header
from tests.reference import REFERENCE, ROOT, needs_reference

CONFIGS = REFERENCE / "configs"
HEADERS = sorted(path.stem for path in SHAPES.glob("*.gguf"))
BOTH = [name for name in HEADERS if (CONFIGS / f"{name}.json").exists()]


def _model(name: str) -> Model:
    table = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    if table["model_type"] not in model_types():
        pytest.skip(f"{table['model_type']} is not read")
    return from_config(table, name, name)


COUNTED = [
    pytest.param(one["config"], id=f"{path.stem}-{one['name']}")
    for path in sorted((ROOT / "tests" / "data" / "counted").glob("*.json"))
    for one in json.loads(path.read_text(encoding="utf-8"))["configs"]
]


def _key(tensor: StoredTensor) -> tuple[str, tuple[int, ...], int]:
    return tensor.name, tensor.shape, tensor.bytes


@needs_reference
@pytest.mark.parametrize("name", BOTH)
def test_the_tensors_are_those_of_the_header(name: str) -> None:
    model = _model(name)
    architecture, tensors = header(name)
    derived = architecture_of(model)
    assert (derived.layers, derived.heads, derived.experts) == (
        architecture.layers,
        architecture.heads,
        architecture.experts,
    )
    assert (derived.grouped, derived.is_70b) == (architecture.grouped, architecture.is_70b)
    expected = {_key(tensor) for tensor in tensors if tensor.name != "rope_freqs.weight"}
    assert {_key(tensor) for tensor in gguf_tensors(model)} == expected


@pytest.mark.parametrize("config", COUNTED)
def test_every_parameter_is_in_one_tensor(config: dict[str, object]) -> None:
    model = from_config(config, "counted", "counted")
    elements = sum(tensor.elements for tensor in gguf_tensors(model))
    if model.kind is Kind.ENCODER:  # llama.cpp takes their hidden states alone
        assert 0 < elements <= parameters(model).total
    else:
        assert elements == parameters(model).total

"""A model in JSON answers."""

from typing import TypedDict

from llmplanner.core.formats import format_named
from llmplanner.core.model import Model
from llmplanner.core.tensors import parameters


class ModelAnswer(TypedDict):
    """The entry "model" of the contract. Counts and bytes."""

    name: str
    kind: str
    layers: int
    parameters: int
    active_parameters: int
    embedding_parameters: int
    weight_bytes: int
    context_length: int | None
    source: str


def model_json(model: Model) -> ModelAnswer:
    """The model's facts; its weights count at the dtype that its config states."""
    counts = parameters(model)
    return {
        "name": model.name,
        "kind": str(model.kind),
        "layers": model.layers,
        "parameters": counts.total,
        "active_parameters": counts.active,
        "embedding_parameters": counts.embedding,
        "weight_bytes": format_named(model.dtype).bytes_for(counts.total),
        "context_length": model.context_length,
        "source": model.source,
    }

"""A model in JSON answers."""

from typing import TypedDict

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.formats import format_named
from llmplanner.core.model import Model
from llmplanner.core.tensors import Parameters, parameters


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
    """The model's facts. Its weights count as its files hold them, else at the dtype of its config."""
    counts, files = parameters(model), model.checkpoint
    return {
        "name": model.name,
        "kind": str(model.kind),
        "layers": model.layers,
        "parameters": files.elements if files is not None else counts.total,
        "active_parameters": _active(counts, files),
        "embedding_parameters": counts.embedding,
        "weight_bytes": files.bytes
        if files is not None
        else format_named(model.dtype).bytes_for(counts.total),
        "context_length": model.context_length,
        "source": model.source,
    }


def _active(counts: Parameters, files: Checkpoint | None) -> int:
    """Parameters that a token uses. Without experts those are all that the files hold."""
    dense = counts.active == counts.total
    return files.elements if dense and files is not None else counts.active

"""Layers that predict tokens beyond the next: a checkpoint holds them, Transformers does not build them."""

from dataclasses import replace
from functools import partial
from typing import Literal

from llmplanner.core.model import Model
from llmplanner.core.tensors import layer_parameters
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.dialect import Dialect, Part

Tables = Literal["own tables", "shared tables"] | None
STORED: dict[str, Tables] = {  # where the form is known: with an embedding and a head of their own, or not
    "deepseek_v3": "own tables",
    "deepseek_v32": "own tables",
    "glm4_moe": "own tables",
    "glm4_moe_lite": "own tables",
    "glm_moe_dsa": "shared tables",
    "mimo": "shared tables",
}


def with_predictors(dialects: tuple[Dialect, ...]) -> tuple[Dialect, ...]:
    """The dialects, whose models say what more their files hold where the config names such layers."""
    return tuple(
        replace(dialect, build=partial(_noted, dialect, STORED.get(dialect.model_type)))
        for dialect in dialects
    )


def _noted(dialect: Dialect, tables: Tables, entries: Entries, part: Part) -> Model:
    model = dialect.build(entries, part)
    count = entries.optional_size("num_nextn_predict_layers", MOST_LAYERS, least=0)
    if not count:
        return model
    layers = f"{count:,} {'layer' if count == 1 else 'layers'}"
    many = "predicts" if count == 1 else "predict"
    size = f", {count * elements_of_one(model, tables):,} parameters" if tables else ""
    note = f"A checkpoint also holds {layers} that {many} further tokens{size}, not counted here."
    return replace(model, note=f"{model.note} {note}".strip())


def elements_of_one(model: Model, tables: Tables) -> int:
    """Parameters of one such layer: the last layer again, three norms and a matrix that joins two states.

    Source: DeepSeek-V3 (arXiv:2412.19437) sec. 2.2; agrees with the hub's counts of DeepSeek-V3, GLM-4.5,
    GLM-4.7-Flash and GLM-5, once correction biases and scales are added, which are no parameters.
    """
    (stack,) = model.stacks
    last = max(stack.groups, key=lambda group: group.indices[-1]).layer
    hidden = model.hidden_size
    joined = layer_parameters(last).total + 2 * hidden * hidden + 3 * hidden
    return joined + 2 * hidden * model.vocab_size if tables == "own tables" else joined

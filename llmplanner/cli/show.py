"""`llmplanner show`: a model's architecture, its parameters and its card."""

import argparse

from llmplanner import compose
from llmplanner.cli.held import held_json, held_rows
from llmplanner.cli.hub_options import access, add_hub_arguments
from llmplanner.cli.models_json import model_json
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.cli.places import models_folder
from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    LayerGroup,
    Model,
    Stack,
)
from llmplanner.core.quantities import exact_text, gib_text
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.card import card, estimated_compute
from llmplanner.models.catalogue import Entry
from llmplanner.models.files import UndescribedError

ABOVE = {"Size", "Note"}  # rows of the card that the architecture above it has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model."""
    parser.add_argument(
        "model", metavar="MODEL", help="a name that `models` lists, a file, a folder, or an id of the hub"
    )
    add_hub_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the model. Raises BadInput."""
    try:
        chosen = compose.model_named(arguments.model, access=access(arguments))
    except UndescribedError as error:  # it is shown for what it is, and no plan can be made with it
        _print_held(error, as_json=arguments.json)
        return 0
    model = chosen.model
    entry = catalogue.entry(arguments.model, models_folder()) if chosen.config is None else None
    if arguments.json:
        answer = {"model": model_json(model), "checkpoint": held_json(model.checkpoint), "note": model.note}
        print_json({**answer, "card": _card_json(entry, model)})
    else:
        print_lines(*_architecture(model), *(_card(entry, model) if entry is not None else ()))
    return 0


def _print_held(error: UndescribedError, *, as_json: bool) -> None:
    """What a file holds that does not say its architecture."""
    held = error.held
    if as_json:
        print_json({"model": None, "checkpoint": held_json(held), "note": str(error), "card": None})
        return
    counted = exact_text(held.elements) if held.elements else "not stated"
    rows = [("Parameters", counted), ("Weights", gib_text(held.bytes)), *held_rows(held)]
    print_lines(*table(rows), "", *paragraph(str(error)))


def _architecture(model: Model) -> list[str]:
    counts, facts = parameters(model), model_json(model)
    stored = model.checkpoint.label if model.checkpoint is not None else model.dtype.upper()
    rows = [
        ("Kind", str(model.kind)),
        ("Architecture", model.model_type),
        *(row for stack in model.stacks for row in _layers(stack)),
        ("Hidden size", exact_text(model.hidden_size)),
        ("Vocabulary", exact_text(model.vocab_size)),
        (
            "Context",
            "no limit stated" if model.context_length is None else f"{model.context_length:,} tokens",
        ),
        ("Parameters", exact_text(facts["parameters"])),
        ("  active per token", exact_text(facts["active_parameters"])),
        ("  embedding", exact_text(counts.embedding)),
        ("  output head", exact_text(counts.head) if counts.head else "tied to the embedding, or none"),
        ("Weights", f"{gib_text(float(facts['weight_bytes']))} as {stored}"),
        *held_rows(model.checkpoint),
    ]
    note = ["", *paragraph(model.note)] if model.note else []
    return [model.name, "", *table(rows), *note, "", *paragraph(f"Source: {model.source}")]


def _layers(stack: Stack) -> list[tuple[str, str]]:
    """A row for the stack, and one for each kind of its layers, by what is told of them."""
    kinds: dict[str, int] = {}
    for group in stack.groups:
        told = _layer(group)
        kinds[told] = kinds.get(told, 0) + len(group.indices)
    return [
        (f"Layers, {stack.role}", exact_text(stack.depth)),
        *((f"  {count:,} ×", told) for told, count in kinds.items()),
    ]


def _layer(group: LayerGroup) -> str:
    layer = group.layer
    told = [
        _attention(layer.attention) if layer.attention is not None else "",
        layer.recurrent.kind if layer.recurrent is not None else "",
        _feed_forward(layer.feed_forward),
        "parameters in common" if group.shared else "",
    ]
    return ", ".join(each for each in told if each)


def _attention(attention: Attention | LatentAttention) -> str:
    heads = f"{attention.heads} heads"
    if isinstance(attention, LatentAttention):
        return f"{heads}, latent"
    if attention.kv_heads != attention.heads:
        heads += f" on {attention.kv_heads} key/value heads"
    return heads if attention.window is None else f"{heads}, window {attention.window:,}"


def _feed_forward(block: FeedForward | Experts | None) -> str:
    if block is None:
        return ""
    if isinstance(block, Experts):
        return f"{block.count} experts, {block.top_k} per token"
    return f"feed-forward {block.width:,}"


def _card(entry: Entry, model: Model) -> list[str]:
    rows = card(entry, model, parameters(model))
    told = [*rows, ("Link", entry.link)]
    shown = [(head, text) for head, text in told if head not in ABOVE]
    return ["", *(line for head, text in shown for line in paragraph(f"{head}: {text}"))]


def _card_json(entry: Entry | None, model: Model) -> dict[str, object] | None:
    if entry is None:
        return None
    objective = catalogue.objectives()[entry.objective]
    return {
        "name": entry.name,
        "title": entry.title,
        "maker": entry.maker,
        "released": entry.released,
        "kind": str(model.kind),
        "objective": entry.objective,
        "objective_how": objective.how,
        "good_for": objective.good_for,
        "best_use": entry.best_use,
        "trained": entry.trained,
        "limits": entry.limits,
        "licence": entry.licence,
        "hub_id": entry.hub_id,
        "link": entry.link,
        "tokens": entry.tokens,
        "compute": entry.compute,
        "compute_estimate": estimated_compute(entry, model, parameters(model)),
        "compute_source": entry.source.compute or None,
        "context_length": model.context_length,
        "source": entry.source.card,
    }

"""A released model in words: what it is, what it is good for, how it was trained, and what it is not."""

from collections.abc import Iterator, Mapping

from llmplanner.core.flops import pf_days, training_flops
from llmplanner.core.model import Experts, Kind, Model
from llmplanner.core.quantities import count_text, flops_text, significant
from llmplanner.core.tensors import Parameters
from llmplanner.models.catalogue import Entry, objectives

Rows = tuple[tuple[str, str], ...]


def card(entry: Entry, model: Model, count: Parameters) -> Rows:
    """Head and text of each row. `model` is the entry's own, `count` its parameters."""
    objective = objectives()[entry.objective]
    return (
        ("Size", _size(count)),
        ("Kind", f"{model.kind.capitalize()}, {objective.title.lower()}. {objective.how}"),
        ("Such models are good for", objective.good_for),
        ("Best use", entry.best_use),
        ("How it was trained", entry.trained),
        *_training(entry, model, count),
        ("Context", _context(entry, model)),
        ("Limits", entry.limits),
        ("Licence", entry.licence),
        ("Released", f"{entry.released} by {entry.maker}"),
        ("Source", f"{entry.source.card}. Its sizes: {entry.source.config}"),
        *((("Note", model.note),) if model.note else ()),
    )


def estimated_compute(entry: Entry, model: Model, count: Parameters) -> float | None:
    """Operations of training by the rule of thumb; None where the tokens are not known."""
    if entry.tokens is None:
        return None
    return float(training_flops(count.active, entry.tokens, model.kind))


def search_words(entry: Entry, model: Model) -> str:
    """The text in which searches look, in lower case."""
    layers = [group.layer for stack in model.stacks for group in stack.groups]
    mixers = {layer.recurrent.kind for layer in layers if layer.recurrent is not None}
    words = (
        f"{entry.name} {entry.title} {entry.maker} {entry.hub_id} {entry.licence} {entry.released}",
        f"{model.kind} {model.model_type} {entry.objective} {objectives()[entry.objective].title}",
        entry.best_use,
        "mixture of experts, MoE" if any(isinstance(layer.feed_forward, Experts) for layer in layers) else "",
        " ".join(sorted(mixers)),
        "hybrid" if mixers and any(layer.attention is not None for layer in layers) else "",
        "state space" if any(mixer.startswith("Mamba") for mixer in mixers) else "",
    )
    return " ".join(filter(None, words)).casefold()


def _size(count: Parameters) -> str:
    size = f"{count.total:,} parameters"
    return size if count.active == count.total else f"{size}, {count.active:,} of them active for a token"


def _training(entry: Entry, model: Model, count: Parameters) -> Iterator[tuple[str, str]]:
    """Tokens and operations as the maker tells them; an estimate of operations where only tokens are told."""
    if entry.tokens is not None:
        yield "Trained on", f"{count_text(entry.tokens)} tokens"
    estimate = estimated_compute(entry, model, count)
    if entry.compute is not None:
        yield "Training compute", f"{_compute(entry.compute)}, as published: {entry.source.compute}"
    elif estimate is not None:
        factor = 3 if model.kind is Kind.ENCODER_DECODER else 6
        active = "active parameters" if count.active != count.total else "parameters"
        yield "Training compute", f"About {_compute(estimate)}, an estimate: {factor} × {active} × tokens"


def _compute(flops: float) -> str:
    return f"{flops_text(flops)} ({significant(float(pf_days(flops)))} PF-days)"


def _context(entry: Entry, model: Model) -> str:
    """The longest context that the config states, and from where rotary scaling extends it."""
    if model.context_length is None:
        return "Its configuration states no limit"
    length = f"{model.context_length:,} tokens"
    text = entry.config.get("text_config")
    config = text if isinstance(text, Mapping) else entry.config
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if not isinstance(scaling, Mapping):
        return length
    original = scaling.get("original_max_position_embeddings")
    factor, kind = scaling.get("factor"), scaling.get("rope_type") or scaling.get("type")
    if original is None or factor is None:
        return length
    return f"{length}; rotary scaling ({kind}, factor {factor:g}) extends it from {original:,}"

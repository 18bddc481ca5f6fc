"""The control of each field of a plan, made from what the field takes."""

from llmplanner.app.fields import (
    Choice,
    ChoiceField,
    CountField,
    Field,
    Group,
    SwitchField,
    TextField,
)
from llmplanner.app.panels.tips import HINTS, TIPS
from llmplanner.app.slider_field import SliderField
from llmplanner.charts.words import choices
from llmplanner.core import recipes
from llmplanner.core.formats import format_named
from llmplanner.core.recipes import RECIPES, ggml
from llmplanner.plan_fields import BLOCKS, CACHES, FIELDS, FORMATS


def _bits(block: str) -> float:
    """Bits of a value in blocks, their scales shared out."""
    values, size = ggml.BLOCKS[block]
    return 8 * size / values


SLIDER_CONTEXT = 131_072  # where the model names no limit of its own
SLIDER_BATCH = 256
SLIDERS = {
    "context": ("tokens", SLIDER_CONTEXT),
    "sequence": ("tokens", SLIDER_CONTEXT),
    "batch": ("sequences", SLIDER_BATCH),
    "micro_batch": ("sequences", SLIDER_BATCH),
}
NUMBER_FORMATS: tuple[Choice, ...] = tuple(
    (key, f"{format_named(key).name} · {format_named(key).bits} bits") for key in FORMATS
)
BLOCK_FORMATS: tuple[Choice, ...] = tuple(
    (key, f"{key.upper()} · {_bits(key.upper()):g} bits") for key in BLOCKS
)
RECIPE_GROUPS: tuple[Group, ...] = tuple(
    (group, tuple((key, RECIPES[key].name) for key in keys)) for group, keys in recipes.groups()
)
ZERO: tuple[Choice, ...] = (
    (0, "0: nothing is split"),
    (1, "1: optimizer state"),
    (2, "2: and gradients"),
    (3, "3: and weights"),
)


def control(name: str) -> Field:
    """The control of the field of that name."""
    field, tip = FIELDS[name], TIPS[name]
    if name in SLIDERS:
        return SliderField(field, tip, *SLIDERS[name])
    offered = _offered(name)
    if offered:
        return ChoiceField(field.label, tip, offered)
    if field.kind == "switch":
        return SwitchField(field.label, tip)
    if field.kind == "text":
        return TextField(field.label, tip, _text, str, HINTS.get(name, ""))
    return CountField(field, tip, HINTS.get(name, ""))


def _offered(name: str) -> tuple[Choice | Group, ...]:
    """What a field lets choose from; nothing, where it takes numbers or text."""
    if name == "weights":
        return ((None, "As published"), ("Number formats", NUMBER_FORMATS), *RECIPE_GROUPS)
    if name in {"kv", "kv_values"}:
        return cache_formats(name, "transformers")
    if name == "precision":
        return ((None, "As is usual"), *choices(name))
    return ZERO if name == "zero" else choices(name)


def cache_formats(name: str, engine: str) -> tuple[Choice, ...]:
    """What the engine can keep a KV cache in: formats in blocks are llama.cpp's alone."""
    first: Choice = (None, "As computed" if name == "kv" else "As the keys")
    kept = CACHES[engine]
    return (first, *(choice for choice in (*NUMBER_FORMATS, *BLOCK_FORMATS) if choice[0] in kept))


def _text(text: str) -> str | None:
    return text or None

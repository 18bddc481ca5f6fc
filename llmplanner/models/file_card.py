"""A model in words where only its own files tell of it; a released model has `card.py`."""

from collections.abc import Mapping

from llmplanner.core.checkpoint import Amount
from llmplanner.core.model import Model
from llmplanner.core.quantities import count_text, gib_text
from llmplanner.core.tensors import parameters
from llmplanner.models.whatif import sizes

MOST = 256  # characters of a text that a file states
MOST_FORMATS = 12
MOST_ITEMS = 8  # of a list that a file states
STATED = {  # entries of a config that are shown as they are: what for
    "architectures": "Classes",
    "license": "Licence",
    "license_link": "Licence at",
    "base_model": "Made from",
    "_name_or_path": "Called",
    "languages": "Languages",
    "transformers_version": "Written by Transformers",
}
SIZES = {
    "layers": "{:,} layers",
    "hidden_size": "hidden size {:,}",
    "heads": "{:,} heads",
    "kv_heads": "{:,} for keys and values",
    "head_dim": "head size {:,}",
    "feed_forward": "feed-forward width {:,}",
    "vocab_size": "vocabulary of {:,} tokens",
    "experts": "{:,} experts",
    "experts_per_token": "{:,} of them for each token",
}


def file_card(model: Model, config: Mapping[str, object] | None) -> tuple[tuple[str, str], ...]:
    """Head and text of each row. Texts are plain, whatever the file holds."""
    count, stored = parameters(model), model.checkpoint
    size = f"{count.total:,} parameters ({count_text(count.total)})"
    if count.active != count.total:
        size += f", {count.active:,} of them active for a token"
    parts = ", ".join(SIZES[name].format(value) for name, value in sizes(model).items())
    rows = [
        ("Size", size),
        ("Architecture", f"{model.model_type or model.kind.value}, {model.kind}: {parts}"),
    ]
    if model.context_length is not None:
        rows.append(("Context", f"{model.context_length:,} tokens"))
    if stored is not None:
        rows.append(("Stored as", f"{stored.label}: {stored.bytes:,} bytes ({gib_text(stored.bytes)})"))
        rows.append(("Formats", _formats(stored.amounts)))
    for key, head in STATED.items():
        said = _said((config or {}).get(key))
        if said:
            rows.append((head, said))
    rows.append(("Source", model.source))
    if model.note:
        rows.append(("Note", model.note))
    return tuple((head, plain(text, 4 * MOST, keep="\n")) for head, text in rows)


def _formats(amounts: tuple[Amount, ...]) -> str:
    lines = [
        f"{one.format}: {one.tensors:,} {'tensor' if one.tensors == 1 else 'tensors'}, "
        f"{count_text(one.elements)} parameters, {gib_text(one.bytes)}"
        for one in amounts[:MOST_FORMATS]
    ]
    more = len(amounts) - MOST_FORMATS
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])


def _said(value: object) -> str:
    """A text, a number or a short list of a file, as one plain line; of anything else nothing."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_said, value[:MOST_ITEMS])))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return plain(str(value)).strip()


def plain(text: str, most: int = MOST, keep: str = "") -> str:
    """Text from a file without what would steer a terminal or turn the reading direction, cut short."""
    kept = "".join(letter for letter in text[: most + 1] if letter.isprintable() or letter in keep)
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"

"""What a file holds beside the model of its config.json: vision, audio, prediction of further tokens."""

import re
from collections.abc import Iterable
from contextlib import suppress

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.model import Model
from llmplanner.core.quantities import count_text
from llmplanner.core.tensors import parameters

PARTS = {
    "vision": (
        "visual",
        "vision",
        "image",
        "patch_merger",
        "mm_projector",
        "multi_modal_projector",
        "connector",
    ),
    "audio": ("audio", "speech"),
    "prediction of further tokens": ("mtp", "nextn", "eh_proj", "enorm", "hnorm"),
    "masks and positions": ("masked_bias", "rotary_emb", "position_ids", "inv_freq"),
    "fixed tables": (  # of experts' choice, of logits, of Lightning attention's decay
        "e_score_correction_bias",
        "final_logits_bias",
        "slope_rate",
        "query_decay",
        "key_decay",
        "diagonal_decay",
    ),
}
GUESSES = ("open the weights to count all.", "not counted here.")  # ends of sentences of families/
SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
MASKS = (".attn.bias", ".attention.bias")  # GPT-2's and GPT-NeoX's triangles of ones, which old files keep


def without_guesses(note: str) -> str:
    """What a config's note says, but for what a checkpoint might hold besides: the file itself tells it."""
    sentences = SENTENCE.split(note)
    return " ".join(one for one in sentences if not one.endswith(GUESSES))


def told_outside(model: Model, tensors: Iterable[StoredTensor], elements: int) -> str:
    """A sentence on how a file's parameters differ from those of its config; empty where they do not."""
    expected = parameters(model).total
    if elements == expected:
        return ""
    found: dict[str, int] = {}
    parts_of: dict[str, str | None] = {}  # pieces of names, of which a file with many experts has few
    depth = model.layers
    for tensor in tensors:
        part = _part(tensor.name, depth, parts_of) if tensor.elements else None
        if part is not None:
            found[part] = found.get(part, 0) + tensor.elements
    parts = ", ".join(f"{part}: {count_text(count)}" for part, count in found.items())
    more = "more" if elements > expected else "fewer"
    said = f"; among them {parts}" if parts and elements > expected else ""
    return (
        f"The file holds {elements:,} parameters, {abs(elements - expected):,} {more} than the model that "
        f"its config.json describes{said}."
    )


def _part(name: str, layers: int, parts_of: dict[str, str | None]) -> str | None:
    """What a tensor belongs to by its name; None for the model itself. `parts_of` keeps what pieces mean."""
    if name.endswith(MASKS):
        return "masks and positions"
    pieces = name.split(".")
    for piece in pieces:
        if piece not in parts_of:
            parts_of[piece] = next((part for part, words in PARTS.items() if piece.startswith(words)), None)
        if parts_of[piece] is not None:
            return parts_of[piece]
    with suppress(ValueError, IndexError):
        place = pieces.index("layers")
        if int(pieces[place + 1]) >= layers:
            return "prediction of further tokens"
    return None

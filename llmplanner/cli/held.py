"""What the files of a model hold, in text and JSON."""

from typing import TypedDict

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.quantities import gib_text


class AmountAnswer(TypedDict):
    """The tensors of one format. Counts and bytes."""

    format: str
    tensors: int
    parameters: int
    bytes: int


class HeldAnswer(TypedDict):
    """The entry "checkpoint" of an answer."""

    label: str
    parameters: int
    bytes: int
    exact: bool
    source: str
    formats: list[AmountAnswer]


def held_json(held: Checkpoint | None) -> HeldAnswer | None:
    """The files' bytes by format; None where only the architecture is known."""
    if held is None:
        return None
    return {
        "label": held.label,
        "parameters": held.elements,
        "bytes": held.bytes,
        "exact": held.exact,
        "source": held.source,
        "formats": [
            {"format": one.format, "tensors": one.tensors, "parameters": one.elements, "bytes": one.bytes}
            for one in held.amounts
        ],
    }


def held_rows(held: Checkpoint | None) -> list[tuple[str, str]]:
    """A row for each format, below the row of the weights."""
    if held is None:
        return []
    return [
        (f"  {one.format}", f"{gib_text(one.bytes)}, {one.tensors:,} tensors, {one.elements:,} parameters")
        for one in held.amounts
    ]

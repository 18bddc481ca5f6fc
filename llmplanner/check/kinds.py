"""The kinds of tables, told by their columns."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from importlib import import_module

from llmplanner.check.answer import Kind
from llmplanner.core.errors import BadInput, short

FILES: Mapping[str, str] = {  # of each kind: those that need more, or are told by marks, go first
    "training": "training",
    "measured_training": "published_training",
    "published_quant_sizes": "published_sizes",
    "measured_inference": "measured_inference",
    "llamacpp_memory_cpu": "llamacpp_memory",
    "llamacpp_quant_sizes": "quant_sizes",
    "kv": "kv",
    "params": "params",
}
SHOWN = 8  # columns that a sentence lists


def kind_named(name: str) -> Kind:
    """The kind of that name; its file is loaded when it is first asked for."""
    found: Kind = import_module(f"llmplanner.check.{FILES[name]}").KIND
    return found


def kind_of(columns: tuple[str, ...]) -> Kind:
    """The kind of table that has these columns. Raises BadInput, which says what the nearest kind needs."""
    kinds = [kind_named(name) for name in FILES]
    held = frozenset(columns)
    for kind in kinds:
        if kind.is_told_by(held):
            return kind
    nearest = max(kinds, key=lambda kind: _nearness(kind, held))
    lacking = [name.replace("|", " or ") for name in nearest.lacks(held)]
    if not lacking or not any(_nearness(nearest, held)):
        names = ", ".join(short(name) for name in columns[:SHOWN])
        raise BadInput(
            f"Its columns ({names}) are of no kind of table that can be checked: {', '.join(FILES)}."
        )
    raise BadInput(
        f"It looks like a table of the kind {nearest.name} without the "
        f"{'columns' if lacking[1:] else 'column'} {', '.join(lacking)}, which the prediction needs; "
        "add what is missing."
    )


def _nearness(kind: Kind, held: AbstractSet[str]) -> tuple[bool, float]:
    """Whether a column that it predicts is there, then the share of what it needs."""
    there = len(kind.needs) - len(kind.lacks(held))
    return not held.isdisjoint(kind.measured), there / len(kind.needs)

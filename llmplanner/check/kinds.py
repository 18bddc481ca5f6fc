"""The kinds of tables, told by their columns."""

from collections.abc import Mapping
from importlib import import_module

from llmplanner.check.answer import Kind
from llmplanner.core.errors import BadInput, short

FILES: Mapping[str, str] = {  # of each kind: those with more columns of their own go first
    "training": "training",
    "measured_training": "published_training",
    "published_quant_sizes": "published_sizes",
    "llamacpp_quant_sizes": "quant_sizes",
    "llamacpp_memory_cpu": "llamacpp_memory",
    "measured_inference": "measured_inference",
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
        if held.issuperset(kind.needs):
            return kind
    nearest = max(kinds, key=lambda kind: len(held.intersection(kind.needs)) / len(kind.needs))
    lacking = [name for name in nearest.needs if name not in held]
    if len(lacking) == len(nearest.needs):
        names = ", ".join(short(name) for name in columns[:SHOWN])
        raise BadInput(
            f"Its columns ({names}) are of no kind of table that can be checked: {', '.join(FILES)}."
        )
    raise BadInput(
        f"It looks like a table of the kind {nearest.name} without the "
        f"{'columns' if lacking[1:] else 'column'} {', '.join(lacking)}; add what is missing."
    )

"""The entries of a quantization_config, each checked as it is read, and what becomes of them: a Scheme."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Linear
from llmplanner.core.recipes.linear import Parts
from llmplanner.core.tensors import Role
from llmplanner.models.entries import shown
from llmplanner.models.quantized.module_names import Names

FIELD = "quantization_config"
MOST_GROUP = 10_000_000  # inputs that share a scale
Store = Callable[[Linear], Parts]
Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a checkpoint is stored. `store` gives the layout of a linear, None where it stays as it was."""

    label: str
    store: Callable[[str, Role], Store | None]
    lists: tuple[Names, ...] = ()  # those that the config states
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scheme is read from: the table, the other tensors' type, the names of all linears."""

    table: Table
    dtype: str  # as safetensors call it
    modules: tuple[str, ...]

    def number(self, name: str, default: int, allowed: Iterable[int] | None = None) -> int:
        """A whole number. Raises BadInput."""
        return number(self.table, name, default, allowed)

    def listed(self, *names: str) -> tuple[str, ...] | None:
        """The first of these lists that the table has; None where it has none. Raises BadInput."""
        for name in names:
            value = self.table.get(name)
            if value is None:
                continue
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise BadInput(f"{FIELD}: {name} is {shown(value)}; it must be a list of names.", FIELD)
            return tuple(value)
        return None


def number(table: Table, name: str, default: int, allowed: Iterable[int] | None = None) -> int:
    """A whole number of a table: one of those allowed, else -1 or above 0. Raises BadInput."""
    value = table.get(name)
    if value is None:
        return default
    allowed = None if allowed is None else tuple(allowed)
    fits = allowed.__contains__ if allowed else lambda size: size == -1 or 1 <= size <= MOST_GROUP
    if isinstance(value, int) and not isinstance(value, bool) and fits(value):
        return value
    choice = "one of " + ", ".join(map(str, allowed)) if allowed else "a whole number above 0"
    raise BadInput(f"{FIELD}: {name} is {shown(value)}; it must be {choice}.", FIELD)


def pair(block: object) -> tuple[int, int]:
    """Rows and columns of a block. Raises BadInput."""
    if isinstance(block, list) and len(block) == 2:  # noqa: PLR2004 - rows and columns
        table = dict(zip(("rows", "columns"), block, strict=True))
        rows, columns = (number(table, name, 128) for name in ("rows", "columns"))
        if rows > 0 and columns > 0:
            return rows, columns
    raise BadInput(f"{FIELD}: a block's size is {shown(block)}; it must be two whole numbers.", FIELD)


def flat(value: object, name: str) -> tuple[str, ...]:
    """The names in a list, or in a list of lists. Raises BadInput."""
    items = value if isinstance(value, list) else [value]
    every = [text for item in items for text in (item if isinstance(item, list) else [item])]
    names = tuple(text for text in every if isinstance(text, str))
    if len(names) == len(every):
        return names
    raise BadInput(f"{FIELD}: {name} is {shown(value)}; it must be a list of names.", FIELD)

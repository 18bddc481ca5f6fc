"""The published scaling laws, read from resources/scaling_laws.toml."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import msgspec

from llmplanner.core.errors import BadInput
from llmplanner.core.scaling import AllocationLaw, KaplanLaw, Law, ParametricLaw, RatioRule
from llmplanner.resources import load_toml


class Laws(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The data file: laws by their form, and the order in which they are shown, the default first."""

    schema: int
    order: list[str]
    kaplan: list[KaplanLaw]
    parametric: list[ParametricLaw]
    allocation: list[AllocationLaw]
    ratio: list[RatioRule]


@cache
def laws() -> Mapping[str, Law]:
    """All laws by name, in the order in which they are shown. The first is the default."""
    data = load_toml("scaling_laws.toml", Laws)
    every: list[Law] = [*data.kaplan, *data.parametric, *data.allocation, *data.ratio]
    known = {law.name: law for law in every}
    if set(data.order) != set(known):
        odd = ", ".join(sorted(set(data.order) ^ set(known)))
        raise BadInput(f"The data file scaling_laws.toml is wrong: its order and its laws differ in {odd}.")
    return MappingProxyType({name: known[name] for name in data.order})


def law_named(name: str) -> Law:
    """The law of that name. Raises BadInput, naming those there are."""
    law = laws().get(name.strip().lower())
    if law is None:
        raise BadInput(f"There is no scaling law {name!r}; there are {', '.join(laws())}.", "law")
    return law

"""The entries of a config.json, each checked as it is read. An absent one takes its class's default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from llmplanner.core.errors import BadInput

MOST_LAYERS = 10_000
MOST_WIDTH = 10_000_000  # hidden sizes, feed-forward widths, heads
MOST_FACTOR = 1000
MOST_ROWS = 1_000_000_000  # vocabularies, positions


@dataclass(frozen=True, slots=True)
class Entries:
    """The values of one config.json under the names that its class gives them.

    `names` leads from a common name to the class's own and to what else a file may call it ("hidden_size" to
    GPT-2's "n_embd", then to itself). `defaults` are what Transformers takes where the file is silent; what
    is None there is derived from other entries. `assumed` gathers the sizes that were read from them.
    """

    where: str  # the file, for the sentences
    values: Mapping[str, object]
    defaults: Mapping[str, object]
    names: Mapping[str, tuple[str, ...]]
    assumed: set[str] = field(default_factory=set)

    def stated(self, name: str) -> bool:
        """Whether the file itself holds the entry."""
        return self.values.get(self.own(name)) is not None

    def own(self, name: str) -> str:
        """The name under which the file holds the entry; where it does not, the class's own.

        As in Transformers, any other name beats the class's own where a file has both.
        """
        first, *others = self.names.get(name, (name,))
        return next((key for key in others if self.values.get(key) is not None), first)

    def with_values(self, values: Mapping[str, object]) -> "Entries":
        """The same file with some entries replaced, by their common names."""
        own = {self.own(name): value for name, value in values.items()}
        return replace(self, values={**self.values, **own}) if own else self

    def raw(self, name: str) -> object:
        """The entry as it stands in the file, or the class's default; None where neither has a value."""
        own = self.own(name)
        return self.values[own] if own in self.values else self.defaults.get(own)

    def refuse(self, name: str, problem: str) -> BadInput:
        """The exception that names the file, the entry and what to do."""
        own = self.own(name)
        return BadInput(f"{self.where}: {own} {problem}.", field=own)

    def size(self, name: str, most: int = MOST_WIDTH, least: int = 1) -> int:
        """A whole number from `least` to `most`."""
        value = self.optional_size(name, most, least)
        if value is None:
            remedy = "add it, or take the config.json of the model's own page"
            raise self.refuse(name, f"is missing and has no default; {remedy}")
        return value

    def optional_size(self, name: str, most: int = MOST_WIDTH, least: int = 1) -> int | None:
        """A whole number, or None where the file says null or neither file nor class has a value."""
        value = self.raw(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(name, f"is {shown(value)}; it must be a whole number")
        if not least <= value <= most:
            raise self.refuse(name, f"is {shown(value)}; it must lie between {least:,} and {most:,}")
        if self.own(name) not in self.values:
            self.assumed.add(self.own(name))
        return value

    def flag(self, name: str) -> bool:
        """True or false; null counts as false."""
        value = self.raw(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise self.refuse(name, f"is {shown(value)}; it must be true or false")
        return value

    def fraction(self, name: str) -> float:
        """A number from 0 to 1; null counts as 0."""
        value = self.raw(name)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.refuse(name, f"is {shown(value)}; it must be a number from 0 to 1")
        return float(value)

    def factor(self, name: str) -> float:
        """A number above 0 by which a size is multiplied."""
        value = self.raw(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_FACTOR:
            raise self.refuse(
                name, f"is {shown(value)}; it must be a number above 0 and at most {MOST_FACTOR}"
            )
        return float(value)

    def text(self, name: str) -> str:
        """A piece of text."""
        value = self.raw(name)
        if not isinstance(value, str):
            raise self.refuse(name, f"is {shown(value)}; it must be a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where there is none."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or not all(isinstance(item, str) for item in value):
            raise self.refuse(name, f"is {shown(value)}; it must be a list of texts")
        return tuple(value)

    def indices(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers; empty where there is none."""
        value = self.raw(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self.refuse(name, f"is {shown(value)}; it must be a list of whole numbers")
        return tuple(value)

    def quotient(self, name: str, by: str) -> int:
        """One size divided by another; both must divide."""
        whole, parts = self.size(name), self.size(by)
        if whole % parts:
            raise self.refuse(
                name, f"is {whole:,} and cannot be divided by {self.own(by)}, {parts:,}; correct one"
            )
        return whole // parts


def plain(text: str, most: int = 256) -> str:
    """A name out of a file as people may see it: short, without what steers a terminal or turns text."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:most])


def shown(value: object) -> str:
    """A value as a sentence shows it: its text in quotes, cut short."""
    if isinstance(value, str):
        text = f'"{plain(value)}"'
    elif value is None:
        text = "null"
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, dict | list):
        text = f"a {'table' if isinstance(value, dict) else 'list'}"
    elif isinstance(value, int) and value.bit_length() > 200:  # noqa: PLR2004 - some 60 digits
        text = "a number of more than 60 digits"
    else:
        text = f"{value:,}"
    return text if len(text) <= 70 else text[:66] + '..."'  # noqa: PLR2004 - what fits in a sentence

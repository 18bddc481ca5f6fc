"""The catalogue of accelerators: facts by card, and finding a card by what people and NVML call it."""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

from msgspec import Struct

from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.machine import Device
from llmplanner.resources import load_entry, load_toml

# Names no card is told by. "Quadro", "Ada", "Laptop" and the like do tell cards apart and are not here.
COMMON_WORDS = frozenset(
    {"nvidia", "amd", "intel", "google", "aws", "apple", "gpu", "generation", "edition"}
    | {"geforce", "rtx", "gtx", "rx", "tesla", "radeon", "instinct", "arc"}
)
TOLERANCE = 0.07  # between the memory a driver reports and the catalogue's: gpuhunt constraints.py


class Source(Struct, frozen=True):
    """Where a card's facts come from."""

    memory_bytes: str
    specification: str = ""  # of peak_flops, bandwidth and watts
    price: str = ""


class Gpu(Struct, frozen=True):
    """One accelerator. Bytes, FLOP/s, bytes/s and watts; None or absent: no source says."""

    id: str
    name: str
    vendor: str
    memory_gb: float  # on the box
    memory_bytes: int  # as NVML reports it
    memory: Literal["measured", "inferred", "nominal"]
    source: Source
    nvml_names: tuple[str, ...] = ()
    released: int | None = None
    memory_usable_bytes: int | None = None  # CUDA's, of the empty card
    memory_reserved_bytes: int | None = None
    unified: bool = False  # shares the computer's memory
    common: bool = False  # proposed where a larger card is needed
    several_memories: bool = False  # sold with less or more too: a name must say which
    bandwidth: float | None = None
    peak_flops: Mapping[str, float] = {}  # dense
    watts: float | None = None
    price_usd_per_hour: float | None = None
    price_dates: str = ""
    confidence: str = ""

    def device(self) -> Device:
        """The core's device, with nothing on it."""
        return Device(
            name=self.name,
            memory_total=self.memory_bytes,
            memory_reserved=self.memory_reserved_bytes,
            memory_usable=self.memory_usable_bytes,
            unified=self.unified,
            vendor=self.vendor,
            peak_flops=self.peak_flops,
            bandwidth=self.bandwidth,
            watts=self.watts,
            price_per_hour=self.price_usd_per_hour,
            catalogue_name=self.name,
        )


class Catalogue(Struct, frozen=True):
    """A file of cards."""

    schema: Literal[1]
    gpu: tuple[Gpu, ...]


@cache
def catalogue() -> tuple[Gpu, ...]:
    """The cards that come with the program. Raises BadInput where the data file is broken."""
    return load_toml("gpus.toml", Catalogue).gpu


def by_name(text: str, cards: Iterable[Gpu] | None = None) -> Gpu:
    """The one card that `text` names: its id, its name, its NVML name, or words that only one card has.

    Raises BadInput where no card or more than one is meant, with the nearest names.
    """
    alone = _by_id(text) if cards is None else None
    if alone is not None:
        return alone
    cards = tuple(catalogue() if cards is None else cards)
    by_id = [card for card in cards if _squeezed(card.id) == _squeezed(text)]
    if by_id:
        return by_id[0]
    for found in (_same_words(text, cards), _holding_words(text, cards)):
        if len(found) == 1:
            return _of_that_memory(text, found[0])
        if found:
            raise BadInput(f"{text!r} may be {_listed(found)}; give one of these names.", field="gpu")
    raise BadInput(f"No GPU of the catalogue is called {quoted(text)}. {_nearest(text, cards)}", field="gpu")


def _of_that_memory(text: str, card: Gpu) -> Gpu:
    """The card, where `text` says its memory or needs not. Raises BadInput."""
    if card.several_memories and _size(card) not in _words(text):
        raise BadInput(
            f"{text!r} is sold with more than one amount of memory; the catalogue has it with "
            f"{card.memory_gb:g} GB: give {card.id} for that.",
            field="gpu",
        )
    return card


def _size(card: Gpu) -> str:
    return f"{card.memory_gb:g}gb"


@cache
def _by_id(text: str) -> Gpu | None:
    """The card with exactly this id, read alone: the whole file would take 15 ms of every start."""
    found = load_entry("gpus.toml", "gpu", text, Catalogue)
    return found.gpu[0] if found is not None else None


def match(nvml_name: str, total_bytes: int | None, cards: Iterable[Gpu] | None = None) -> Gpu | None:
    """The card that NVML's name and total mean, within 7 % of its memory; None where that is not certain.

    `total_bytes` is None for a card without memory of its own (unified memory).
    """
    cards = tuple(catalogue() if cards is None else cards)
    found = [
        card
        for card in _same_words(nvml_name, cards)
        if total_bytes is None or abs(total_bytes - card.memory_bytes) <= TOLERANCE * card.memory_bytes
    ]
    return found[0] if len(found) == 1 else None


def shares_memory(nvml_name: str) -> bool | None:
    """Whether the cards of this name use the computer's memory; None where the catalogue has none or both."""
    found = {card.unified for card in _same_words(nvml_name, catalogue())}
    return found.pop() if len(found) == 1 else None


def heard_of(text: str) -> bool:
    """Whether a card of the catalogue has a word in common with `text` that tells cards; sizes tell none."""
    words = {word for word in _words(text) if not re.fullmatch(r"\d+gb|(hbm|gddr)\w*", word)}
    numbered = {word for word in words if any(letter.isdigit() for letter in word)}
    return not words or not (numbered or words).isdisjoint(_all_words())


@cache
def _all_words() -> frozenset[str]:
    return frozenset().union(*(_words(name) for card in catalogue() for name in _names(card)))


def _squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


@cache
def _words(text: str) -> frozenset[str]:
    """The words that tell a card: "NVIDIA GeForce RTX 4060Ti 16 GB" gives 4060, ti, 16gb."""
    text = re.sub(r"(\d+)\s*(?:gib|gb|g)\b", r"\1gb", text.lower())
    text = re.sub(r"\bsxm\d\b", "sxm", text)
    text = re.sub(r"\b([rg]tx|rx|quadro)(?=\d)", r"\1 ", text)
    text = re.sub(r"\b(\d{4})(ti|super|xtx|xt)(super)?\b", r"\1 \2 \3", text)
    return frozenset(re.findall(r"[a-z0-9]+", text)) - COMMON_WORDS


def _names(card: Gpu) -> tuple[str, ...]:
    return (card.id, card.name, *card.nvml_names)


def _same_words(text: str, cards: tuple[Gpu, ...]) -> list[Gpu]:
    """Cards one of whose names has exactly these words; a card's own memory size may be said or left out."""
    found = []
    for card in cards:
        size = {_size(card)}
        wanted = _words(text) - size
        if wanted and any(wanted == _words(name) - size for name in _names(card)):
            found.append(card)
    return found


def _holding_words(text: str, cards: tuple[Gpu, ...]) -> list[Gpu]:
    """Cards one of whose names has all of these words, and others beside them."""
    return [
        card
        for card in cards
        if _words(text)
        and any(_words(text) <= _words(f"{name} {card.memory_gb:g}GB") for name in _names(card))
    ]


def _listed(cards: list[Gpu]) -> str:
    shown = [f"{card.name} ({card.id})" for card in cards[:6]]
    if len(cards) > len(shown):
        return ", ".join(shown) + f" or one of {len(cards) - len(shown)} more"
    return " or ".join((", ".join(shown[:-1]), shown[-1]))


def _nearest(text: str, cards: tuple[Gpu, ...]) -> str:
    """Names that are spelled alike, as a sentence."""
    spelled = {_squeezed(name): card for card in cards for name in _names(card)}
    close = difflib.get_close_matches(_squeezed(text), spelled, n=3, cutoff=0.5)
    near = list(dict.fromkeys(spelled[key].id for key in close))
    if near:
        return f"The nearest are {', '.join(near)}."
    return "Names are such as rtx-4090, a100-sxm-80 or h100-sxm; `local` is the card of this computer."

"""How a program lays memory out, as data: a new engine is a new value here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine keeps and where it differs from the arithmetic of the papers."""

    name: str
    window_less: int  # a sliding layer keeps its window less this many tokens
    last_logits_only: bool  # prefill computes logits for the last token of each sequence alone
    growing_cache: bool  # the cache grows by copying: one layer's old and new keys exist together


TRANSFORMERS = Engine(
    name="Transformers 5.23",
    window_less=1,
    last_logits_only=True,
    growing_cache=True,
)

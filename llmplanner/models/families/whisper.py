"""Whisper: sound through two convolutions into an encoder, text out of a decoder (arXiv:2212.04356).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from dataclasses import replace

from llmplanner.core.model import Module, Parameter
from llmplanner.models.entries import Entries
from llmplanner.models.families.bart import PEGASUS, dialect

KERNEL = 3  # steps of sound


def _front(entries: Entries, body: str) -> tuple[Module, ...]:
    """The convolutions over the bands of sound; the second halves the steps."""
    hidden, bands = entries.size("d_model"), entries.size("num_mel_bins")
    shapes = {"conv1": (hidden, bands, KERNEL), "conv2": (hidden, hidden, KERNEL)}
    return tuple(
        Parameter(f"{body}encoder.{name}.{part}", shape if part == "weight" else (hidden,))
        for name, shape in shapes.items()
        for part in ("weight", "bias")
    )


WHISPER = replace(
    PEGASUS,
    shared="decoder.embed_tokens",
    positions=("max_source_positions", "max_target_positions"),
    key_bias=False,
    head="proj_out",
    lone_table=True,
    extras=_front,
)

DIALECTS = (
    dialect(
        "whisper",
        "Whisper",
        WHISPER,
        (384, 4, 1536, 6, 51865),
        num_mel_bins=80,
        max_source_positions=1500,
        max_target_positions=448,
        dropout=0.0,
    ),
)

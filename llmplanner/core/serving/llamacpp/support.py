"""Architectures that llama.cpp does not run, or whose caches it lays out in ways that are not described here.

Source: ggml-org/llama.cpp v0.5.0, src/llama-arch.cpp.
"""

from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Attention, Kind, Layer, Model
from llmplanner.core.plan import Serve

ENCODER_DECODERS = frozenset({"t5", "mt5", "umt5"})
MIXERS = frozenset({"Mamba", "Mamba-2", "Gated delta net", "Short convolution", "recurrence"})
NOT_THERE = frozenset({"zamba", "zamba2"})


def check_known(model: Model) -> None:
    """Raises BadInput for a model that llama.cpp cannot serve."""
    if model.kind is Kind.ENCODER_DECODER and model.model_type not in ENCODER_DECODERS:
        raise BadInput("llama.cpp runs no encoder-decoders but T5's kind; take transformers.", "engine")
    for stack in model.stacks:
        for group in stack.groups:
            _check_layer(group.layer, model)


def check_batch(model: Model, workload: Serve, engine: LlamaCpp) -> None:
    """Raises BadInput for an encoder's text that does not go into one physical batch."""
    tokens = workload.context
    if model.kind is Kind.ENCODER and isinstance(tokens, int) and tokens > engine.ubatch:
        raise BadInput(
            f"llama.cpp reads a text of an encoder in one physical batch: {tokens:,} tokens do not go into "
            f"{engine.ubatch:,}; raise the physical batch.",
            "ubatch",
        )


def _check_layer(layer: Layer, model: Model) -> None:
    mixer = layer.recurrent
    if mixer is not None and (mixer.kind not in MIXERS or model.model_type in NOT_THERE):
        raise BadInput(
            f"llama.cpp has no {mixer.kind} layers as {model.name}'s; take transformers.", "engine"
        )
    attention = layer.attention
    if isinstance(attention, Attention) and attention.compressed is not None:
        raise BadInput(
            f"How llama.cpp keeps the compressed tokens of {model.name} is not known; take transformers.",
            "engine",
        )

"""RWKV: a recurrence over keys and values, and a feed-forward that looks one token back.

Source: Peng et al. 2023 (arXiv:2305.13048). Defaults: Transformers 5.23.0 class defaults. Tensor names: the
published checkpoints.
"""

from dataclasses import replace

from llmplanner.core.model import (
    Activation,
    FeedForward,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.assemble import Frame, assemble
from llmplanner.models.families.dialect import Dialect, Part

TIME, CHANNEL = "attention.", "feed_forward."
FRAME = Frame(
    body="rwkv.",
    embedding="embeddings",
    layer="blocks.{layer}.",
    final_norm="ln_out",
    norm=NormKind.LAYER,
    norm_bias=True,
    head="head",
)


def _build(entries: Entries, part: Part) -> Model:
    """A norm of the first layer reads the embeddings."""
    indices = tuple(range(entries.size("num_hidden_layers", MOST_LAYERS)))
    model = assemble(FRAME, entries, part, (LayerGroup(_layer(entries), indices),))
    body = FRAME.body if part is Part.LANGUAGE_MODEL else ""
    norm = Norm(f"{body}blocks.0.pre_ln", NormKind.LAYER, model.hidden_size, bias=True)
    return replace(model, embedding_norm=norm)


def _layer(entries: Entries) -> Layer:
    """The mixer, and the feed-forward that a gate of its own multiplies."""
    hidden = entries.size("hidden_size")
    width = entries.optional_size("intermediate_size") or 4 * hidden
    return Layer(
        attention=None,
        feed_forward=FeedForward(
            inputs=(Linear(f"{CHANNEL}key", hidden, width),),
            output=Linear(f"{CHANNEL}value", width, hidden),
            width=width,
            activation=Activation.RELU_SQUARED,
            gated=False,
        ),
        attention_norm=Norm("ln1", NormKind.LAYER, hidden, bias=True),
        feed_forward_norm=Norm("ln2", NormKind.LAYER, hidden, bias=True),
        recurrent=_mixer(entries),
        extras=(
            Linear(f"{CHANNEL}receptance", hidden, hidden),
            *_shifts(CHANNEL, ("key", "receptance"), hidden),
        ),
    )


def _shifts(prefix: str, names: tuple[str, ...], hidden: int) -> tuple[Module, ...]:
    """How much of the token before each input takes in."""
    return tuple(Parameter(f"{prefix}time_mix_{name}", (1, 1, hidden)) for name in names)


def _mixer(entries: Entries) -> Recurrent:
    """A state for every channel: a numerator, a denominator and the largest exponent."""
    hidden = entries.size("hidden_size")
    wide, names = entries.optional_size("attention_hidden_size") or hidden, ("key", "value", "receptance")
    return Recurrent(
        kind="RWKV",
        inputs=tuple(Linear(f"{TIME}{name}", hidden, wide) for name in names),
        inner=(),
        output=Linear(f"{TIME}output", wide, hidden),
        parameters=(
            Parameter(f"{TIME}time_decay", (wide,)),
            Parameter(f"{TIME}time_first", (wide,)),
            *_shifts(TIME, names, hidden),
        ),
        conv_state=2 * hidden,  # the last token's, before each branch
        state=3 * wide,
        heads=wide,
    )


DIALECTS = (
    Dialect(
        "rwkv",
        {
            "vocab_size": 50277,
            "context_length": 1024,
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "tie_word_embeddings": False,
        },
        ("num_hidden_layers", "hidden_size", "vocab_size"),
        {"RwkvForCausalLM": Part.LANGUAGE_MODEL, "RwkvModel": Part.BODY},
        _build,
        {"max_position_embeddings": ("context_length", "max_position_embeddings")},
    ),
)

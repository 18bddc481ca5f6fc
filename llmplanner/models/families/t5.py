"""T5: an encoder and a decoder with relative positions, norms before each branch, no biases.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from dataclasses import replace

from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    Head,
    Kind,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import ACTIVATIONS, Dialect, Part, dropout, dtype


def build(entries: Entries, part: Part) -> Model:
    """An encoder-decoder, or its encoder alone. Raises BadInput."""
    hidden, vocabulary = entries.size("d_model"), entries.size("vocab_size", MOST_ROWS)
    depth = entries.size("num_layers", MOST_LAYERS)
    stacks = [_stack(entries, Kind.ENCODER, depth)]
    if part is not Part.ENCODER:
        stacks.append(
            _stack(entries, Kind.DECODER, entries.optional_size("num_decoder_layers", MOST_LAYERS) or depth)
        )
    gated, _ = _feed_forward_form(entries)
    head = Linear("lm_head", hidden, vocabulary) if part is Part.LANGUAGE_MODEL else None
    return Model(
        kind=Kind.ENCODER if part is Part.ENCODER else Kind.ENCODER_DECODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=None,
        dtype=dtype(entries),
        token_embedding=Embedding("shared", vocabulary, hidden),
        embeddings=(),
        stacks=tuple(stacks),
        # Version 1.1 unties the head, and its files hold one, whatever tie_word_embeddings says.
        head=Head(head, tied=head is not None and not gated, loss_fp32=False),
        dropout=replace(
            dropout(entries, "dropout_rate", "dropout_rate", "dropout_rate"),
            inner=entries.fraction("dropout_rate"),
            final=entries.fraction("dropout_rate"),
        ),
    )


def _stack(entries: Entries, role: Kind, depth: int) -> Stack:
    """A tower; its first layer holds the table of relative positions that all of its layers use."""
    first = LayerGroup(_layer(entries, role, table=True), (0,))
    rest = LayerGroup(_layer(entries, role, table=False), tuple(range(1, depth)))
    return Stack(
        role,
        f"{role.value}.block.{{layer}}.",
        (first, rest) if depth > 1 else (first,),
        _norm(f"{role.value}.final_layer_norm", entries),
    )


def _layer(entries: Entries, role: Kind, *, table: bool) -> Layer:
    last = 2 if role is Kind.DECODER else 1
    gated, function = _feed_forward_form(entries)
    block = f"layer.{last}.DenseReluDense"
    inputs = (f"{block}.wi_0", f"{block}.wi_1") if gated else (f"{block}.wi",)
    cross = role is Kind.DECODER
    return Layer(
        attention=_attention(entries, "layer.0.SelfAttention", table=table, positions=True),
        feed_forward=replace(
            feed_forward(inputs, f"{block}.wo", _widths(entries), function), output_cast=True
        ),
        attention_norm=_norm("layer.0.layer_norm", entries),
        feed_forward_norm=_norm(f"layer.{last}.layer_norm", entries),
        cross_attention=_attention(entries, "layer.1.EncDecAttention", positions=True) if cross else None,
        cross_norm=_norm("layer.1.layer_norm", entries) if cross else None,
    )


def _attention(entries: Entries, name: str, *, table: bool = False, positions: bool = False) -> Attention:
    widths = _widths(entries)
    buckets = entries.size("relative_attention_num_buckets")
    return attention(
        (f"{name}.q", f"{name}.k", f"{name}.v", f"{name}.o"),
        widths,
        relative=Embedding(f"{name}.relative_attention_bias", buckets, widths.heads) if table else None,
        position_bias=positions,
    )


def _widths(entries: Entries) -> Widths:
    hidden, heads = entries.size("d_model"), entries.size("num_heads")
    return Widths(hidden, heads, entries.size("d_kv"), entries.size("d_ff"), bias=False)


def _feed_forward_form(entries: Entries) -> tuple[bool, Activation]:
    """Whether the feed-forward is gated, and its activation: "relu", "gated-gelu". is_gated_act overrides."""
    text = entries.text("feed_forward_proj")
    function = "gelu_new" if text == "gated-gelu" else text.removeprefix("gated-")
    if function not in ACTIVATIONS:
        raise entries.refuse("feed_forward_proj", 'is not known; "relu" and "gated-gelu" are the usual ones')
    gated = entries.flag("is_gated_act") if entries.stated("is_gated_act") else text.startswith("gated-")
    return gated, ACTIVATIONS[function]


def _norm(name: str, entries: Entries) -> Norm:
    return Norm(name, NormKind.RMS_T5, entries.size("d_model"))


DIALECTS = (
    Dialect(
        model_type="t5",
        defaults={
            "vocab_size": 32128,
            "d_model": 512,
            "d_kv": 64,
            "d_ff": 2048,
            "num_layers": 6,
            "num_decoder_layers": None,
            "num_heads": 8,
            "relative_attention_num_buckets": 32,
            "feed_forward_proj": "relu",
            "dropout_rate": 0.1,
        },
        sizes=("d_model", "d_ff", "num_layers", "num_heads", "vocab_size"),
        classes={
            "T5ForConditionalGeneration": Part.LANGUAGE_MODEL,
            "T5WithLMHeadModel": Part.LANGUAGE_MODEL,  # its name before version 4
            "T5Model": Part.BODY,
            "T5EncoderModel": Part.ENCODER,
        },
        build=build,
        names={
            "d_model": ("d_model", "hidden_size"),
            "num_layers": ("num_layers", "num_hidden_layers"),
            "num_heads": ("num_heads", "num_attention_heads"),
            "d_kv": ("d_kv", "head_dim"),
        },
    ),
)

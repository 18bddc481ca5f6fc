"""T5 and its kin: an encoder and a decoder with relative positions, norms before each branch, no biases.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Head,
    Kind,
    Layer,
    Linear,
    Model,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.assemble import grouped
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import ACTIVATIONS, Dialect, Part, dropout, dtype


def _self_attention(_entries: Entries, _role: Kind) -> str:
    return "SelfAttention"


def _no_experts(_entries: Entries, _role: Kind, _depth: int, _index: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class T5Data:
    """One family as data."""

    every_table: bool = False  # umT5: every layer has its own table of relative positions
    form: str = "feed_forward_proj"  # the entry for the feed-forward's form
    feed_forward: str = "DenseReluDense"
    attention: Callable[[Entries, Kind], str] = _self_attention  # its name, by tower
    sparse: Callable[[Entries, Kind, int, int], bool] = _no_experts  # by tower, its depth and the layer


def build(data: T5Data, entries: Entries, part: Part) -> Model:
    """An encoder-decoder, or its encoder alone. Raises BadInput."""
    hidden, vocabulary = entries.size("d_model"), entries.size("vocab_size", MOST_ROWS)
    depth = entries.size("num_layers", MOST_LAYERS)
    stacks = [_stack(data, entries, Kind.ENCODER, depth)]
    if part is not Part.ENCODER:
        layers = entries.optional_size("num_decoder_layers", MOST_LAYERS) or depth
        stacks.append(_stack(data, entries, Kind.DECODER, layers))
    gated, _ = _feed_forward_form(data, entries)
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


def _stack(data: T5Data, entries: Entries, role: Kind, depth: int) -> Stack:
    """A tower; its first layer holds the table of relative positions that all of its layers use."""
    kinds = [
        (data.every_table or index == 0, data.sparse(entries, role, depth, index)) for index in range(depth)
    ]
    return Stack(
        role,
        f"{role.value}.block.{{layer}}.",
        grouped(kinds, lambda kind: _layer(data, entries, role, table=kind[0], sparse=kind[1])),
        _norm(f"{role.value}.final_layer_norm", entries),
    )


def _layer(data: T5Data, entries: Entries, role: Kind, *, table: bool, sparse: bool) -> Layer:
    last = 2 if role is Kind.DECODER else 1
    gated, function = _feed_forward_form(data, entries)
    block = f"layer.{last}.{data.feed_forward}"
    inputs = (f"{block}.wi_0", f"{block}.wi_1") if gated else (f"{block}.wi",)
    dense = replace(feed_forward(inputs, f"{block}.wo", _widths(entries), function), output_cast=True)
    cross = role is Kind.DECODER
    name = f"layer.0.{data.attention(entries, role)}"
    return Layer(
        attention=_attention(entries, name, table=table),
        feed_forward=_experts(entries, dense, block) if sparse else dense,
        attention_norm=_norm("layer.0.layer_norm", entries),
        feed_forward_norm=_norm(f"layer.{last}.layer_norm", entries),
        cross_attention=_attention(entries, "layer.1.EncDecAttention", table=False) if cross else None,
        cross_norm=_norm("layer.1.layer_norm", entries) if cross else None,
    )


def _experts(entries: Entries, dense: FeedForward, block: str) -> Experts:
    """Switch Transformers: each token goes to one of the experts (arXiv:2101.03961)."""
    count = entries.size("num_experts")
    inner = f"{block}.experts.expert_{{expert}}"
    expert = replace(
        dense,
        inputs=tuple(replace(one, name=one.name.replace(block, inner)) for one in dense.inputs),
        output=replace(dense.output, name=f"{inner}.wo"),
    )
    router = Linear(f"{block}.router.classifier", entries.size("d_model"), count, entries.flag("router_bias"))
    return Experts(router, count, 1, expert)


def _attention(entries: Entries, name: str, *, table: bool) -> Attention:
    """Attention; where the encoder sees sums of far blocks (LongT5), with a norm and a table for them."""
    widths = _widths(entries)
    buckets = entries.size("relative_attention_num_buckets")
    whole = attention(
        (f"{name}.q", f"{name}.k", f"{name}.v", f"{name}.o"),
        widths,
        relative=Embedding(f"{name}.relative_attention_bias", buckets, widths.heads) if table else None,
        position_bias=True,
    )
    if not name.endswith(TRANSIENT):
        return whole
    far = Embedding(f"{name}.global_relative_attention_bias", buckets, widths.heads)
    norm = _norm(f"{name}.global_input_layer_norm", entries)
    return replace(whole, extras=(far, norm) if table else (norm,))


def _widths(entries: Entries) -> Widths:
    hidden, heads = entries.size("d_model"), entries.size("num_heads")
    return Widths(hidden, heads, entries.size("d_kv"), entries.size("d_ff"), bias=False)


def _feed_forward_form(data: T5Data, entries: Entries) -> tuple[bool, Activation]:
    """Whether the feed-forward is gated, and its activation: "relu", "gated-gelu". is_gated_act overrides."""
    text = entries.text(data.form)
    function = "gelu_new" if text == "gated-gelu" else text.removeprefix("gated-")
    if function not in ACTIVATIONS:
        raise entries.refuse(data.form, 'is not known; "relu" and "gated-gelu" are the usual ones')
    gated = entries.flag("is_gated_act") if entries.stated("is_gated_act") else text.startswith("gated-")
    return gated, ACTIVATIONS[function]


def _norm(name: str, entries: Entries) -> Norm:
    return Norm(name, NormKind.RMS_T5, entries.size("d_model"))


TRANSIENT = "TransientGlobalSelfAttention"


def _long_attention(entries: Entries, role: Kind) -> str:
    """LongT5's encoder sees its neighbours, with or without sums of far blocks (arXiv:2112.07916)."""
    if role is Kind.DECODER:
        return "SelfAttention"
    names = {"local": "LocalSelfAttention", "transient-global": TRANSIENT}
    kind = entries.text("encoder_attention_type")
    if kind not in names:
        raise entries.refuse("encoder_attention_type", f"is not known; the known ones are {', '.join(names)}")
    return names[kind]


def _every_few(entries: Entries, role: Kind, depth: int, index: int) -> bool:
    """Switch Transformers: experts in layer 1 and every so many on; the config states how many layers."""
    count = entries.size(f"num_sparse_{role.value}_layers", MOST_LAYERS, least=0)
    step = depth // count if count else depth
    return step == 1 or (step > 0 and index % step == 1)


T5 = T5Data()
NAMES = {
    "d_model": ("d_model", "hidden_size"),
    "num_layers": ("num_layers", "num_hidden_layers"),
    "num_heads": ("num_heads", "num_attention_heads"),
    "d_kv": ("d_kv", "head_dim"),
}


def _dialect(
    model_type: str,
    stem: str,
    data: T5Data,
    sizes: tuple[int, int, int, int, int, int],
    **more: object,
) -> Dialect:
    """`sizes` are the class's defaults: vocabulary, width, head, feed-forward, layers, heads."""
    names = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
    defaults = {
        **dict(zip(names, sizes, strict=True)),
        "num_decoder_layers": None,
        "relative_attention_num_buckets": 32,
        "feed_forward_proj": "relu",
        "dropout_rate": 0.1,
        **more,
    }
    return Dialect(
        model_type,
        defaults,
        ("d_model", "d_ff", "num_layers", "num_heads", "vocab_size"),
        {
            f"{stem}ForConditionalGeneration": Part.LANGUAGE_MODEL,
            f"{stem}WithLMHeadModel": Part.LANGUAGE_MODEL,  # T5's name before version 4
            f"{stem}Model": Part.BODY,
            f"{stem}EncoderModel": Part.ENCODER,
        },
        partial(build, data),
        NAMES,
    )


MT5_SIZES = (250112, 512, 64, 1024, 8, 6)
DIALECTS = (
    _dialect("t5", "T5", T5, (32128, 512, 64, 2048, 6, 8)),
    _dialect("mt5", "MT5", T5, MT5_SIZES, feed_forward_proj="gated-gelu"),
    _dialect("umt5", "UMT5", T5Data(every_table=True), MT5_SIZES, feed_forward_proj="gated-gelu"),
    _dialect(
        "longt5",
        "LongT5",
        T5Data(attention=_long_attention),
        (32128, 512, 64, 2048, 6, 8),
        encoder_attention_type="local",
    ),
    _dialect(
        "switch_transformers",
        "SwitchTransformers",
        T5Data(form="dense_act_fn", feed_forward="mlp", sparse=_every_few),
        (32128, 768, 64, 2048, 12, 12),
        dense_act_fn="relu",
        num_sparse_encoder_layers=3,
        num_sparse_decoder_layers=3,
        num_experts=8,
        router_bias=False,
    ),
)

"""Encoders of BERT's form: learned positions and token types, norms after the sums, a masked-LM head.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from llmplanner.core.model import (
    Activation,
    Embedding,
    Head,
    Kind,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import Dialect, Part, activation, dropout, dtype


@dataclass(frozen=True, slots=True)
class EncoderData:
    """One family of encoders as data. Names are relative to `body`, to the layer, or whole in the head."""

    body: str  # prefix of all but the head: "bert."
    transform: str = "cls.predictions.transform.dense"  # tensor names of the masked-LM head
    transform_norm: str = "cls.predictions.transform.LayerNorm"
    decoder: str = "cls.predictions.decoder"
    bias: str = "cls.predictions"
    spare_bias: bool = True  # untied, the class builds a second bias
    pair_head: str | None = "cls.seq_relationship"
    transform_activation: Activation | None = None  # None: the file's
    tokens: str = "embeddings.word_embeddings"
    positions: str | None = "embeddings.position_embeddings"
    position_offset: int = 0  # rows of the table that are not positions
    types: str | None = "embeddings.token_type_embeddings"
    embedding_norm: str | None = "embeddings.LayerNorm"
    width: str | None = None  # the entry for the embedding's width, where it may differ from the hidden size
    projection: str = ""  # from that width to the hidden size
    projected: bool = False  # also where the two are the same
    layer: str = "encoder.layer.{layer}."
    attention: tuple[str, str, str, str] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    )
    feed_forward: tuple[str, str] = ("intermediate.dense", "output.dense")
    attention_norm: str = "attention.output.LayerNorm"
    feed_forward_norm: str = "output.LayerNorm"
    final_norm: str | None = None  # of the families whose norms stand before the branches
    shared: str | None = None  # ALBERT: the entry for how many sets of parameters the layers share
    relative_bias: str | None = None  # MPNet: a table of buckets, beside the layers
    pooler: str | None = "pooler.dense"
    discriminator: str | None = None  # ELECTRA: what tells replaced tokens from true ones


BERT = EncoderData(body="bert.")
ROBERTA = EncoderData(
    body="roberta.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    bias="lm_head",
    position_offset=2,
    transform_activation=Activation.GELU,
)
ELECTRA = EncoderData(
    body="electra.",
    transform="generator_predictions.dense",
    transform_norm="generator_predictions.LayerNorm",
    decoder="generator_lm_head",
    bias="generator_lm_head",
    spare_bias=False,
    transform_activation=Activation.GELU,
    width="embedding_size",
    projection="embeddings_project",
    pooler=None,
    discriminator="discriminator_predictions",
)
ALBERT = EncoderData(
    body="albert.",
    transform="predictions.dense",
    transform_norm="predictions.LayerNorm",
    decoder="predictions.decoder",
    bias="predictions",
    pair_head="sop_classifier.classifier",
    width="embedding_size",
    projection="encoder.embedding_hidden_mapping_in",
    projected=True,
    layer="encoder.albert_layer_groups.{layer}.albert_layers.0.",
    attention=("attention.query", "attention.key", "attention.value", "attention.dense"),
    feed_forward=("ffn", "ffn_output"),
    attention_norm="attention.LayerNorm",
    feed_forward_norm="full_layer_layer_norm",
    shared="num_hidden_groups",
    pooler="pooler",
)
DISTILBERT = EncoderData(
    body="distilbert.",
    transform="vocab_transform",
    transform_norm="vocab_layer_norm",
    decoder="vocab_projector",
    bias="vocab_projector",
    spare_bias=False,
    types=None,
    layer="transformer.layer.{layer}.",
    attention=("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
    feed_forward=("ffn.lin1", "ffn.lin2"),
    attention_norm="sa_layer_norm",
    feed_forward_norm="output_layer_norm",
    pooler=None,
)
MEGATRON = EncoderData(
    body="bert.",
    embedding_norm=None,
    attention_norm="attention.ln",
    feed_forward_norm="ln",
    final_norm="encoder.ln",
)
MPNET = replace(
    ROBERTA,
    body="mpnet.",
    attention=("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
    attention_norm="attention.LayerNorm",
    types=None,
    relative_bias="encoder.relative_attention_bias",
)


def build(data: EncoderData, entries: Entries, part: Part) -> Model:
    """An encoder. Raises BadInput."""
    for name in ("is_decoder", "add_cross_attention"):
        if entries.flag(name):
            raise entries.refuse(name, "is true; this family is supported as an encoder only")
    if entries.raw("position_embedding_type") not in {None, "absolute"}:
        raise entries.refuse("position_embedding_type", 'is not supported; only "absolute" is')
    hidden, vocabulary = entries.size("hidden_size"), entries.size("vocab_size", MOST_ROWS)
    rows = entries.size("max_position_embeddings", MOST_ROWS, least=1 + data.position_offset)
    body = "" if part is Part.BODY else data.body
    width = _width(data, entries)
    masked = part in {Part.LANGUAGE_MODEL, Part.PRETRAINING} and not _discriminates(data, part)
    pooled = part is not Part.LANGUAGE_MODEL and data.pooler is not None
    paired = part is Part.PRETRAINING and data.pair_head is not None and not _discriminates(data, part)
    return Model(
        kind=Kind.ENCODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=rows - data.position_offset,
        dtype=dtype(entries),
        token_embedding=Embedding(body + data.tokens, vocabulary, width),
        embeddings=_tables(data, entries, body, rows, width),
        stacks=(_stack(data, entries, body),),
        head=_head(data, entries) if masked else Head(None, tied=False),
        embedding_norm=_norm(body + data.embedding_norm, width) if data.embedding_norm else None,
        projections=_projections(data, body, width, hidden),
        pooler=Linear(f"{body}{data.pooler}", hidden, hidden, bias=True) if pooled else None,
        pair_head=Linear(f"{data.pair_head}", hidden, 2, bias=True) if paired else None,
        extras=(*_beside(data, entries, body), *_discriminator(data, part, hidden)),
        dropout=dropout(
            entries, "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout_prob"
        ),
    )


def _width(data: EncoderData, entries: Entries) -> int:
    """The embedding's."""
    hidden = entries.size("hidden_size")
    return hidden if data.width is None else entries.optional_size(data.width) or hidden


def _tables(data: EncoderData, entries: Entries, body: str, rows: int, width: int) -> tuple[Embedding, ...]:
    positions = (Embedding(body + data.positions, rows, width),) if data.positions else ()
    kinds = entries.size("type_vocab_size", least=0) if data.types else 0
    return (*positions, Embedding(f"{body}{data.types}", kinds, width)) if kinds else positions


def _projections(data: EncoderData, body: str, width: int, hidden: int) -> tuple[Linear, ...]:
    if not data.projection or (width == hidden and not data.projected):
        return ()
    return (Linear(body + data.projection, width, hidden, bias=True),)


def _beside(data: EncoderData, entries: Entries, body: str) -> tuple[Module, ...]:
    """A table of relative positions that all layers use."""
    if data.relative_bias is None:
        return ()
    buckets = entries.size("relative_attention_num_buckets")
    return (Embedding(body + data.relative_bias, buckets, entries.size("num_attention_heads")),)


def _discriminates(data: EncoderData, part: Part) -> bool:
    return data.discriminator is not None and part is Part.PRETRAINING


def _discriminator(data: EncoderData, part: Part, hidden: int) -> tuple[Module, ...]:
    if not _discriminates(data, part):
        return ()
    dense = Linear(f"{data.discriminator}.dense", hidden, hidden, bias=True)
    return dense, Linear(f"{data.discriminator}.dense_prediction", hidden, 1, bias=True)


def _stack(data: EncoderData, entries: Entries, body: str) -> Stack:
    layer, depth = _layer(data, entries), entries.size("num_hidden_layers", MOST_LAYERS)
    groups: tuple[LayerGroup, ...] = (LayerGroup(layer, tuple(range(depth))),)
    if data.shared is not None:  # layer i takes set i // (depth / sets)
        sets = entries.size(data.shared, most=depth)
        bounds = [depth * one // sets for one in range(sets + 1)]
        groups = tuple(
            LayerGroup(layer, tuple(range(begin, end)), shared=True)
            for begin, end in pairwise(bounds)
        )
    final = _norm(body + data.final_norm, entries.size("hidden_size")) if data.final_norm else None
    return Stack(Kind.ENCODER, body + data.layer, groups, final)


def _layer(data: EncoderData, entries: Entries) -> Layer:
    hidden = entries.size("hidden_size")
    widths = Widths(
        hidden,
        entries.size("num_attention_heads"),
        entries.quotient("hidden_size", "num_attention_heads"),
        entries.size("intermediate_size"),
        bias=True,
    )
    inner, outer = data.feed_forward
    return Layer(
        attention=attention(data.attention, widths),
        feed_forward=feed_forward((inner,), outer, widths, activation(entries, "hidden_act")),
        attention_norm=_norm(data.attention_norm, hidden),
        feed_forward_norm=_norm(data.feed_forward_norm, hidden),
        post_norm=data.final_norm is None,
    )


def _head(data: EncoderData, entries: Entries) -> Head:
    hidden, width, tied = (
        entries.size("hidden_size"),
        _width(data, entries),
        entries.flag("tie_word_embeddings"),
    )
    name = data.bias if tied else data.decoder
    return Head(
        linear=Linear(name, width, entries.size("vocab_size", MOST_ROWS), bias=True),
        tied=tied,
        transform=Linear(data.transform, hidden, width, bias=True),
        transform_activation=data.transform_activation or activation(entries, "hidden_act"),
        norm=_norm(data.transform_norm, width),
        loss_fp32=False,
        spare_bias=data.bias if data.spare_bias and not tied else "",
    )


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.LAYER, width, bias=True)


SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")


def _dialect(
    model_type: str,
    stem: str,
    data: EncoderData,
    sizes: tuple[int, int, int, int, int] = (12, 768, 12, 3072, 30522),
    names: Mapping[str, tuple[str, ...]] | None = None,
    **more: object,
) -> Dialect:
    """`sizes` are the class's defaults in the order of SIZES; `more` goes by the common names."""
    defaults = {
        **dict(zip(SIZES, sizes, strict=True)),
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "tie_word_embeddings": True,
        **more,
    }
    own = {(names or {}).get(name, (name,))[0]: value for name, value in defaults.items()}
    classes = {
        f"{stem}ForMaskedLM": Part.LANGUAGE_MODEL,
        f"{stem}ForCausalLM": Part.LANGUAGE_MODEL,
        f"{stem}LMHeadModel": Part.LANGUAGE_MODEL,
        f"{stem}Model": Part.BODY,
        f"{stem}ForPreTraining": Part.PRETRAINING,
    }
    return Dialect(model_type, own, SIZES, classes, partial(build, data), names or {})


DIALECTS = (
    _dialect("bert", "Bert", BERT),
    _dialect("ernie", "Ernie", replace(BERT, body="ernie.")),
    _dialect("roberta", "Roberta", ROBERTA, (12, 768, 12, 3072, 50265)),
    _dialect("xlm-roberta", "XLMRoberta", ROBERTA),
    _dialect("camembert", "Camembert", ROBERTA),
    _dialect("data2vec-text", "Data2VecText", replace(ROBERTA, body="data2vec_text.")),
    _dialect(
        "roberta-prelayernorm",
        "RobertaPreLayerNorm",
        replace(
            ROBERTA,
            body="roberta_prelayernorm.",
            attention_norm="attention.LayerNorm",
            feed_forward_norm="intermediate.LayerNorm",
            final_norm="LayerNorm",
        ),
        (12, 768, 12, 3072, 50265),
    ),
    _dialect(
        "xlm-roberta-xl",
        "XLMRobertaXL",
        replace(
            ROBERTA,
            embedding_norm=None,
            attention_norm="attention.self_attn_layer_norm",
            feed_forward_norm="LayerNorm",
            final_norm="encoder.LayerNorm",
        ),
        (36, 2560, 32, 10240, 250880),
        type_vocab_size=1,
        max_position_embeddings=514,
    ),
    _dialect("electra", "Electra", ELECTRA, (12, 256, 4, 1024, 30522), embedding_size=128),
    _dialect(
        "albert",
        "Albert",
        ALBERT,
        (12, 4096, 64, 16384, 30000),
        embedding_size=128,
        num_hidden_groups=1,
        inner_group_num=1,
        hidden_act="gelu_new",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
    _dialect(
        "distilbert",
        "DistilBert",
        DISTILBERT,
        (6, 768, 12, 3072, 30522),
        {
            "num_hidden_layers": ("n_layers", "num_hidden_layers"),
            "hidden_size": ("dim", "hidden_size"),
            "num_attention_heads": ("n_heads", "num_attention_heads"),
            "intermediate_size": ("hidden_dim",),
            "hidden_act": ("activation",),
            "hidden_dropout_prob": ("dropout",),
            "attention_probs_dropout_prob": ("attention_dropout",),
        },
    ),
    _dialect("megatron-bert", "MegatronBert", MEGATRON, (24, 1024, 16, 4096, 29056)),
    _dialect("mpnet", "MPNet", MPNET, (12, 768, 12, 3072, 30527), relative_attention_num_buckets=32),
)

"""BART: an encoder and a decoder with learned positions, norms after the sums, biases throughout.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from llmplanner.core.model import (
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
from llmplanner.models.families.dialect import Dialect, Part, activation, dropout, dtype

POSITION_OFFSET = 2  # the table's first two rows are not positions
TOWERS = (Kind.ENCODER, Kind.DECODER)


def build(entries: Entries, part: Part) -> Model:
    """An encoder-decoder. Untied, each tower looks up a table of its own. Raises BadInput."""
    tied = entries.flag("tie_word_embeddings")
    hidden, vocabulary = entries.size("d_model"), entries.size("vocab_size", MOST_ROWS)
    context = entries.size("max_position_embeddings", MOST_ROWS)
    body = "model." if part is Part.LANGUAGE_MODEL else ""
    embeddings = _tables(f"{body}{{tower}}.embed_positions", context + POSITION_OFFSET, hidden)
    if not tied:
        embeddings += _tables(f"{body}{{tower}}.embed_tokens", vocabulary, hidden)
    head = Linear("lm_head", hidden, vocabulary) if part is Part.LANGUAGE_MODEL else None
    return Model(
        kind=Kind.ENCODER_DECODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=context,
        dtype=dtype(entries),
        token_embedding=Embedding(f"{body}shared", vocabulary, hidden),
        embeddings=embeddings,
        stacks=tuple(_stack(entries, body, tower) for tower in TOWERS),
        head=Head(head, tied=tied and head is not None, loss_fp32=False),
        embedding_norms_by_stack=tuple(
            _norm(f"{body}{tower.value}.layernorm_embedding", hidden) for tower in TOWERS
        ),
        dropout=dropout(entries, "dropout", "attention_dropout", "dropout"),
    )


def _tables(name: str, rows: int, width: int) -> tuple[Embedding, ...]:
    """A look-up table of each tower."""
    return tuple(Embedding(name.format(tower=tower.value), rows, width) for tower in TOWERS)


def _stack(entries: Entries, body: str, role: Kind) -> Stack:
    depth = entries.size(f"{role.value}_layers", MOST_LAYERS)
    group = LayerGroup(_layer(entries, role), tuple(range(depth)))
    return Stack(role, f"{body}{role.value}.layers.{{layer}}.", (group,), final_norm=None)


def _layer(entries: Entries, role: Kind) -> Layer:
    hidden, heads = entries.size("d_model"), f"{role.value}_attention_heads"
    width = entries.size(f"{role.value}_ffn_dim")
    widths = Widths(hidden, entries.size(heads), entries.quotient("d_model", heads), width, bias=True)
    cross = role is Kind.DECODER
    return Layer(
        attention=attention(_names("self_attn"), widths),
        feed_forward=feed_forward(("fc1",), "fc2", widths, activation(entries, "activation_function")),
        attention_norm=_norm("self_attn_layer_norm", hidden),
        feed_forward_norm=_norm("final_layer_norm", hidden),
        cross_attention=attention(_names("encoder_attn"), widths) if cross else None,
        cross_norm=_norm("encoder_attn_layer_norm", hidden) if cross else None,
        post_norm=True,
    )


def _names(block: str) -> tuple[str, str, str, str]:
    return f"{block}.q_proj", f"{block}.k_proj", f"{block}.v_proj", f"{block}.out_proj"


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.LAYER, width, bias=True)


DIALECTS = (
    Dialect(
        model_type="bart",
        defaults={
            "vocab_size": 50265,
            "max_position_embeddings": 1024,
            "d_model": 1024,
            "encoder_layers": 12,
            "encoder_ffn_dim": 4096,
            "encoder_attention_heads": 16,
            "decoder_layers": 12,
            "decoder_ffn_dim": 4096,
            "decoder_attention_heads": 16,
            "activation_function": "gelu",
            "tie_word_embeddings": True,
            "dropout": 0.1,
            "attention_dropout": 0.0,
        },
        sizes=(
            "d_model",
            "encoder_layers",
            "encoder_ffn_dim",
            "encoder_attention_heads",
            "decoder_layers",
            "decoder_ffn_dim",
            "decoder_attention_heads",
            "vocab_size",
        ),
        classes={"BartForConditionalGeneration": Part.LANGUAGE_MODEL, "BartModel": Part.BODY},
        build=build,
        names={
            "d_model": ("d_model", "hidden_size"),
            "encoder_layers": ("encoder_layers", "num_hidden_layers"),
            "encoder_attention_heads": ("encoder_attention_heads", "num_attention_heads"),
        },
    ),
)

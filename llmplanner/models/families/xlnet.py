"""XLNet: queries, keys, values and positions by one three-dimensional tensor each, norms after the sums.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Model, Parameter
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.gpt import GPT2


def _with_relative(_entries: Entries, layer: Layer) -> Layer:
    """Matrix and biases of the relative positions, and of the segments (arXiv:1906.08237)."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    hidden, heads, dim = attention.output.outputs, attention.heads, attention.key_dim
    biases = (Parameter(f"rel_attn.{name}", (heads, dim)) for name in ("r_r_bias", "r_s_bias", "r_w_bias"))
    positions = Parameter("rel_attn.r", (hidden, heads, dim))
    segments = Parameter("rel_attn.seg_embed", (2, heads, dim))
    return replace(layer, attention=replace(attention, extras=(positions, *biases, segments)))


XLNET = replace(
    GPT2,
    body="transformer.",
    embedding="word_embedding",
    positions=None,
    layer="layer.{layer}.",
    attention_inputs=("rel_attn.q", "rel_attn.k", "rel_attn.v"),
    attention_output="rel_attn.o",
    feed_forward_inputs=("ff.layer_1",),
    feed_forward_output="ff.layer_2",
    attention_norm="rel_attn.layer_norm",
    feed_forward_norm="ff.layer_norm",
    final_norm=None,
    activation="ff_activation",
    input_bias=False,
    output_bias=False,
    transposed=False,
    pre_norm=False,
    head="lm_loss",
    head_bias=True,
    finish=_with_relative,
    dropouts=("dropout", "dropout", "dropout"),
    refused=(),
)


def _build(entries: Entries, part: Part) -> Model:
    """The decoder and the vector that stands for a token to be predicted."""
    model = build(XLNET, entries, part)
    body = "transformer." if part is Part.LANGUAGE_MODEL else ""
    return replace(model, extras=(Parameter(f"{body}mask_emb", (1, 1, model.hidden_size)),))


DIALECTS = (
    replace(
        decoder(
            "xlnet",
            ("XLNetLMHeadModel", "XLNetModel"),
            XLNET,
            class_defaults(
                (24, 1024, 16, 4096, 32000),
                None,
                512,
                tie_word_embeddings=True,
                ff_activation="gelu",
                dropout=0.1,
            ),
            hidden_size=("d_model", "hidden_size"),
            num_hidden_layers=("n_layer", "num_hidden_layers"),
            num_attention_heads=("n_head", "num_attention_heads"),
            intermediate_size=("d_inner",),
            vocab_size=("vocab_size", "n_token"),
        ),
        build=_build,
    ),
)

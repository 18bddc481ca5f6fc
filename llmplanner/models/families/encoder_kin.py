"""Encoders that differ from BERT in one thing or two: positions, a second set of matrices, a gated block.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmplanner.core.model import Attention, Embedding, Layer, Linear, Model, Module, Parameter
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.bert import BERT, ELECTRA, ROBERTA, dialect
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.encoders import EncoderData, build

PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
LATER = replace(  # rotary positions, names as decoders have them, norms after the sums
    BERT,
    positions=None,
    rotary=True,
    layer="layers.{layer}.",
    attention=PROJECTIONS,
    feed_forward=("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    attention_norm="post_attention_layernorm",
    feed_forward_norm="post_mlp_layernorm",
    pair_head=None,
    pooler=None,
)
NOMIC = replace(
    LATER,
    body="nomic_bert.",
    transform_norm="cls.predictions.transform.layer_norm",
    attention_bias=False,
    feed_forward_bias=(False, False),
)
GTE = replace(
    LATER,
    body="gte.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    bias="lm_head.decoder",
    spare_bias=False,
    feed_forward_bias=(False, True),
)


def _fused(entries: Entries, layer: Layer) -> Layer:
    """GTE as its own files have it: one matrix makes queries, keys and values."""
    block, hidden = layer.attention, entries.size("hidden_size")
    if not isinstance(block, Attention):
        return layer
    whole = Linear("attention.qkv_proj", hidden, 3 * hidden, bias=True)
    return replace(layer, attention=replace(block, inputs=(whole,)))


NEW = replace(  # Alibaba-NLP/gte-multilingual-base, gte-base-en-v1.5
    GTE,
    body="new.",
    layer="encoder.layer.{layer}.",
    attention=("", "", "", "attention.o_proj"),
    feed_forward=("mlp.up_gate_proj", "mlp.down_proj"),
    fused_gate=True,
    attention_norm="attn_ln",
    feed_forward_norm="mlp_ln",
    finish=_fused,
)


def _build_new(entries: Entries, part: Part) -> Model:
    """Positions are rotary. Raises BadInput."""
    if entries.raw("position_embedding_type") not in (None, "rope"):
        raise entries.refuse("position_embedding_type", 'is not supported; only "rope" is')
    return build(NEW, entries.with_values({"position_embedding_type": None}), part)


JINA_V3 = replace(
    LATER,
    body="roberta.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    bias="lm_head",
    feed_forward=("mlp.fc1", "mlp.fc2"),
    pooler="pooler.dense",
)


def _places(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """LayoutLM: where a word stands on its page, and how large it is."""
    rows = entries.size("max_2d_position_embeddings", MOST_ROWS)
    hidden = entries.size("hidden_size")
    return tuple(Embedding(f"{body}embeddings.{name}_position_embeddings", rows, hidden) for name in "xyhw")


def _wide_softmax(_entries: Entries, layer: Layer) -> Layer:
    """Attention's softmax is taken in FP32."""
    if not isinstance(layer.attention, Attention):
        return layer
    return replace(layer, attention=replace(layer.attention, softmax_fp32=True))


LAYOUTLM = replace(
    BERT, body="layoutlm.", pair_head=None, always_pooled=True, tables=_places, finish=_wide_softmax
)


def _sines(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """RoFormer keeps its rotary positions as a table."""
    rows = entries.size("max_position_embeddings", MOST_ROWS)
    width = entries.quotient("hidden_size", "num_attention_heads")
    return (Embedding(f"{body}encoder.embed_positions", rows, width),)


ROFORMER = replace(
    BERT,
    body="roformer.",
    positions=None,
    rotary=True,
    width="embedding_size",
    projection="embeddings_project",
    pooler=None,
    pair_head=None,
    tables=_sines,
)
REMBERT = replace(
    BERT,
    body="rembert.",
    width="input_embedding_size",
    head_width="output_embedding_size",
    projection="encoder.embedding_hidden_mapping_in",
    projected=True,
    transform="cls.predictions.dense",
    transform_norm="cls.predictions.LayerNorm",
    spare_bias=False,
    pair_head=None,
)


def _output_biased(_entries: Entries, layer: Layer) -> Layer:
    """BigBird: use_bias is of what reads."""
    block = layer.attention
    if not isinstance(block, Attention):
        return layer
    return replace(layer, attention=replace(block, output=replace(block.output, bias=True)))


BIG_BIRD = replace(
    BERT, pooler="pooler", always_pooled=True, attention_bias="use_bias", finish=_output_biased
)


def _seen_by_all(entries: Entries, layer: Layer) -> Layer:
    """Longformer: the tokens that see all others have matrices of their own."""
    hidden = entries.size("hidden_size")
    names = (f"attention.self.{name}_global" for name in ("query", "key", "value"))
    return replace(layer, extras=tuple(Linear(name, hidden, hidden, bias=True) for name in names))


LONGFORMER = replace(ROBERTA, body="longformer.", finish=_seen_by_all)


def _landmarks(entries: Entries, layer: Layer) -> Layer:
    """Nystromformer: a convolution over the values, a kernel for each head."""
    size = entries.optional_size("conv_kernel_size")
    if size is None:
        return layer
    kernel = Parameter("attention.self.conv.weight", (entries.size("num_attention_heads"), 1, size, 1))
    return replace(layer, extras=(kernel,))


def _spare_positions(entries: Entries, body: str) -> tuple[Embedding, ...]:
    rows = entries.size("max_position_embeddings", MOST_ROWS) + 2
    return (Embedding(f"{body}embeddings.position_embeddings", rows, entries.size("hidden_size")),)


PADDED = replace(BERT, positions=None, tables=_spare_positions, pooler=None, pair_head=None)
CONVBERT_KERNELS = "attention.self.key_conv_attn_layer"


def _shapes_and_sounds(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """RoCBert: how a character looks and how it is spoken."""
    return tuple(
        Embedding(
            f"{body}embeddings.{name}_embed",
            entries.size(f"{name}_vocab_size", MOST_ROWS),
            entries.size(f"{name}_embed_dim"),
        )
        for name in ("pronunciation", "shape")
    )


def _together(entries: Entries, body: str) -> tuple[Module, ...]:
    """RoCBert: the tables of a character that are enabled become one vector."""
    if not entries.flag("concat_input"):
        return ()
    hidden = entries.size("hidden_size")
    enabled = [name for name in ("pronunciation", "shape") if entries.flag(f"enable_{name}")]
    width = hidden + sum(entries.size(f"{name}_embed_dim") for name in enabled)
    return (Linear(f"{body}embeddings.map_inputs_layer", width, hidden, bias=True),)


ROC_BERT = replace(BERT, body="roc_bert.", pair_head=None, tables=_shapes_and_sounds, extras=_together)


def _convolved(entries: Entries, layer: Layer) -> Layer:
    """ConvBERT: half of the heads attend, the others are a convolution made of what they read."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    kept = max(1, heads // entries.size("head_ratio"))
    width, size = hidden // kept // 2, entries.size("conv_kernel_size")
    inner = kept * width
    block = layer.attention
    if not isinstance(block, Attention):
        return layer
    extras = (
        Parameter(f"{CONVBERT_KERNELS}.bias", (inner, 1)),
        Parameter(f"{CONVBERT_KERNELS}.depthwise.weight", (hidden, 1, size)),
        Parameter(f"{CONVBERT_KERNELS}.pointwise.weight", (inner, hidden, 1)),
        Linear("attention.self.conv_kernel_layer", inner, kept * size, bias=True),
        Linear("attention.self.conv_out_layer", hidden, inner, bias=True),
    )
    inputs = tuple(replace(one, outputs=inner) for one in block.inputs)
    return replace(
        layer,
        attention=replace(block, inputs=inputs, heads=kept, kv_heads=kept, key_dim=width, value_dim=width),
        extras=extras,
    )


CONVBERT = replace(ELECTRA, body="convbert.", discriminator=None, finish=_convolved)


def _contacts(entries: Entries, body: str) -> tuple[Module, ...]:
    """ESM: a score for two residues that touch, from all heads of all layers."""
    heads = entries.size("num_attention_heads") * entries.size("num_hidden_layers")
    return (Linear(f"{body}contact_head.regression", heads, 1, bias=True),)


ESM = EncoderData(
    body="esm.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    transform_activation=ROBERTA.transform_activation,
    decoder="lm_head.decoder",
    bias="lm_head",
    decoder_bias=False,
    pair_head=None,
    types=None,
    embedding_norm=None,
    attention_norm="attention.LayerNorm",
    feed_forward_norm="LayerNorm",
    final_norm="encoder.emb_layer_norm_after",
    extras=_contacts,
)


def _build_esm(entries: Entries, part: Part) -> Model:
    """Its positions are learned or rotary, its embeddings normed or not. Raises BadInput."""
    data = (
        replace(ESM, embedding_norm="embeddings.layer_norm") if entries.flag("emb_layer_norm_before") else ESM
    )
    if entries.raw("position_embedding_type") == "rotary":
        data = replace(data, positions=None, rotary=True)
        entries = entries.with_values({"position_embedding_type": None})
    return build(data, entries, part)


NOMIC_NAMES = {  # the second is that of the files which came with the first models
    "hidden_size": ("hidden_size", "n_embd"),
    "num_attention_heads": ("num_attention_heads", "n_head"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer"),
    "intermediate_size": ("intermediate_size", "n_inner"),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
    "hidden_dropout_prob": ("hidden_dropout_prob", "resid_pdrop"),
    "attention_probs_dropout_prob": ("attention_probs_dropout_prob", "attn_pdrop"),
}


def _build_nomic(entries: Entries, part: Part) -> Model:
    """NomicBERT. Raises BadInput for its mixture of experts, which is another architecture."""
    if entries.optional_size("num_experts", least=0):
        raise entries.refuse("num_experts", "is above 0, which is not supported; open the model's weights")
    if entries.raw("activation_function") not in (None, "swiglu"):
        raise entries.refuse("activation_function", 'is not supported; only "swiglu" is')
    return build(NOMIC, entries, part)


NO_DROPOUT: Mapping[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DIALECTS = (
    replace(
        dialect(
            "nomic_bert",
            "NomicBert",
            NOMIC,
            (12, 768, 12, 3072, 30528),
            NOMIC_NAMES,
            max_position_embeddings=2048,
            **NO_DROPOUT,
            hidden_act="silu",
        ),
        build=_build_nomic,
    ),
    dialect("gte", "Gte", GTE, (12, 768, 12, 3072, 250048), max_position_embeddings=8192, type_vocab_size=1),
    replace(
        dialect(
            "new", "New", NEW, (12, 768, 12, 3072, 30528), max_position_embeddings=2048, type_vocab_size=1
        ),
        build=_build_new,
    ),
    dialect(
        "jina_embeddings_v3",
        "JinaEmbeddingsV3",
        JINA_V3,
        (24, 1024, 16, 4096, 250002),
        max_position_embeddings=8194,
        type_vocab_size=1,
    ),
    dialect("layoutlm", "LayoutLM", LAYOUTLM, max_2d_position_embeddings=1024),
    dialect(
        "roformer",
        "RoFormer",
        ROFORMER,
        (12, 768, 12, 3072, 50000),
        max_position_embeddings=1536,
        embedding_size=None,
    ),
    dialect(
        "rembert",
        "RemBert",
        REMBERT,
        (32, 1152, 18, 4608, 250300),
        input_embedding_size=256,
        output_embedding_size=1664,
        tie_word_embeddings=False,
        **NO_DROPOUT,
    ),
    dialect(
        "big_bird",
        "BigBird",
        BIG_BIRD,
        (12, 768, 12, 3072, 50358),
        max_position_embeddings=4096,
        hidden_act="gelu_new",
        use_bias=True,
    ),
    dialect("longformer", "Longformer", LONGFORMER),
    dialect(
        "nystromformer",
        "Nystromformer",
        replace(PADDED, body="nystromformer.", finish=_landmarks),
        (12, 768, 12, 3072, 30000),
        max_position_embeddings=510,
        hidden_act="gelu_new",
        conv_kernel_size=65,
    ),
    dialect("mra", "Mra", replace(PADDED, body="mra."), (12, 768, 12, 3072, 50265), type_vocab_size=1),
    dialect(
        "yoso",
        "Yoso",
        replace(PADDED, body="yoso."),
        (12, 768, 12, 3072, 50265),
        max_position_embeddings=4096,
        type_vocab_size=1,
    ),
    dialect("ibert", "IBert", replace(ROBERTA, body="ibert.")),
    dialect(
        "roc_bert",
        "RoCBert",
        ROC_BERT,
        enable_pronunciation=True,
        enable_shape=True,
        concat_input=True,
        pronunciation_embed_dim=768,
        pronunciation_vocab_size=910,
        shape_embed_dim=512,
        shape_vocab_size=24858,
    ),
    dialect(
        "convbert",
        "ConvBert",
        CONVBERT,
        embedding_size=768,
        head_ratio=2,
        conv_kernel_size=9,
        num_groups=1,
    ),
    replace(
        dialect(
            "esm",
            "Esm",
            ESM,
            max_position_embeddings=1026,
            position_embedding_type="absolute",
            emb_layer_norm_before=None,
            vocab_size=None,
        ),
        build=_build_esm,
    ),
)

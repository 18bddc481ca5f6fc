"""Rotary decoders with LayerNorm: Cohere, OLMo, Phi, StableLM, StarCoder 2, Nemotron, Persimmon, Jais 2.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Norm, NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.windows import alternating_window, ruled_window, uniform_window

MOST_NORMS = 4096  # heads with a norm each
OLMO = replace(LLAMA, norm=NormKind.LAYER_WIDE, norm_affine=False, feed_forward_bias=False)
COHERE = replace(
    LLAMA,
    norm=NormKind.LAYER_WRITTEN,
    feed_forward_bias=False,
    parallel=True,
    feed_forward_norm=None,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    query_key_normed="use_qk_norm",
    query_key_whole=True,
)
COHERE2 = replace(COHERE, query_key_norm=None, windows=alternating_window)
COMPASS = replace(COHERE2, windows=ruled_window(lambda _entries, _index: True))
PHI = replace(
    LLAMA,
    attention_output="self_attn.dense",
    feed_forward_inputs=("mlp.fc1",),
    feed_forward_output="mlp.fc2",
    feed_forward_norm=None,
    final_norm="final_layernorm",
    norm=NormKind.LAYER,
    gated=False,
    input_bias=True,
    output_bias=True,
    feed_forward_bias=True,
    head_bias=True,
    parallel=True,
    rotary="partial_rotary_factor",
    query_key_norm=("self_attn.q_layernorm", "self_attn.k_layernorm"),
    query_key_normed="qk_layernorm",
    dropouts=("resid_pdrop", "attention_dropout", "embd_pdrop"),
)
PERSIMMON = replace(
    PHI,
    attention_inputs=("self_attn.query_key_value",),
    feed_forward_inputs=("mlp.dense_h_to_4h",),
    feed_forward_output="mlp.dense_4h_to_h",
    feed_forward_norm="post_attention_layernorm",
    head_bias=False,
    parallel=False,
    head_dim=False,
    grouped=False,
    dropouts=("hidden_dropout", "attention_dropout", None),
)
STARCODER2 = replace(
    LLAMA,
    norm=NormKind.LAYER,
    feed_forward_inputs=("mlp.c_fc",),
    feed_forward_output="mlp.c_proj",
    gated=False,
    input_bias="use_bias",
    output_bias="use_bias",
    feed_forward_bias="use_bias",
    windows=uniform_window,
    dropouts=("residual_dropout", "attention_dropout", "embedding_dropout"),
)
JAIS2 = replace(LLAMA, norm=NormKind.LAYER, feed_forward_inputs=("mlp.up_proj",), gated=False)
NEMOTRON = replace(JAIS2, rotary="partial_rotary_factor")


def _as_stablelm(entries: Entries, layer: Layer) -> Layer:
    """A parallel layer has one norm; queries and keys may have a norm for every head."""
    if entries.flag("use_parallel_residual"):
        layer = replace(layer, feed_forward_norm=None)
    attention = layer.attention
    if not entries.flag("qk_layernorm") or not isinstance(attention, Attention):
        return layer
    entries.size("num_attention_heads", most=MOST_NORMS)
    norms = tuple(
        Norm(f"self_attn.{name}_layernorm.norms.{head}", NormKind.LAYER, attention.key_dim)
        for name, heads in (("q", attention.heads), ("k", attention.kv_heads))
        for head in range(heads)
    )
    return replace(layer, attention=replace(attention, head_norms=norms))


STABLELM = replace(
    LLAMA,
    norm=NormKind.LAYER,
    input_bias="use_qkv_bias",
    output_bias=False,
    feed_forward_bias=False,
    parallel="use_parallel_residual",
    rotary="partial_rotary_factor",
    head_dim=False,
    finish=_as_stablelm,
    dropouts=("hidden_dropout", "attention_dropout", None),
)

DIALECTS = (
    decoder("olmo", "Olmo", OLMO, class_defaults((32, 4096, 32, 11008, 50304), None, 2048)),
    decoder(
        "cohere",
        "Cohere",
        COHERE,
        class_defaults((40, 8192, 64, 22528, 256000), None, 8192, tie_word_embeddings=True),
    ),
    decoder(
        "cohere2",
        "Cohere2",
        COHERE2,
        class_defaults(
            (40, 8192, 64, 22528, 256000),
            None,
            8192,
            tie_word_embeddings=True,
            sliding_window=4096,
            sliding_window_pattern=4,
        ),
    ),
    decoder(
        "cohere_compass_text",
        ("CohereCompassForCausalLM", "CohereCompassTextModel"),
        COMPASS,
        class_defaults(
            (40, 8192, 64, 22528, 256000), None, 8192, tie_word_embeddings=True, sliding_window=4096
        ),
    ),
    decoder(
        "phi",
        "Phi",
        PHI,
        class_defaults(
            (24, 2048, 32, 8192, 51200), None, 2048, hidden_act="gelu_new", partial_rotary_factor=0.5
        ),
    ),
    decoder(
        "persimmon",
        "Persimmon",
        PERSIMMON,
        class_defaults(
            (36, 4096, 64, 16384, 262144),
            None,
            16384,
            hidden_act="relu2",
            partial_rotary_factor=0.5,
            qk_layernorm=True,
        ),
    ),
    decoder(
        "stablelm",
        "StableLm",
        STABLELM,
        class_defaults((32, 2560, 32, 6912, 50304), 32, 4096, partial_rotary_factor=0.25),
        also=("StableLMEpochForCausalLM",),
    ),
    decoder(
        "starcoder2",
        "Starcoder2",
        STARCODER2,
        class_defaults(
            (30, 3072, 24, 12288, 49152),
            2,
            4096,
            hidden_act="gelu_pytorch_tanh",
            use_bias=True,
            tie_word_embeddings=True,
        ),
    ),
    decoder(
        "nemotron",
        "Nemotron",
        NEMOTRON,
        class_defaults(
            (32, 6144, 48, 24576, 256000), None, 4096, hidden_act="relu2", partial_rotary_factor=0.5
        ),
    ),
    decoder(
        "jais2",
        "Jais2",
        JAIS2,
        class_defaults(
            (32, 3328, 26, 26624, 150272),
            None,
            8192,
            hidden_act="relu2",
            attention_bias=True,
            mlp_bias=True,
        ),
    ),
)

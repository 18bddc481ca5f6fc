"""Decoders of GPT's form that differ in a norm, in positions or in how many keys there are.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Parameter
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.gpt import GPT2, GPT_NEOX, OPT


def _causal_mask(entries: Entries) -> int:
    """An element for each pair of positions, once."""
    return entries.size("max_position_embeddings", MOST_ROWS) ** 2


def _causal_masks(entries: Entries) -> int:
    """The same in every layer."""
    return entries.size("num_hidden_layers", MOST_LAYERS) * _causal_mask(entries)


def _sines(entries: Entries) -> int:
    """A table in FP32 in every layer."""
    width = entries.optional_size("rotary_dim") or entries.size("hidden_size")
    rows = entries.size("max_position_embeddings", MOST_ROWS)
    return 4 * entries.size("num_hidden_layers", MOST_LAYERS) * rows * width


def _whole_sines(entries: Entries) -> int:
    """A table as wide as the model, once; its first two rows are not positions."""
    return (entries.size("max_position_embeddings", MOST_ROWS) + 2) * entries.size("hidden_size")


GPT_NEO = replace(
    GPT2,
    buffers=_causal_masks,
    body="transformer.",
    attention_inputs=("attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"),
    attention_output="attn.attention.out_proj",
    input_bias=False,
    transposed=False,
    softmax_fp32=True,
    dropouts=("resid_dropout", "attention_dropout", "embed_dropout"),
    refused=(),
)
GPTJ = replace(
    GPT_NEO,
    buffers=_sines,
    positions=None,
    attention_inputs=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    attention_output="attn.out_proj",
    feed_forward_inputs=("mlp.fc_in",),
    feed_forward_output="mlp.fc_out",
    feed_forward_norm=None,
    parallel=True,
    output_bias=False,
    head_bias=True,
    rotary_size="rotary_dim",
    dropouts=("resid_pdrop", "attn_pdrop", "embd_pdrop"),
)
CODEGEN = replace(GPTJ, attention_inputs=("attn.qkv_proj",))


def _openai_activation(entries: Entries) -> Mapping[str, object]:
    """What GPT-1 calls gelu is the form written out."""
    return {"activation_function": "gelu_new"} if entries.raw("activation_function") == "gelu" else {}


OPENAI_GPT = replace(
    GPT2,
    cast_buffers=_causal_masks,
    body="transformer.",
    embedding="tokens_embed",
    positions="positions_embed",
    final_norm=None,
    pre_norm=False,
    derived=_openai_activation,
    refused=(),
)
CTRL = replace(
    GPTJ,
    buffers=None,
    embedding="w",
    attention_inputs=tuple(f"multi_head_attention.{name}" for name in ("Wq", "Wk", "Wv")),
    attention_output="multi_head_attention.dense",
    feed_forward_inputs=("ffn.0",),
    feed_forward_output="ffn.2",
    attention_norm="layernorm1",
    feed_forward_norm="layernorm2",
    final_norm="layernorm",
    parallel=False,
    input_bias=True,
    output_bias=True,
    rotary_size=None,
    softmax_fp32=False,
)


def _cut(_entries: Entries, layer: Layer) -> Layer:
    """Scores are held against the least number there is."""
    if not isinstance(layer.attention, Attention):
        return layer
    return replace(layer, attention=replace(layer.attention, cut=True))


XGLM = replace(
    OPT,
    finish=_cut,
    cast_buffers=_whole_sines,
    embedding="embed_tokens",
    positions=None,
    layer="layers.{layer}.",
    final_norm="layer_norm",
    input_bias=True,
    output_bias=True,
    feed_forward_bias=True,
    norm_affine=True,
    pre_norm=True,
    projection=None,
    unnormed=None,
    softmax_fp32=False,
)
BIOGPT = replace(
    XGLM,
    finish=None,
    cast_buffers=None,
    body="biogpt.",
    positions="embed_positions",
    position_offset=2,  # as OPT's
    head="output_projection",
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout_prob"),
)
MPT = replace(
    GPT2,
    body="transformer.",
    positions=None,
    layer="blocks.{layer}.",
    attention_inputs=("attn.Wqkv",),
    attention_output="attn.out_proj",
    feed_forward_inputs=("ffn.up_proj",),
    feed_forward_output="ffn.down_proj",
    feed_forward_width=None,
    attention_norm="norm_1",
    feed_forward_norm="norm_2",
    final_norm="norm_f",
    norm_bias=False,
    input_bias=False,
    output_bias=False,
    feed_forward_bias=False,
    transposed=False,
    alibi=True,
    softmax_fp32=True,
    activation="ffn_act",  # of the class: no file names it
    dropouts=("resid_pdrop", None, "emb_pdrop"),
    refused=(),
)


def _bigcode_heads(entries: Entries) -> Mapping[str, object]:
    heads = entries.size("num_attention_heads")
    return {"num_key_value_heads": 1 if entries.flag("multi_query") else heads}


GPT_BIGCODE = replace(
    GPT2,
    body="transformer.",
    transposed=False,
    grouped=True,
    derived=_bigcode_heads,
    softmax_fp32=True,
    buffers=_causal_mask,
)


def _neox_japanese_width(entries: Entries) -> Mapping[str, object]:
    return {"intermediate_size": entries.size("intermediate_multiple_size") * entries.size("hidden_size")}


def _last(entries: Entries, index: int) -> Mapping[str, object]:
    return {"is_last": index == entries.size("num_hidden_layers") - 1}


def _with_last_bias(entries: Entries, layer: Layer) -> Layer:
    """GPT-NeoX Japanese: the last layer alone adds a bias to its attention's output."""
    attention = layer.attention
    if not entries.flag("is_last") or not isinstance(attention, Attention):
        return layer
    bias = Parameter("attention.dense_bias", (attention.output.outputs,))
    return replace(layer, attention=replace(attention, extras=(bias,)))


GPT_NEOX_JAPANESE = replace(
    GPT_NEOX,
    body="gpt_neox_japanese.",
    input_bias=False,
    output_bias=False,
    feed_forward_bias=False,
    rotary="partial_rotary_factor",
    parallel=False,
    softmax_fp32=False,
    derived=_neox_japanese_width,
    per_layer=_last,
    finish=_with_last_bias,
)


N_NAMES = {
    "hidden_size": ("n_embd", "hidden_size"),
    "num_hidden_layers": ("n_layer", "num_hidden_layers"),
    "num_attention_heads": ("n_head", "num_attention_heads"),
    "max_position_embeddings": ("n_positions", "max_position_embeddings"),
}
_DROPS = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
_TIED = {"tie_word_embeddings": True}


DIALECTS = (
    decoder(
        "gpt-sw3",
        ("GPT2LMHeadModel", "GPT2Model"),
        replace(GPT2, body="transformer."),
        {
            **class_defaults((12, 768, 12, None, 50257), None, 1024),
            **_TIED,
            **_DROPS,
            "activation_function": "gelu_new",
        },
        intermediate_size=("n_inner",),
        **N_NAMES,
    ),
    decoder(
        "gpt_neo",
        "GPTNeo",
        GPT_NEO,
        {
            **class_defaults((24, 2048, 16, None, 50257), None, 2048),
            **_TIED,
            "activation_function": "gelu_new",
        },
        num_hidden_layers=("num_layers", "num_hidden_layers"),
        num_attention_heads=("num_heads", "num_attention_heads"),
    ),
    decoder(
        "gptj",
        "GPTJ",
        GPTJ,
        {
            **class_defaults((28, 4096, 16, None, 50400), None, 2048),
            "activation_function": "gelu_new",
            "rotary_dim": 64,
        },
        intermediate_size=("n_inner",),
        **N_NAMES,
    ),
    decoder(
        "codegen",
        "CodeGen",
        CODEGEN,
        {
            **class_defaults((28, 4096, 16, None, 50400), None, 2048),
            "activation_function": "gelu_new",
            "rotary_dim": 64,
        },
        intermediate_size=("n_inner",),
        **N_NAMES,
    ),
    decoder(
        "gpt_bigcode",
        "GPTBigCode",
        GPT_BIGCODE,
        {
            **class_defaults((12, 768, 12, None, 50257), None, 1024),
            **_TIED,
            **_DROPS,
            "activation_function": "gelu_pytorch_tanh",
            "multi_query": True,
        },
        intermediate_size=("n_inner",),
        **N_NAMES,
    ),
    decoder(
        "openai-gpt",
        ("OpenAIGPTLMHeadModel", "OpenAIGPTModel"),
        OPENAI_GPT,
        {**class_defaults((12, 768, 12, None, 40478), None, 512), **_TIED, **_DROPS, "afn": "gelu"},
        activation_function=("afn",),
        intermediate_size=("n_inner",),
        **N_NAMES,
    ),
    decoder(
        "ctrl",
        ("CTRLLMHeadModel", "CTRLModel"),
        CTRL,
        {
            **class_defaults((48, 1280, 16, 8192, 246534), None, 256),
            **_TIED,
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
            "activation_function": "relu",
        },
        intermediate_size=("dff",),
        **N_NAMES,
    ),
    decoder(
        "xglm",
        "XGLM",
        XGLM,
        {
            **class_defaults((24, 1024, 16, 4096, 256008), None, 2048),
            **_TIED,
            "activation_function": "gelu",
            "dropout": 0.1,
            "attention_dropout": 0.1,
        },
        hidden_size=("d_model", "hidden_size"),
        num_hidden_layers=("num_layers", "num_hidden_layers"),
        num_attention_heads=("attention_heads", "num_attention_heads"),
        intermediate_size=("ffn_dim",),
    ),
    decoder(
        "biogpt",
        "BioGpt",
        BIOGPT,
        {
            **class_defaults((24, 1024, 16, 4096, 42384), None, 1024),
            **_TIED,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        },
        activation_function=("hidden_act",),
    ),
    decoder(
        "mpt",
        "Mpt",
        MPT,
        {**class_defaults((24, 2048, 16, None, 50368), None, 2048), **_TIED, "ffn_act": "gelu"},
        also=("MPTForCausalLM",),
        hidden_size=("d_model", "hidden_size"),
        num_hidden_layers=("n_layers", "num_hidden_layers"),
        num_attention_heads=("n_heads", "num_attention_heads"),
        max_position_embeddings=("max_seq_len",),
    ),
    decoder(
        "gpt_neox_japanese",
        "GPTNeoXJapanese",
        GPT_NEOX_JAPANESE,
        {
            **class_defaults((32, 2560, 32, None, 32000), None, 2048),
            **_TIED,
            "intermediate_multiple_size": 4,
            "hidden_act": "gelu",
            "partial_rotary_factor": 1.0,
            "attention_dropout": 0.1,
        },
    ),
)

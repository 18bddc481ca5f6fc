"""Decoders of GPT's form: LayerNorm, biases, a plain feed-forward.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace
from functools import partial

from llmplanner.core.model import NormKind
from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.dialect import Dialect, Part

SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
SIZES_WITH_WIDTH = (*SIZES, "intermediate_size")

GPT2 = DecoderData(
    body="",  # the published file holds the body's names
    embedding="wte",
    positions="wpe",
    layer="h.{layer}.",
    attention_inputs=("attn.c_attn",),
    attention_output="attn.c_proj",
    feed_forward_inputs=("mlp.c_fc",),
    feed_forward_output="mlp.c_proj",
    attention_norm="ln_1",
    feed_forward_norm="ln_2",
    final_norm="ln_f",
    norm=NormKind.LAYER,
    activation="activation_function",
    gated=False,
    input_bias=True,
    output_bias=True,
    feed_forward_bias=True,
    transposed=True,
    softmax_fp32=False,
    dropouts=("resid_pdrop", "attn_pdrop", "embd_pdrop"),
    refused=(("add_cross_attention", "with cross-attention"),),
)
GPT_NEOX = replace(
    GPT2,
    body="gpt_neox.",
    embedding="embed_in",
    positions=None,
    layer="layers.{layer}.",
    attention_inputs=("attention.query_key_value",),
    attention_output="attention.dense",
    feed_forward_inputs=("mlp.dense_h_to_4h",),
    feed_forward_output="mlp.dense_4h_to_h",
    attention_norm="input_layernorm",
    feed_forward_norm="post_attention_layernorm",
    final_norm="final_layer_norm",
    activation="hidden_act",
    input_bias="attention_bias",
    output_bias="attention_bias",
    transposed=False,
    softmax_fp32=True,
    rotary="rotary_pct",
    parallel="use_parallel_residual",
    head="embed_out",
    dropouts=("hidden_dropout", "attention_dropout", "hidden_dropout"),
    refused=(),
)
BLOOM = replace(
    GPT_NEOX,
    body="",
    embedding="word_embeddings",
    embedding_norm="word_embeddings_layernorm",
    layer="h.{layer}.",
    attention_inputs=("self_attention.query_key_value",),
    attention_output="self_attention.dense",
    final_norm="ln_f",
    feed_forward_width=None,
    input_bias=True,
    output_bias=True,
    rotary=None,
    alibi=True,
    activation="gelu_impl",  # of the class: no file names it
    parallel=False,
    head="lm_head",
    dropouts=("hidden_dropout", "attention_dropout", None),
)
OPT = replace(
    GPT2,
    body="model.",
    embedding="decoder.embed_tokens",
    positions="decoder.embed_positions",
    position_offset=2,  # the table's first two rows are not positions
    layer="decoder.layers.{layer}.",
    attention_inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_output="self_attn.out_proj",
    feed_forward_inputs=("fc1",),
    feed_forward_output="fc2",
    attention_norm="self_attn_layer_norm",
    feed_forward_norm="final_layer_norm",
    final_norm="decoder.final_layer_norm",
    input_bias="enable_bias",
    output_bias="enable_bias",
    feed_forward_bias="enable_bias",
    norm_affine="layer_norm_elementwise_affine",
    transposed=False,
    softmax_fp32=True,
    pre_norm="do_layer_norm_before",
    projection="word_embed_proj_dim",
    unnormed="_remove_final_layer_norm",
    dropouts=("dropout", "attention_dropout", None),
    refused=(),
)


DIALECTS = (
    Dialect(
        model_type="gpt2",
        defaults={
            "vocab_size": 50257,
            "n_positions": 1024,
            "n_embd": 768,
            "n_layer": 12,
            "n_head": 12,
            "n_inner": None,
            "activation_function": "gelu_new",
            "tie_word_embeddings": True,
            "resid_pdrop": 0.1,
            "embd_pdrop": 0.1,
            "attn_pdrop": 0.1,
        },
        sizes=SIZES,
        classes={"GPT2LMHeadModel": Part.LANGUAGE_MODEL, "GPT2Model": Part.BODY},
        build=partial(build, GPT2),
        names={
            "hidden_size": ("n_embd", "hidden_size"),
            "num_hidden_layers": ("n_layer", "num_hidden_layers"),
            "num_attention_heads": ("n_head", "num_attention_heads"),
            "intermediate_size": ("n_inner",),
            "max_position_embeddings": ("n_positions", "max_position_embeddings"),
        },
    ),
    Dialect(
        model_type="gpt_neox",
        defaults={
            "vocab_size": 50432,
            "hidden_size": 6144,
            "num_hidden_layers": 44,
            "num_attention_heads": 64,
            "intermediate_size": 24576,
            "max_position_embeddings": 2048,
            "hidden_act": "gelu",
            "rotary_pct": 0.25,
            "tie_word_embeddings": False,
            "use_parallel_residual": True,
            "attention_bias": True,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
        },
        sizes=SIZES_WITH_WIDTH,
        classes={"GPTNeoXForCausalLM": Part.LANGUAGE_MODEL, "GPTNeoXModel": Part.BODY},
        build=partial(build, GPT_NEOX),
    ),
    Dialect(
        model_type="opt",
        defaults={
            "vocab_size": 50272,
            "hidden_size": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "ffn_dim": 3072,
            "max_position_embeddings": 2048,
            "activation_function": "relu",
            "do_layer_norm_before": True,
            "_remove_final_layer_norm": False,
            "word_embed_proj_dim": None,
            "enable_bias": True,
            "layer_norm_elementwise_affine": True,
            "tie_word_embeddings": True,
            "dropout": 0.1,
            "attention_dropout": 0.0,
        },
        sizes=SIZES_WITH_WIDTH,
        classes={"OPTForCausalLM": Part.LANGUAGE_MODEL, "OPTModel": Part.BODY},
        build=partial(build, OPT),
        names={"intermediate_size": ("ffn_dim",)},
    ),
    Dialect(
        model_type="bloom",
        defaults={
            "vocab_size": 250880,
            "hidden_size": 64,
            "n_layer": 2,
            "n_head": 8,
            "gelu_impl": "bloom_gelu",
            "tie_word_embeddings": True,
            "hidden_dropout": 0.0,
            "attention_dropout": 0.0,
        },
        sizes=SIZES,
        classes={"BloomForCausalLM": Part.LANGUAGE_MODEL, "BloomModel": Part.BODY},
        build=partial(build, BLOOM),
        names={
            "hidden_size": ("hidden_size", "n_embed"),
            "num_hidden_layers": ("n_layer", "num_hidden_layers"),
            "num_attention_heads": ("n_head", "num_attention_heads"),
            "max_position_embeddings": ("seq_length",),
        },
    ),
)

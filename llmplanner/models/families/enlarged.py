"""Decoders whose embedding has more rows than their vocabulary: CPM-Ant with prompts, Moshi with a blank.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Embedding, Model, NormKind, Parameter
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.llama import LLAMA

CPMANT = replace(
    LLAMA,
    norm=NormKind.RMS_T5,
    body="cpmant.",
    embedding="input_embedding",
    layer="encoder.layers.{layer}.",
    attention_inputs=tuple(f"self_att.self_attention.project_{name}" for name in "qkv"),
    attention_output="self_att.self_attention.attention_out",
    feed_forward_inputs=("ffn.ffn.w_in.w_0", "ffn.ffn.w_in.w_1"),
    feed_forward_output="ffn.ffn.w_out",
    attention_norm="self_att.layernorm_before_attention",
    feed_forward_norm="ffn.layernorm_before_ffn",
    final_norm="encoder.output_layernorm",
    rotary=None,
    grouped=False,
    softmax_fp32=False,
    dropouts=("dropout_p", None, None),
)


def _build_cpmant(entries: Entries, part: Part) -> Model:
    """Prompts and segments have rows of their own, relative positions a table for all layers."""
    model, body = build(CPMANT, entries, part), "cpmant." if part is Part.LANGUAGE_MODEL else ""
    kinds, hidden = entries.size("segment_types"), model.hidden_size
    rows = model.vocab_size + entries.size("prompt_types") * entries.size("prompt_length", MOST_ROWS)
    buckets = entries.size("position_bias_num_buckets") + kinds * kinds
    bias = Parameter(
        f"{body}position_bias.relative_attention_bias", (buckets, entries.size("num_attention_heads"))
    )
    return replace(
        model,
        token_embedding=replace(model.token_embedding, rows=rows),
        embeddings=(Embedding(f"{body}segment_embedding", kinds, hidden),),
        head=replace(
            model.head, tied=False, loss_fp32=False
        ),  # other rows than the embedding: the class cannot tie them
        extras=(bias,),
    )


def _moshi_width(entries: Entries) -> Mapping[str, object]:
    """ffn_dim counts gate and up together."""
    return {"intermediate_size": entries.size("intermediate_size") // 2}


MOSHI = replace(
    LLAMA,
    norm=NormKind.RMS_WIDE,
    attention_inputs=tuple(f"self_attn.{name}_proj.linear" for name in "qkv"),
    attention_output="self_attn.o_proj.linear",
    feed_forward_inputs=("mlp.fc1",),
    feed_forward_output="mlp.fc2",
    feed_forward_bias=False,
    derived=_moshi_width,
)


def _build_moshi(entries: Entries, part: Part) -> Model:
    """The text decoder; a row more than the vocabulary stands for no text."""
    model = build(MOSHI, entries, part)
    note = "The text decoder alone is counted: Moshi's audio codec and its depth decoder are not."
    return replace(
        model,
        token_embedding=replace(model.token_embedding, rows=model.vocab_size + 1),
        head=replace(model.head, tied=False),
        note=note,
    )


DIALECTS = (
    replace(
        decoder(
            "cpmant",
            "CpmAnt",
            CPMANT,
            class_defaults(
                (48, 4096, 32, 10240, 30720),
                None,
                2048,
                hidden_act="gelu",
                head_dim=128,
                segment_types=32,
                prompt_types=32,
                prompt_length=32,
                position_bias_num_buckets=512,
            ),
            head_dim=("dim_head",),
            intermediate_size=("dim_ff",),
        ),
        build=_build_cpmant,
    ),
    replace(
        decoder(
            "moshi",
            "Moshi",
            MOSHI,
            class_defaults((32, 4096, 32, 22528, 32000), None, 3000),
            intermediate_size=("ffn_dim",),
        ),
        build=_build_moshi,
    ),
)

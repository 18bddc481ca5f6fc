"""T5Gemma: two towers of Gemma 2's layers, of one size or of two (arXiv:2504.06225).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Head, Kind, Layer, Linear, Model, Norm, NormKind, Stack
from llmplanner.models.entries import Entries, shown
from llmplanner.models.families.decoder import build as build_tower
from llmplanner.models.families.defaults import class_defaults
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.llama import GEMMA2

TOWER = replace(
    GEMMA2,
    attention_norm="pre_self_attn_layernorm",
    output_norms=("post_self_attn_layernorm", "post_feedforward_layernorm"),
)
DEFAULTS = class_defaults(
    (26, 2304, 8, 9216, 256000), 4, 8192, head_dim=256, sliding_window=4096, sliding_window_pattern=2
)


def build(entries: Entries, part: Part) -> Model:
    """An encoder-decoder. Raises BadInput."""
    body = "model." if part is Part.LANGUAGE_MODEL else ""
    source = _tower(entries, "encoder")
    target = _tower(entries, "decoder")
    table = replace(target.token_embedding, name=f"{body}decoder.{target.token_embedding.name}")
    head = Linear("lm_head.out_proj", table.width, table.rows) if part is Part.LANGUAGE_MODEL else None
    stated = entries.raw("tie_word_embeddings")
    return replace(
        target,
        kind=Kind.ENCODER_DECODER,
        token_embedding=table,
        embeddings=(replace(source.token_embedding, name=f"{body}encoder.{source.token_embedding.name}"),),
        stacks=(
            _stack(source.stacks[0], f"{body}encoder.", Kind.ENCODER),
            _crossed(_stack(target.stacks[0], f"{body}decoder.", Kind.DECODER), source.hidden_size),
        ),
        head=Head(head, tied=head is not None and stated is not False, loss_fp32=False, softcap=True),
    )


def _tower(entries: Entries, name: str) -> Model:
    table = entries.raw(name)
    if table is None:
        table = {}
    if not isinstance(table, dict):
        raise entries.refuse(name, f"is {shown(table)}; it must be the table of a tower's sizes")
    common: Mapping[str, object] = {
        key: entries.values[key] for key in ("dtype", "torch_dtype") if key in entries.values
    }
    return build_tower(
        TOWER, Entries(entries.where, {**common, **table}, DEFAULTS, {}, entries.assumed), Part.BODY
    )


def _stack(stack: Stack, prefix: str, role: Kind) -> Stack:
    final = stack.final_norm
    return replace(
        stack,
        role=role,
        prefix=prefix + stack.prefix,
        final_norm=None if final is None else replace(final, name=prefix + final.name),
    )


def _crossed(stack: Stack, source: int) -> Stack:
    """The decoder's layers attend to the encoder's output too, with norms before and after."""
    groups = tuple(replace(group, layer=_layer(group.layer, source)) for group in stack.groups)
    return replace(stack, groups=groups)


def _layer(layer: Layer, source: int) -> Layer:
    block = layer.attention
    if not isinstance(block, Attention):
        return layer
    query, key, value = (replace(one, name=one.name.replace("self", "cross")) for one in block.inputs)
    output = replace(block.output, name=block.output.name.replace("self", "cross"))
    hidden = output.outputs
    cross = replace(
        block,
        inputs=(query, replace(key, inputs=source), replace(value, inputs=source)),
        output=output,
        window=None,
        rotary_dim=0,
    )
    before, after = (
        Norm(f"{place}_cross_attn_layernorm", NormKind.RMS_PLUS_ONE, hidden) for place in ("pre", "post")
    )
    return replace(layer, cross_attention=cross, cross_norm=before, extras=(after,))


DIALECTS = (
    Dialect(
        "t5gemma",
        {"tie_word_embeddings": True, "vocab_size": 256000},
        ("vocab_size",),
        {"T5GemmaForConditionalGeneration": Part.LANGUAGE_MODEL, "T5GemmaModel": Part.BODY},
        build,
    ),
)

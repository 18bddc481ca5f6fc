"""DeBERTa and DeBERTa V2 and V3: attention to what stands where, apart from what it is (arXiv:2006.03654).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmplanner.core.model import Attention, Embedding, Layer, Linear, Model, Module, Parameter
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.bert import BERT, dialect
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.encoders import EncoderData, build, norm

BLOCK = "attention.self"


def _kinds(entries: Entries) -> tuple[str, ...]:
    """Which of content and position attend to which: a list, or "p2c|c2p"."""
    value = entries.raw("pos_att_type")
    if isinstance(value, str):
        return tuple(one.strip() for one in value.lower().split("|"))
    return entries.texts("pos_att_type")


def _relative(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """The table of relative positions, or of buckets of them."""
    if not entries.flag("relative_attention"):
        return ()
    longest = entries.size("max_relative_positions", MOST_ROWS, least=-1)
    rows = longest if longest > 0 else entries.size("max_position_embeddings", MOST_ROWS)
    buckets = entries.size("position_buckets", MOST_ROWS, least=-1)
    if buckets > 0:
        rows = buckets
    return (Embedding(f"{body}encoder.rel_embeddings", 2 * rows, entries.size("hidden_size")),)


def _apart(entries: Entries, layer: Layer) -> Layer:
    """V2 and V3: positions have matrices of their own, or share those of the content."""
    if not entries.flag("relative_attention") or entries.flag("share_att_key"):
        return layer
    hidden, kinds = entries.size("hidden_size"), _kinds(entries)
    names = {"c2p": "pos_key_proj", "p2c": "pos_query_proj"}
    found = (
        Linear(f"{BLOCK}.{name}", hidden, hidden, bias=True) for kind, name in names.items() if kind in kinds
    )
    return replace(layer, extras=tuple(found))


def _around(entries: Entries, body: str) -> tuple[Module, ...]:
    """V2 and V3: a norm of the relative positions, and a convolution beside the first layer."""
    hidden, modules = entries.size("hidden_size"), []
    if "layer_norm" in entries.text("norm_rel_ebd").lower():
        modules.append(norm(f"{body}encoder.LayerNorm", hidden))
    size = entries.size("conv_kernel_size", least=0)
    if not size:
        return tuple(modules)
    groups = entries.size("conv_groups")
    name = f"{body}encoder.conv"
    kernel = Parameter(f"{name}.conv.weight", (hidden, hidden // groups, size))
    return (*modules, kernel, Parameter(f"{name}.conv.bias", (hidden,)), norm(f"{name}.LayerNorm", hidden))


V2 = replace(
    BERT,
    body="deberta.",
    pair_head=None,
    pooler=None,
    positioned="position_biased_input",
    width="embedding_size",
    projection="embeddings.embed_proj",
    projection_bias=False,
    norm_after=True,
    attention=(f"{BLOCK}.query_proj", f"{BLOCK}.key_proj", f"{BLOCK}.value_proj", "attention.output.dense"),
    tables=_relative,
    extras=_around,
    finish=_apart,
)


def _fused(entries: Entries, layer: Layer) -> Layer:
    """The first DeBERTa: one matrix without a bias, two biases, and matrices of the positions."""
    block, hidden = layer.attention, entries.size("hidden_size")
    if not isinstance(block, Attention):
        return layer
    modules: list[Module] = [Parameter(f"{BLOCK}.{name}_bias", (hidden,)) for name in "qv"]
    if entries.flag("talking_head"):
        names = ("head_logits_proj", "head_weights_proj")
        modules += [Parameter(f"{BLOCK}.{name}.weight", (block.heads, block.heads)) for name in names]
    if entries.flag("relative_attention"):
        kinds = _kinds(entries)
        tables = (("c2p", "pos_proj", False), ("p2c", "pos_q_proj", True))
        modules += [
            Linear(f"{BLOCK}.{name}", hidden, hidden, bias) for kind, name, bias in tables if kind in kinds
        ]
    whole = Linear(f"{BLOCK}.in_proj", hidden, 3 * hidden)
    return replace(layer, attention=replace(block, inputs=(whole,)), extras=tuple(modules))


V1 = replace(V2, extras=lambda _entries, _body: (), finish=_fused)


def _later(entries: Entries, part: Part) -> Model:
    """V2 and V3. Raises BadInput."""
    return build(_headed(V2, entries), entries, part)


def _first(entries: Entries, part: Part) -> Model:
    """The first DeBERTa. Raises BadInput."""
    return build(_headed(V1, entries), entries, part)


def _headed(data: EncoderData, entries: Entries) -> EncoderData:
    """With the names of the masked-LM head that a file asks for with `legacy` false."""
    if entries.flag("legacy"):
        return data
    head = "lm_predictions.lm_head"
    return replace(data, transform=f"{head}.dense", transform_norm=f"{head}.LayerNorm", bias=head)


RELATIVE: Mapping[str, Any] = {
    "relative_attention": False,
    "max_relative_positions": -1,
    "position_biased_input": True,
    "position_buckets": -1,
    "norm_rel_ebd": "none",
    "conv_kernel_size": 0,
    "conv_groups": 1,
    "legacy": True,
    "embedding_size": None,
    "type_vocab_size": 0,
}
DIALECTS = (
    replace(dialect("deberta-v2", "DebertaV2", V2, (24, 1536, 24, 6144, 128100), **RELATIVE), build=_later),
    replace(dialect("deberta", "Deberta", V1, (12, 768, 12, 3072, 50265), **RELATIVE), build=_first),
)

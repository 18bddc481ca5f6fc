"""ZAYA: attention over convolved queries and keys, half of whose values lag a token behind, and experts.

Source: Figliolia et al. 2025 (arXiv:2510.04476). Defaults: Transformers 5.23.0 class defaults. Tensor names:
the published checkpoints.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from llmplanner.core.model import (
    Attention,
    Experts,
    Layer,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.assemble import Frame, assemble, grouped
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.experts import counts, gated
from llmplanner.models.families.mixers import listed

HYBRID, SLIDING = "hybrid", "hybrid_sliding"
_kinds = listed("layer_types", lambda _entries, _index: HYBRID, (HYBRID, SLIDING))


def _build(entries: Entries, part: Part) -> Model:
    """The first layer's router stands apart: the others read the one before."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    kinds = tuple((kind, index == 0) for index, kind in enumerate(_kinds(entries, count)))
    frame = Frame(attention_dropout="attention_dropout")
    model = assemble(frame, entries, part, grouped(kinds, partial(_layer, entries)))
    prefix = frame.body if part is Part.LANGUAGE_MODEL else ""
    extras = tuple(
        Parameter(f"{prefix}input_hidden_states_{name}", (model.hidden_size,)) for name in ("scale", "bias")
    )
    head = model.head
    if head.linear is not None:
        head = replace(head, linear=replace(head.linear, bias=entries.flag("lm_head_bias")))
    return replace(model, extras=extras, head=head)


def _layer(entries: Entries, place: tuple[str, bool]) -> Layer:
    kind, first = place
    hidden = entries.size("hidden_size")
    attention, values = _attention(entries, kind)
    return Layer(
        attention=attention,
        feed_forward=_experts(entries, first=first),
        attention_norm=Norm("input_layernorm", NormKind.RMS, hidden),
        feed_forward_norm=Norm("post_attention_layernorm", NormKind.RMS, hidden),
        recurrent=values,
        extras=tuple(_residual_scales(hidden)),
    )


def _residual_scales(hidden: int) -> Iterator[Module]:
    for branch in ("attention", "mlp"):
        for what in ("hidden_states", "residual"):
            for kind in ("scale", "bias"):
                yield Parameter(f"post_{branch}_residual_scale.{what}_{kind}", (hidden,))


def _attention(entries: Entries, kind: str) -> tuple[Attention, Recurrent]:
    """The attention, and what makes and remembers the delayed half of its values."""
    hidden, heads, kv_heads = (
        entries.size(name) for name in ("hidden_size", "num_attention_heads", "num_key_value_heads")
    )
    if heads % kv_heads:
        raise entries.refuse("num_key_value_heads", f"is {kv_heads:,} and must divide the {heads:,} heads")
    dim, bias, name = entries.size("head_dim"), entries.flag("attention_bias"), "self_attn.qkv_proj."
    queries, keys = heads * dim, kv_heads * dim
    widths = {"q_proj": queries, "k_proj": keys, "v_proj_current": keys // 2}
    depthwise, across = entries.size("cca_time0"), entries.size("cca_time1")
    channels = queries + keys
    attention = Attention(
        inputs=tuple(Linear(f"{name}{each}", hidden, wide, bias) for each, wide in widths.items()),
        output=Linear("self_attn.o_proj", queries, hidden, bias),
        heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
        window=entries.optional_size("sliding_window", MOST_ROWS) if kind == SLIDING else None,
        rotary_dim=int(dim * entries.fraction("partial_rotary_factor")),
        extras=(Parameter("self_attn.qk_norm.temp", (kv_heads,)),),
    )
    delayed = Recurrent(
        kind="Convolved queries and keys",
        inputs=(),
        inner=(),
        output=Linear(f"{name}v_proj_delayed", hidden, keys // 2, bias),
        parameters=(
            Parameter(f"{name}conv_qk_depthwise.weight", (channels, 1, depthwise)),
            Parameter(f"{name}conv_qk_depthwise.bias", (channels,)),
            Parameter(f"{name}conv_qk_grouped.weight", (channels, dim, across)),
            Parameter(f"{name}conv_qk_grouped.bias", (channels,)),
        ),
        conv_state=channels * (depthwise + across - 2) + keys // 2,
        state=0,
    )
    return attention, delayed


def _experts(entries: Entries, *, first: bool) -> Experts:
    """Experts, and a small network that routes; one of its classes skips the layer."""
    hidden, narrow = entries.size("hidden_size"), entries.size("router_hidden_size")
    count, top_k = counts(entries, "num_experts", "num_experts_per_tok")
    scale = () if first else (Parameter("mlp.gate.router_states_scale", (narrow,)),)
    return Experts(
        router=Linear("mlp.gate.router_mlp.out_proj", narrow, count + 1),
        count=count,
        top_k=top_k,
        expert=gated(
            ("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
            hidden,
            entries.size("moe_intermediate_size"),
            activation(entries, "hidden_act"),
        ),
        correction_bias=True,
        extras=(
            Linear("mlp.gate.down_proj", hidden, narrow, bias=True),
            Norm("mlp.gate.router_mlp.norm", NormKind.RMS, narrow),
            Linear("mlp.gate.router_mlp.fc1", narrow, narrow, bias=True),
            Linear("mlp.gate.router_mlp.fc2", narrow, narrow, bias=True),
            *scale,
        ),
    )


DIALECTS = (
    Dialect(
        "zaya",
        {
            "vocab_size": 262272,
            "hidden_size": 2048,
            "num_hidden_layers": 40,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "lm_head_bias": False,
            "moe_intermediate_size": 2048,
            "num_experts_per_tok": 1,
            "num_experts": 16,
            "router_hidden_size": 256,
            "cca_time0": 2,
            "cca_time1": 2,
            "partial_rotary_factor": 0.5,
        },
        ("num_hidden_layers", "hidden_size", "num_attention_heads", "moe_intermediate_size", "vocab_size"),
        {"ZayaForCausalLM": Part.LANGUAGE_MODEL, "ZayaModel": Part.BODY},
        _build,
    ),
)

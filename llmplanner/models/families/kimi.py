"""Decoders that mix Kimi delta attention with latent attention: Kimi Linear and Ling 3.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import (
    Experts,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.deepseek import latent_attention
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.delta import kernels
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.experts import MixtureKeys, after, typed
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import (
    ATTENTION,
    RECURRENT,
    DeltaSizes,
    delta_net,
    every,
    listed,
    mixed,
)
from llmplanner.models.families.predictors import with_predictors


def _kda_sizes(entries: Entries) -> DeltaSizes:
    heads, dim = entries.size("linear_num_heads"), entries.size("linear_head_dim")
    kernel = entries.size("linear_conv_kernel_dim")
    return DeltaSizes(entries.size("hidden_size"), heads, dim, heads, dim, kernel)


def kimi_delta(entries: Entries) -> Recurrent:
    """Kimi delta attention: each channel decays at its own rate (arXiv:2510.26692)."""
    sizes = _kda_sizes(entries)
    wide, dim, name = sizes.values, sizes.value_dim, "self_attn."
    widths = {"q": wide, "k": wide, "v": wide}
    whole = entries.flag("linear_full_rank_gate")
    gate = {"g": wide} if whole else {"g_a": dim}
    inputs = {**widths, "f_a": dim, "b": sizes.value_heads, **gate}
    decay = Linear(f"{name}f_b_proj", dim, wide)
    return delta_net(
        sizes,
        tuple((f"{name}{each}_proj", width) for each, width in inputs.items()),
        f"{name}o_proj",
        (
            Parameter(f"{name}A_log", (1, 1, sizes.value_heads, 1)),
            Parameter(f"{name}dt_bias", (wide,)),
            *kernels(name, widths, sizes.kernel),
            Norm(f"{name}o_norm", NormKind.RMS, dim),
        ),
        inner=(decay,) if whole else (decay, Linear(f"{name}g_b_proj", dim, wide)),
    )


_UNTIED: Mapping[str, object] = {"tie_word_embeddings": False}  # whatever the file says


def kimi_nested(entries: Entries) -> Mapping[str, object]:
    """The entries that the file nests in linear_attn_config."""
    nested = entries.values.get("linear_attn_config")
    if not isinstance(nested, dict):
        return _UNTIED
    inner = Entries(entries.where, nested, {}, {})
    known = {
        "linear_head_dim": inner.optional_size("head_dim"),
        "linear_num_heads": inner.optional_size("num_heads"),
        "linear_conv_kernel_dim": inner.optional_size("short_conv_kernel_size"),
        "layer_types": _kimi_types(entries, inner),
        "linear_full_rank_gate": inner.flag("use_full_rank_gate"),
    }
    return {**_UNTIED, **{name: value for name, value in known.items() if value is not None}}


def _kimi_types(entries: Entries, inner: Entries) -> list[str] | None:
    """The kinds of the layers, whose numbers the file counts from 1."""
    if entries.stated("layer_types") or not (inner.stated("full_attn_layers") and inner.stated("kda_layers")):
        return None
    full = set(inner.indices("full_attn_layers"))
    count = entries.size("num_hidden_layers")
    return [ATTENTION if index + 1 in full else RECURRENT for index in range(count)]


def _kimi_kind(_entries: Entries, index: int) -> str:
    return ATTENTION if index and index % 4 == 0 else RECURRENT


def _latent_mixture(block: str, expert: tuple[str, str, str]) -> MixtureKeys:
    shared = ("gate_proj", "up_proj", "down_proj")
    return MixtureKeys(
        count="num_experts",
        width="moe_intermediate_size",
        router=f"{block}.gate",
        expert=tuple(f"{block}.experts.{{expert}}.{name}" for name in expert),
        sparse=typed(after("first_k_dense_replace")),
        shared=tuple(f"{block}.shared_experts.{name}" for name in shared),
        shared_count="n_shared_experts",
        router_fp32=True,
    )


LATENT = replace(LLAMA, feed_forward_bias=False, attention=latent_attention)


def _kimi_three(entries: Entries, layer: Layer) -> Layer:
    """What Kimi K3's config states beyond Kimi Linear's: gates of the output, experts in a narrower space."""
    hidden = entries.size("hidden_size")
    if isinstance(layer.attention, LatentAttention) and entries.flag("mla_use_output_gate"):
        gate = Linear("self_attn.g_proj", hidden, layer.attention.output.inputs)
        layer = replace(layer, attention=replace(layer.attention, gated=True, extras=(gate,)))
    narrow = entries.optional_size("routed_expert_hidden_size")
    if narrow is None or not isinstance(layer.feed_forward, Experts):
        return layer
    mixture = layer.feed_forward
    expert = replace(
        mixture.expert,
        inputs=tuple(replace(linear, inputs=narrow) for linear in mixture.expert.inputs),
        output=replace(mixture.expert.output, outputs=narrow),
    )
    around = (
        Linear("block_sparse_moe.latent_down_proj", hidden, narrow),
        Linear("block_sparse_moe.latent_up_proj", narrow, hidden),
    )
    return replace(layer, feed_forward=replace(mixture, expert=expert, extras=(*mixture.extras, *around)))


def _kimi(entries: Entries, part: Part) -> Model:
    """The decoder, with a word on what is guessed of Kimi K3, whose code Transformers lacks."""
    model = build(KIMI_LINEAR, entries, part)
    return replace(model, note=GUESSED) if entries.stated("routed_expert_hidden_size") else model


GUESSED = (
    "An estimate: the experts' projections are inferred from the config; open its weights for exact figures."
)
KIMI_LINEAR = mixed(
    replace(
        LATENT,
        mixture=_latent_mixture("block_sparse_moe", ("w1", "w3", "w2")),
        derived=kimi_nested,
        finish=_kimi_three,
    ),
    listed("layer_types", _kimi_kind),
    {RECURRENT: kimi_delta},
)


def _bailing_latent(entries: Entries) -> LatentAttention:
    """Latent attention with a gate for each head."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    attention = latent_attention(entries, "attention")
    output = replace(attention.output, name="attention.dense")
    gate = Linear("attention.g_proj", hidden, heads)
    return replace(attention, output=output, gated=True, extras=(gate,))


def _bailing_kda(entries: Entries) -> Recurrent:
    """Kimi delta attention with whole matrices in place of low-rank ones."""
    sizes = _kda_sizes(entries)
    wide, name = sizes.values, "attention."
    widths = {"q": wide, "k": wide, "v": wide}
    inputs = {**widths, "f": wide, "b": sizes.value_heads, "g": wide}
    return delta_net(
        sizes,
        tuple((f"{name}{each}_proj", width) for each, width in inputs.items()),
        f"{name}dense",
        (
            Parameter(f"{name}A_log", (sizes.value_heads,)),
            Parameter(f"{name}dt_bias", (wide,)),
            *kernels(name, widths, sizes.kernel),
            Norm(f"{name}o_norm", NormKind.RMS, sizes.value_dim),
        ),
    )


def _bailing_derived(entries: Entries) -> Mapping[str, object]:
    """Sizes of the recurrent layers, which early files name as those of all heads."""
    early = {
        "linear_head_dim": "head_dim",
        "linear_num_heads": "num_attention_heads",
        "linear_conv_kernel_dim": "short_conv_kernel_size",
    }
    sizes = {name: entries.size(name if entries.stated(name) else other) for name, other in early.items()}
    return {**_UNTIED, **sizes}


BAILING_HYBRID = mixed(
    replace(
        LATENT,
        embedding="word_embeddings",
        attention=_bailing_latent,
        mixture=_latent_mixture("mlp", ("gate_proj", "up_proj", "down_proj")),
        derived=_bailing_derived,
    ),
    listed("layer_types", every("layer_group_size")),
    {RECURRENT: _bailing_kda},
)

_LATENT_NAMES = {
    "num_experts": ("num_experts", "num_local_experts"),
    "num_experts_per_tok": ("num_experts_per_token", "num_experts_per_tok"),
    "n_shared_experts": ("num_shared_experts", "n_shared_experts"),
    "max_position_embeddings": ("model_max_length", "max_position_embeddings"),
}
_LATENT_SIZES: Mapping[str, object] = {
    "num_experts_per_token": 8,
    "num_shared_experts": 1,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
}
DIALECTS = with_predictors(
    (
        replace(
            decoder(
                "kimi_linear",
                ("KimiLinearForCausalLM", "KimiLinearModel"),
                KIMI_LINEAR,
                class_defaults(
                    (27, 2304, 32, 9216, 163840),
                    32,
                    1048576,
                    **_LATENT_SIZES,
                    moe_intermediate_size=1024,
                    num_experts=256,
                    q_lora_rank=None,
                    first_k_dense_replace=1,
                    linear_head_dim=128,
                    linear_num_heads=32,
                    linear_conv_kernel_dim=4,
                ),
                **_LATENT_NAMES,
            ),
            build=_kimi,
        ),
        decoder(
            "bailing_hybrid",
            ("BailingHybridForCausalLM", "BailingHybridModel"),
            BAILING_HYBRID,
            class_defaults(
                (42, 2560, 32, 6144, 157184),
                32,
                262144,
                **_LATENT_SIZES,
                moe_intermediate_size=768,
                num_experts=512,
                first_k_dense_replace=2,
                head_dim=128,
                short_conv_kernel_size=4,
                layer_group_size=6,
            ),
            **_LATENT_NAMES,
        ),
    )
)

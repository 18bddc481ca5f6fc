"""Decoders that mix gated delta nets with attention: Qwen3-Next, Qwen3.5, OLMo Hybrid, Kimi Linear, Ling 3.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import (
    Attention,
    LatentAttention,
    Layer,
    Linear,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import Entries
from llmplanner.models.families.deepseek import latent_attention
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys, Sparse, after, everywhere, stepped, typed
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import (
    ATTENTION,
    RECURRENT,
    DeltaSizes,
    convolution,
    delta_net,
    every,
    listed,
    mixed,
)
from llmplanner.models.families.predictors import with_predictors


def _sizes(entries: Entries) -> DeltaSizes:
    key_heads, value_heads = entries.size("linear_num_key_heads"), entries.size("linear_num_value_heads")
    if value_heads % key_heads:
        raise entries.refuse(
            "linear_num_value_heads", f"is {value_heads:,}, no multiple of the {key_heads:,} key heads"
        )
    return DeltaSizes(
        hidden=entries.size("hidden_size"),
        key_heads=key_heads,
        key_dim=entries.size("linear_key_head_dim"),
        value_heads=value_heads,
        value_dim=entries.size("linear_value_head_dim"),
        kernel=entries.size("linear_conv_kernel_dim"),
    )


def _qwen(inputs: tuple[tuple[str, int], ...], sizes: DeltaSizes) -> Recurrent:
    heads = sizes.value_heads
    return delta_net(
        sizes,
        inputs,
        "linear_attn.out_proj",
        (
            Parameter("linear_attn.dt_bias", (heads,)),
            Parameter("linear_attn.A_log", (heads,)),
            *convolution("linear_attn.conv1d", 2 * sizes.keys + sizes.values, sizes.kernel),
            Norm("linear_attn.norm", NormKind.RMS, sizes.value_dim),
        ),
    )


def _qwen3_next(entries: Entries) -> Recurrent:
    sizes = _sizes(entries)
    wide = 2 * sizes.keys + 2 * sizes.values
    inputs = (("linear_attn.in_proj_qkvz", wide), ("linear_attn.in_proj_ba", 2 * sizes.value_heads))
    return _qwen(inputs, sizes)


def qwen3_5(entries: Entries) -> Recurrent:
    """The delta net of Qwen3.5, with a matrix for each of what it makes of the input."""
    sizes = _sizes(entries)
    widths = (
        ("qkv", 2 * sizes.keys + sizes.values),
        ("z", sizes.values),
        ("b", sizes.value_heads),
        ("a", sizes.value_heads),
    )
    return _qwen(tuple((f"linear_attn.in_proj_{name}", wide) for name, wide in widths), sizes)


def gate_output(_entries: Entries, layer: Layer) -> Layer:
    """The query matrix makes a gate of the attention's output too."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    query, *others = attention.inputs
    inputs = (replace(query, outputs=2 * query.outputs), *others)
    return replace(layer, attention=replace(attention, inputs=inputs, output_gate=True))


def _some_experts(entries: Entries, count: int) -> tuple[bool, ...]:
    return stepped(entries, count) if entries.size("num_experts", least=0) else (False,) * count


def _mixture(sparse: Sparse) -> MixtureKeys:
    return MixtureKeys(
        count="num_experts",
        width="moe_intermediate_size",
        router="mlp.gate",
        expert=(
            "mlp.experts.{expert}.gate_proj",
            "mlp.experts.{expert}.up_proj",
            "mlp.experts.{expert}.down_proj",
        ),
        sparse=sparse,
        shared=("mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj"),
        shared_width="shared_expert_intermediate_size",
        shared_gate="mlp.shared_expert_gate",
    )


QWEN_MIXTURE = _mixture(everywhere)
QWEN = replace(
    LLAMA,
    feed_forward_bias=False,
    norm=NormKind.RMS_PLUS_ONE,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    rotary="partial_rotary_factor",
    finish=gate_output,
)
_QWEN_KINDS = listed("layer_types", every("full_attention_interval"))
QWEN3_NEXT = mixed(
    replace(QWEN, mixture=_mixture(_some_experts)),
    _QWEN_KINDS,
    {RECURRENT: _qwen3_next},
)
QWEN3_5 = mixed(QWEN, _QWEN_KINDS, {RECURRENT: qwen3_5})
QWEN3_5_MOE = mixed(
    # Its file states no width of dense layers, as there are none.
    replace(QWEN, mixture=QWEN_MIXTURE, feed_forward_width="moe_intermediate_size"),
    _QWEN_KINDS,
    {RECURRENT: qwen3_5},
)


def _olmo(entries: Entries) -> Recurrent:
    sizes = _sizes(entries)
    heads = sizes.value_heads
    widths = {"q": sizes.keys, "k": sizes.keys, "v": sizes.values, "a": heads, "b": heads, "g": sizes.values}
    kernels = {"q": sizes.keys, "k": sizes.keys, "v": sizes.values}
    return delta_net(
        sizes,
        tuple((f"linear_attn.{name}_proj", wide) for name, wide in widths.items()),
        "linear_attn.o_proj",
        (
            Parameter("linear_attn.A_log", (heads,)),
            Parameter("linear_attn.dt_bias", (heads,)),
            *_kernels("linear_attn.", kernels, sizes.kernel),
            Norm("linear_attn.o_norm", NormKind.RMS, sizes.value_dim),
        ),
    )


def _kernels(prefix: str, widths: Mapping[str, int], kernel: int) -> tuple[Parameter, ...]:
    """Convolutions of queries, keys and values, apart as the files hold them."""
    return tuple(
        weight
        for name, wide in widths.items()
        for weight in convolution(f"{prefix}{name}_conv1d", wide, kernel)
    )


def _olmo_derived(entries: Entries) -> Mapping[str, object]:
    """What OLMo Hybrid's class derives where the file says nothing."""
    heads = entries.size("num_attention_heads")
    key_heads = entries.optional_size("linear_num_key_heads") or heads
    wide = 3 * entries.size("hidden_size") // (4 * key_heads)
    key_dim = entries.optional_size("linear_key_head_dim") or wide
    return {
        "linear_num_key_heads": key_heads,
        "linear_num_value_heads": entries.optional_size("linear_num_value_heads") or heads,
        "linear_key_head_dim": key_dim,
        "linear_value_head_dim": entries.optional_size("linear_value_head_dim") or 2 * key_dim,
    }


def _olmo_kind(entries: Entries, index: int) -> str:
    """Every fourth layer attends; where there are fewer, the last."""
    count = entries.size("num_hidden_layers")
    return ATTENTION if index % 4 == 3 or (count < 4 and index == count - 1) else RECURRENT  # noqa: PLR2004 - as said


def _olmo_norms(entries: Entries, layer: Layer) -> Layer:
    """Attention layers norm the outputs of their branches, recurrent ones the inputs."""
    if layer.attention is None:
        return layer
    hidden = entries.size("hidden_size")
    return replace(
        layer,
        attention_norm=None,
        feed_forward_norm=None,
        attention_output_norm=Norm("post_attention_layernorm", NormKind.RMS_WIDE, hidden),
        feed_forward_output_norm=Norm("post_feedforward_layernorm", NormKind.RMS_WIDE, hidden),
    )


OLMO_HYBRID = mixed(
    replace(
        LLAMA,
        attention_norm="attention_layer_norm",
        feed_forward_norm="feedforward_layer_norm",
        norm=NormKind.RMS_WIDE,
        feed_forward_bias=False,
        query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
        query_key_whole=True,
        derived=_olmo_derived,
        finish=_olmo_norms,
    ),
    listed("layer_types", _olmo_kind),
    {RECURRENT: _olmo},
)


def _kda_sizes(entries: Entries) -> DeltaSizes:
    heads, dim = entries.size("linear_num_heads"), entries.size("linear_head_dim")
    kernel = entries.size("linear_conv_kernel_dim")
    return DeltaSizes(entries.size("hidden_size"), heads, dim, heads, dim, kernel)


def kimi_delta(entries: Entries) -> Recurrent:
    """Kimi delta attention: each channel decays at its own rate (arXiv:2510.26692)."""
    sizes = _kda_sizes(entries)
    wide, dim, name = sizes.values, sizes.value_dim, "self_attn."
    widths = {"q": wide, "k": wide, "v": wide}
    inputs = {**widths, "f_a": dim, "b": sizes.value_heads, "g_a": dim}
    return delta_net(
        sizes,
        tuple((f"{name}{each}_proj", width) for each, width in inputs.items()),
        f"{name}o_proj",
        (
            Parameter(f"{name}A_log", (1, 1, sizes.value_heads, 1)),
            Parameter(f"{name}dt_bias", (wide,)),
            *_kernels(name, widths, sizes.kernel),
            Norm(f"{name}o_norm", NormKind.RMS, dim),
        ),
        inner=(Linear(f"{name}f_b_proj", dim, wide), Linear(f"{name}g_b_proj", dim, wide)),
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
KIMI_LINEAR = mixed(
    replace(LATENT, mixture=_latent_mixture("block_sparse_moe", ("w1", "w3", "w2")), derived=kimi_nested),
    listed("layer_types", _kimi_kind),
    {RECURRENT: kimi_delta},
)


def _bailing_latent(entries: Entries) -> LatentAttention:
    """Latent attention with a gate for each head."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    attention = latent_attention(entries, "attention")
    output = replace(attention.output, name="attention.dense")
    return replace(attention, output=output, extras=(Linear("attention.g_proj", hidden, heads),))


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
            *_kernels(name, widths, sizes.kernel),
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

QWEN_SIZES: Mapping[str, object] = {
    "head_dim": 256,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "full_attention_interval": 4,
    "partial_rotary_factor": 0.25,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
}
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
SPARSE_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "moe_intermediate_size",
    "vocab_size",
)

DIALECTS = with_predictors(
    (
        decoder(
            "qwen3_next",
            ("Qwen3NextForCausalLM", "Qwen3NextModel"),
            QWEN3_NEXT,
            class_defaults(
                (48, 2048, 16, 5632, 151936),
                2,
                32768,
                **QWEN_SIZES,
                decoder_sparse_step=1,
                num_experts=512,
                num_experts_per_tok=10,
            ),
        ),
        decoder(
            "qwen3_5_text",
            ("Qwen3_5ForCausalLM", "Qwen3_5TextModel"),
            QWEN3_5,
            class_defaults((32, 4096, 16, 12288, 248320), 4, 32768, **QWEN_SIZES),
        ),
        replace(
            decoder(
                "qwen3_5_moe_text",
                ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextModel"),
                QWEN3_5_MOE,
                class_defaults(
                    (40, 2048, 16, None, 248320),
                    2,
                    32768,
                    **QWEN_SIZES,
                    num_experts=256,
                    num_experts_per_tok=8,
                ),
            ),
            sizes=SPARSE_SIZES,
        ),
        decoder(
            "olmo_hybrid",
            ("OlmoHybridForCausalLM", "OlmoHybridModel"),
            OLMO_HYBRID,
            class_defaults((32, 3840, 30, 11008, 100352), None, 65536, linear_conv_kernel_dim=4),
        ),
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

"""Decoders that mix gated delta nets with attention: Qwen3-Next, Qwen3.5, OLMo Hybrid.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import (
    Attention,
    Layer,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys, Sparse, everywhere, stepped
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
        scalar=True,
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
    convolved = {"q": sizes.keys, "k": sizes.keys, "v": sizes.values}
    return delta_net(
        sizes,
        tuple((f"linear_attn.{name}_proj", wide) for name, wide in widths.items()),
        "linear_attn.o_proj",
        (
            Parameter("linear_attn.A_log", (heads,)),
            Parameter("linear_attn.dt_bias", (heads,)),
            *kernels("linear_attn.", convolved, sizes.kernel),
            Norm("linear_attn.o_norm", NormKind.RMS, sizes.value_dim),
        ),
    )


def kernels(prefix: str, widths: Mapping[str, int], kernel: int) -> tuple[Parameter, ...]:
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
    )
)

"""Decoders that mix Mamba with attention: Bamba, Jamba, Falcon-H1 and Granite 4.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Norm, NormKind, Recurrent
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mamba import channels, head_size, step_rank
from llmplanner.models.families.mixers import (
    ATTENTION,
    CHUNK,
    RECURRENT,
    Mamba2Sizes,
    MambaSizes,
    every,
    listed,
    mamba,
    mamba2,
    mixed,
    ruled,
)
from llmplanner.models.families.predictors import with_predictors


def _mamba2(entries: Entries, inner: int | None = None) -> Mamba2Sizes:
    """The sizes under the names that hybrids give them."""
    inner = inner or channels(entries, "mamba_expand")
    bias = entries.flag("mamba_proj_bias")
    return Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=entries.size("mamba_n_heads"),
        head_dim=head_size(entries, "mamba_n_heads", "mamba_d_head", inner),
        groups=entries.size("mamba_n_groups"),
        state=entries.size("mamba_d_state"),
        kernel=entries.size("mamba_d_conv"),
        bias=bias,
        conv_bias=entries.flag("mamba_conv_bias"),
        output_bias=bias,
        chunk=entries.optional_size("mamba_chunk_size") or CHUNK,
    )


def _bamba_kinds(entries: Entries, count: int) -> tuple[str, ...]:
    attending = set(entries.indices("attn_layer_indices"))
    return tuple(ATTENTION if index in attending else RECURRENT for index in range(count))


_NORMED = replace(
    LLAMA,
    feed_forward_inputs=("feed_forward.gate_proj", "feed_forward.up_proj"),
    feed_forward_output="feed_forward.down_proj",
    feed_forward_norm="pre_ff_layernorm",
    final_norm="final_layernorm",
)
BAMBA = mixed(
    replace(_NORMED, rotary="partial_rotary_factor"),
    _bamba_kinds,
    {RECURRENT: lambda entries: mamba2("mamba.", _mamba2(entries))},
)


def _jamba(entries: Entries) -> Recurrent:
    hidden, state = entries.size("hidden_size"), entries.size("mamba_d_state")
    sizes = MambaSizes(
        hidden=hidden,
        inner=channels(entries, "mamba_expand"),
        state=state,
        rank=step_rank(entries, "mamba_dt_rank"),
        kernel=entries.size("mamba_d_conv"),
        bias=entries.flag("mamba_proj_bias"),
        conv_bias=entries.flag("mamba_conv_bias"),
    )
    widths = {"dt": sizes.rank, "b": state, "c": state}
    norms = tuple(Norm(f"mamba.{name}_layernorm", NormKind.RMS, wide) for name, wide in widths.items())
    return mamba("mamba.", sizes, norms)


def _jamba_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    period, offset = entries.size("expert_layer_period"), entries.size("expert_layer_offset", least=0)
    several = entries.size("num_experts") > 1
    return tuple(several and index % period == offset for index in range(count))


JAMBA = mixed(
    replace(
        _NORMED,
        input_bias=False,
        output_bias=False,
        feed_forward_bias=False,
        rotary=None,
        mixture=MixtureKeys(
            count="num_experts",
            width="intermediate_size",
            router="feed_forward.router",
            expert=(
                "feed_forward.experts.{expert}.gate_proj",
                "feed_forward.experts.{expert}.up_proj",
                "feed_forward.experts.{expert}.down_proj",
            ),
            sparse=_jamba_sparse,
        ),
    ),
    ruled(every("attn_layer_period", "attn_layer_offset")),
    {RECURRENT: _jamba},
)


def _beside_attention(entries: Entries, layer: Layer) -> Layer:
    """Falcon-H1: every layer attends and recurs, both on the same input."""
    sizes = replace(
        _mamba2(entries, entries.optional_size("mamba_d_ssm")),
        output_bias=entries.flag("projectors_bias"),
        norm=entries.flag("mamba_rms_norm"),
    )
    return replace(layer, recurrent=mamba2("mamba.", sizes))


FALCON_H1 = replace(_NORMED, finish=_beside_attention)


def _granite_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    return (entries.size("num_experts", least=0) > 0,) * count


def _granite_positions(entries: Entries, layer: Layer) -> Layer:
    """Positions are rotary where the file says so, and none otherwise."""
    if not isinstance(layer.attention, Attention) or entries.raw("position_embedding_type") == "rope":
        return layer
    return replace(layer, attention=replace(layer.attention, rotary_dim=0))


_SHARED = ("shared_mlp.input_linear", "shared_mlp.output_linear")
GRANITE = mixed(
    replace(
        LLAMA,
        feed_forward_inputs=_SHARED[:1],  # where there are no experts
        feed_forward_output=_SHARED[1],
        feed_forward_width="shared_intermediate_size",
        feed_forward_bias=False,
        mixture=MixtureKeys(
            count="num_experts",
            width="intermediate_size",
            router="block_sparse_moe.router.layer",
            expert=("block_sparse_moe.input_linear", "block_sparse_moe.output_linear"),
            sparse=_granite_sparse,
            shared=_SHARED,
            shared_width="shared_intermediate_size",
        ),
        finish=_granite_positions,
    ),
    listed("layer_types", lambda _entries, _index: RECURRENT),
    {RECURRENT: lambda entries: mamba2("mamba.", _mamba2(entries))},
)

_MAMBA_SIZES: Mapping[str, object] = {
    "mamba_n_heads": 128,
    "mamba_d_head": "auto",
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}

DIALECTS = with_predictors(
    (
        decoder(
            "bamba",
            ("BambaForCausalLM", "BambaModel"),
            BAMBA,
            class_defaults(
                (32, 4096, 32, 14336, 128000), 8, 262144, **_MAMBA_SIZES, partial_rotary_factor=0.5
            ),
        ),
        decoder(
            "jamba",
            ("JambaForCausalLM", "JambaModel"),
            JAMBA,
            class_defaults(
                (32, 4096, 32, 14336, 65536),
                8,
                262144,
                num_experts=16,
                num_experts_per_tok=2,
                expert_layer_period=2,
                expert_layer_offset=1,
                attn_layer_period=8,
                attn_layer_offset=4,
                mamba_d_state=16,
                mamba_d_conv=4,
                mamba_expand=2,
                mamba_dt_rank="auto",
                mamba_conv_bias=True,
                mamba_proj_bias=False,
            ),
            num_experts=("num_experts", "num_local_experts"),
        ),
        decoder(
            "falcon_h1",
            ("FalconH1ForCausalLM", "FalconH1Model"),
            FALCON_H1,
            class_defaults(
                (32, 4096, 32, 14336, 128000),
                8,
                8192,
                **_MAMBA_SIZES,
                mamba_d_ssm=1024,
                mamba_rms_norm=False,
                projectors_bias=False,
            ),
        ),
        decoder(
            "granitemoehybrid",
            ("GraniteMoeHybridForCausalLM", "GraniteMoeHybridModel"),
            GRANITE,
            class_defaults(
                (32, 4096, 32, 11008, 32000),
                None,
                2048,
                **_MAMBA_SIZES,
                num_local_experts=8,
                num_experts_per_tok=2,
                shared_intermediate_size=1024,
            ),
            num_experts=("num_local_experts", "num_experts"),
            layer_types=("layer_types", "layers_block_type"),
        ),
    )
)

"""Decoders whose feed-forward is a mixture of experts, with attention of the usual form.

Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Linear, Norm, NormKind, Parameter
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.experts import MixtureKeys, after, all_but_first, everywhere, stepped, typed
from llmplanner.models.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from llmplanner.models.families.windows import gated_window, ruled_window


def matrices(block: str) -> tuple[str, str, str]:
    """The names of a gated feed-forward: gate, up, down."""
    return f"{block}.gate_proj", f"{block}.up_proj", f"{block}.down_proj"


def with_sinks(_entries: Entries, layer: Layer) -> Layer:
    """A learned score for each head that no key has (gpt-oss)."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    sinks = Parameter("self_attn.sinks", (attention.heads,))
    return replace(layer, attention=replace(attention, sinks=sinks))


def _with_scaling_sinks(entries: Entries, layer: Layer) -> Layer:
    """The same, beside a softmax that has no column for it (Granite)."""
    layer = with_sinks(entries, layer)
    if not isinstance(layer.attention, Attention):
        return layer
    return replace(layer, attention=replace(layer.attention, sinks_scale=True))


# Where a common name is another one in the file: the class's own first, then its attribute_map's.
COUNTED_BY_EXPERTS = {"num_experts": ("num_experts", "num_local_experts")}
LOCAL = {"num_experts": ("num_local_experts", "num_experts")}
ROUTED = {"num_experts": ("n_routed_experts", "num_local_experts")}

GATED = matrices("mlp.experts.{expert}")
BLOCK = MixtureKeys(
    count="num_experts",
    width="intermediate_size",
    router="block_sparse_moe.gate",
    expert=tuple(f"block_sparse_moe.experts.{{expert}}.{name}" for name in ("w1", "w3", "w2")),
)
MIXTURE = MixtureKeys(count="num_experts", width="moe_intermediate_size", router="mlp.gate", expert=GATED)
SIGMOID = replace(  # DeepSeek's: scores by sigmoid, a correction bias, shared experts
    MIXTURE,
    sparse=typed(after("first_k_dense_replace")),
    shared=matrices("mlp.shared_experts"),
    shared_count="n_shared_experts",
    router_fp32=True,
)
PARALLEL = replace(
    BLOCK,
    router="block_sparse_moe.router.layer",
    expert=("block_sparse_moe.input_linear", "block_sparse_moe.output_linear"),
)
SHARED_PARALLEL = replace(
    PARALLEL,
    shared=("shared_mlp.input_linear", "shared_mlp.output_linear"),
    shared_width="shared_intermediate_size",
)

MIXTRAL = replace(MISTRAL, mixture=replace(BLOCK, weighted_fp32=True))
QWEN3_MOE = replace(QWEN3, windows=gated_window, mixture=replace(MIXTURE, sparse=stepped))
QWEN2_MOE = replace(
    QWEN2,
    input_bias="qkv_bias",
    windows=ruled_window(
        lambda entries, index: (
            not entries.flag("use_sliding_window")
            or index % 2 == 1
            or index >= entries.size("max_window_layers", MOST_LAYERS, least=0)
        )
    ),
    mixture=replace(
        MIXTURE,
        sparse=stepped,
        shared=matrices("mlp.shared_expert"),
        shared_width="shared_expert_intermediate_size",
        shared_gate="mlp.shared_expert_gate",
    ),
)
PHIMOE = replace(
    MIXTRAL,
    norm=NormKind.LAYER,
    input_bias="attention_bias",
    output_bias="attention_bias",
    head_bias="lm_head_bias",
)
OLMOE = replace(
    LLAMA,
    feed_forward_bias=False,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    query_key_whole=True,
    mixture=replace(MIXTURE, width="intermediate_size"),
)
FLEX_OLMO = replace(
    OLMOE,
    norm=NormKind.RMS_WIDE,
    attention_norm=None,
    feed_forward_norm=None,
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
)
MINIMAX_M2 = replace(
    MISTRAL,
    windows=None,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    query_key_whole=True,
    mixture=BLOCK,
)
GPT_OSS = replace(
    LLAMA,
    norm=NormKind.RMS_WIDE,
    feed_forward_bias=False,
    finish=with_sinks,
    windows=ruled_window(lambda _entries, index: index % 2 == 1),
    mixture=replace(
        BLOCK,
        router="mlp.router",
        router_bias=True,
        bias=True,
        expert=("mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
    ),
)
GRANITE = replace(LLAMA, feed_forward_bias=False, mixture=PARALLEL)
GRANITE_SHARED = replace(GRANITE, mixture=SHARED_PARALLEL)
GRANITE_SWA = replace(
    GRANITE_SHARED, finish=_with_scaling_sinks, windows=ruled_window(lambda _entries, index: index % 4 == 0)
)


def _whole_heads(entries: Entries) -> Mapping[str, object]:
    """Where the file states no size of a head, what remains of a division is left out."""
    if entries.stated("head_dim"):
        return {}
    return {"head_dim": entries.size("hidden_size") // entries.size("num_attention_heads") or None}


GLM4_MOE = replace(
    LLAMA,
    output_bias=False,
    feed_forward_bias=False,
    rotary="partial_rotary_factor",
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    query_key_normed="use_qk_norm",
    derived=_whole_heads,
    mixture=replace(SIGMOID, sparse=after("first_k_dense_replace")),
)
SOLAR_OPEN = replace(LLAMA, output_bias=False, mixture=replace(SIGMOID, sparse=BLOCK.sparse))
DOTS1 = replace(
    QWEN3,
    windows=ruled_window(
        lambda entries, index: index < entries.size("max_window_layers", MOST_LAYERS, least=0)
    ),
    mixture=GLM4_MOE.mixture,
)


def _hy_shared(entries: Entries) -> Mapping[str, object]:
    """Hunyuan 3 builds a shared expert as wide as a dense layer where the file says that there is none."""
    times = entries.size("num_shared_experts", least=0)
    shared = times * entries.size("moe_intermediate_size") or entries.size("intermediate_size")
    return {"shared_width": shared}


HY_V3 = replace(
    QWEN3,
    feed_forward_bias="mlp_bias",
    windows=None,
    mixture=replace(
        SIGMOID,
        sparse=typed(all_but_first),
        shared_width="shared_width",
        shared_bias="mlp_bias",
    ),
    derived=_hy_shared,
)
EXAONE_MOE = replace(
    QWEN3,
    input_bias=False,
    output_bias=False,
    windows=ruled_window(
        lambda entries, index: (index + 1) % entries.size("sliding_window_pattern", MOST_LAYERS) == 0
    ),
    mixture=SIGMOID,
)


def _gate_beside(_entries: Entries, layer: Layer) -> Layer:
    """AFMoE: the attention's output is gated by a matrix of its own."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    gate = Linear("self_attn.gate_proj", attention.output.outputs, attention.output.inputs)
    return replace(layer, attention=replace(attention, gated=True, extras=(gate,)))


AFMOE = replace(
    QWEN3,
    norm=NormKind.RMS_WIDE,
    feed_forward_norm="pre_mlp_layernorm",
    output_norms=("post_attention_layernorm", "post_mlp_layernorm"),
    finish=_gate_beside,
    windows=ruled_window(
        lambda entries, index: (index + 1) % entries.size("global_attn_every_n_layers", MOST_LAYERS) == 0
    ),
    mixture=replace(
        SIGMOID,
        router="mlp.router.gate",
        sparse=after("num_dense_layers"),
        router_fp32=False,
        correction="mlp.expert_bias",
    ),
)
ARIA = replace(
    LLAMA,
    mixture=replace(
        SIGMOID,
        width="intermediate_size",
        router="mlp.router",
        expert=("mlp.experts.fc1", "mlp.experts.fc2"),
        sparse=BLOCK.sparse,
        shared_bias="mlp_bias",
        router_fp32=False,
    ),
)


def _ernie_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    """Every n-th layer between two, the last one where the end is -1."""
    step = entries.size("moe_layer_interval")
    start = entries.size("moe_layer_start_index", MOST_LAYERS, least=0)
    end = entries.size("moe_layer_end_index", MOST_LAYERS, least=-1)
    last = count - 1 if end == -1 else end
    return tuple((index + 1) % step == 0 and start <= index <= last for index in range(count))


ERNIE = replace(
    LLAMA,
    input_bias="use_bias",
    output_bias="use_bias",
    feed_forward_bias="use_bias",
    head_bias="use_bias",
    dropouts=(None, None, None),
    mixture=replace(
        SIGMOID,
        sparse=_ernie_sparse,
        shared_bias="use_bias",
        corrected=False,
        correction="mlp.moe_statics.e_score_correction_bias",
    ),
)


def _hunyuan_layer(entries: Entries, index: int) -> Mapping[str, object]:
    """Hunyuan-A13B lists the experts of a token layer by layer."""
    top_k = entries.raw("num_experts_per_tok")
    if not isinstance(top_k, list):
        return {}
    if len(top_k) <= index:
        raise entries.refuse(
            "num_experts_per_tok", f"has {len(top_k):,} entries, fewer than there are layers"
        )
    return {"num_experts_per_tok": top_k[index]}


HUNYUAN_MOE = replace(
    LLAMA,
    query_key_norm=("self_attn.query_layernorm", "self_attn.key_layernorm"),
    feed_forward_bias=False,
    per_layer=_hunyuan_layer,
    mixture=replace(
        MIXTURE,
        width="intermediate_size",
        router="mlp.gate.wg",
        shared=matrices("mlp.shared_mlp"),
    ),
)


def _llama4_layers(entries: Entries) -> Mapping[str, object]:
    """Which layers look at chunks of the context: those with rotary positions."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    if entries.texts("layer_types"):
        return {}
    interval = entries.size("no_rope_layer_interval", MOST_LAYERS)
    rotated = entries.indices("no_rope_layers") or tuple(
        int((index + 1) % interval != 0) for index in range(count)
    )
    return {"layer_types": ["chunked_attention" if turned else "full_attention" for turned in rotated]}


def _llama4_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    step = entries.size("interleave_moe_layer_step", MOST_LAYERS)
    listed = entries.raw("moe_layers") is not None
    sparse = set(entries.indices("moe_layers") if listed else range(step - 1, count, step))
    return tuple(index in sparse for index in range(count))


def _llama4(entries: Entries, layer: Layer) -> Layer:
    """Rotated queries and keys are normalised, with no weights."""
    attention = layer.attention
    if not isinstance(attention, Attention) or attention.window is None or not entries.flag("use_qk_norm"):
        return layer
    plain = Norm("", NormKind.RMS, attention.key_dim, weight=False)
    return replace(layer, attention=replace(attention, query_norm=plain, key_norm=plain))


LLAMA4 = replace(
    LLAMA,
    finish=_llama4,
    softmax_fp32=False,
    feed_forward_bias=False,
    feed_forward_inputs=("feed_forward.gate_proj", "feed_forward.up_proj"),
    feed_forward_output="feed_forward.down_proj",
    feed_forward_width="intermediate_size_mlp",
    derived=_llama4_layers,
    windows=ruled_window(lambda _entries, _index: False, "chunked_attention", "attention_chunk_size"),
    mixture=replace(
        BLOCK,
        router="feed_forward.router",
        expert=("feed_forward.experts.gate_up_proj", "feed_forward.experts.down_proj"),
        sparse=_llama4_sparse,
        shared=matrices("feed_forward.shared_expert"),
        every=True,
    ),
)
OCR_MIXTURE = replace(SIGMOID, sparse=typed(everywhere), shared_bias="mlp_bias", router_fp32=False)
OCR = replace(LLAMA, head_dim=False, mixture=OCR_MIXTURE)

"""Latent attention that differs by layer: Mistral Large 4 and Dots 3 Note.

Defaults: Transformers 5.23.0 class defaults. Tensor names: its classes.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import LatentAttention, Layer, Linear, Norm, NormKind, Parameter
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.deepseek import DEEPSEEK, V3, glm_indexers, with_indexer
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import everywhere, typed
from llmplanner.models.families.mixtures import ROUTED, SIGMOID
from llmplanner.models.families.predictors import with_predictors
from llmplanner.models.families.windows import stated_kinds


def _mistral_layers(entries: Entries) -> Mapping[str, object]:
    """Which layers turn their keys by position, and which have an indexer of their own."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    if entries.indices("kv_source_layers") not in {(), tuple(range(count))}:
        raise entries.refuse("kv_source_layers", "shares keys between layers, which is not supported")
    interval = entries.size("no_rope_layer_interval", MOST_LAYERS)
    rotated = entries.indices("no_rope_layers") or tuple((index + 1) % interval for index in range(count))
    if len(rotated) != count:
        raise entries.refuse("no_rope_layers", f"has {len(rotated):,} entries, not {count:,}")
    return {**glm_indexers(entries), "no_rope_layers": rotated, "q_lora_rank": None}


def _mistral_layer(entries: Entries, index: int) -> Mapping[str, object]:
    types, rotated = entries.values["indexer_types"], entries.values["no_rope_layers"]
    if not isinstance(types, tuple) or not isinstance(rotated, tuple):
        return {}
    own: dict[str, object] = {"indexer_type": types[index]}
    if not rotated[index]:
        nope = entries.size("qk_nope_head_dim") + entries.size("qk_rope_head_dim")
        own |= {"qk_nope_head_dim": nope, "qk_rope_head_dim": 0}
    return own


def _mistral(entries: Entries, layer: Layer) -> Layer:
    """Learned scales of the softmax; the indexer reads the layer's input."""
    attention = layer.attention
    if not isinstance(attention, LatentAttention):
        return layer
    extras = _scales("self_attn.softmax_scaling", attention.heads)
    dim = 0
    if entries.raw("indexer_type") != "shared":
        hidden, heads = entries.size("hidden_size"), entries.size("index_n_heads")
        dim = entries.size("index_head_dim")
        extras += (
            Linear("self_attn.indexer.wq_b", hidden, heads * dim),
            Linear("self_attn.indexer.wk", hidden, dim),
            Norm("self_attn.indexer.k_norm", NormKind.LAYER, dim, bias=True),
            Linear("self_attn.indexer.weights_proj", hidden, heads),
            Norm("self_attn.indexer.q_input_norm", NormKind.LAYER, hidden, bias=True),
            *_scales("self_attn.indexer.softmax_scaling", heads),
        )
    return replace(layer, attention=replace(attention, extras=extras, index_dim=dim))


def _scales(name: str, heads: int) -> tuple[Linear | Norm | Parameter, ...]:
    return Parameter(f"{name}.scale", (heads,)), Parameter(f"{name}.bias", (heads,))


def _dots_layers(entries: Entries) -> Mapping[str, object]:
    """Sliding layers have sizes of their own; the others choose their tokens by an indexer."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    first = entries.size("first_k_dense_replace", MOST_LAYERS, least=0)
    listed = isinstance(entries.raw("moe_layer_freq"), list)
    marks = entries.indices("moe_layer_freq") if listed else ()
    every = 1 if listed else entries.size("moe_layer_freq", MOST_LAYERS)
    if listed and len(marks) != count:
        raise entries.refuse("moe_layer_freq", f"has {len(marks):,} entries, not {count:,}")
    mixed = tuple(
        index >= first and (bool(marks[index]) if listed else index % every == 0) for index in range(count)
    )
    chosen = entries.raw("use_dsa") is None or entries.flag("use_dsa")
    types = stated_kinds(
        entries, "layer_types", count, ("full_attention", "indexed_attention", "sliding_attention")
    )
    slides = entries.flag("use_sliding_window")
    types = types or tuple(
        "full_attention" if not slides or index < 2 or index % 4 == 1 else "sliding_attention"  # noqa: PLR2004 - its two first layers
        for index in range(count)
    )
    whole = "indexed_attention" if chosen else "full_attention"
    shared = entries.size("n_shared_experts") * entries.size("shared_experts_intermediate_size")
    return {
        "shared_width": shared,
        "layer_types": tuple(kind if kind == "sliding_attention" else whole for kind in types),
        "mlp_layer_types": entries.texts("mlp_layer_types")
        or tuple("sparse" if mixture else "dense" for mixture in mixed),
    }


def _dots_layer(entries: Entries, index: int) -> Mapping[str, object]:
    types = entries.values["layer_types"]
    kind = types[index] if isinstance(types, tuple) else ""
    if kind != "sliding_attention":
        return {"indexer_type": "full" if kind == "indexed_attention" else "shared"}
    names = ("num_attention_heads", "q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim")
    nope = entries.size("swa_qk_nope_head_dim")
    rope = entries.optional_size("swa_qk_rope_head_dim") or entries.size("swa_head_dim") - nope
    window = entries.optional_size("sliding_window", MOST_ROWS) or entries.size("sliding_window_size")
    own = {name: entries.size(f"swa_{name}") for name in names}
    return {**own, "qk_rope_head_dim": rope, "window": window, "indexer_type": "shared"}


def _dots(entries: Entries, layer: Layer) -> Layer:
    """A gate of the output, one number a head; a norm on the turned part of the keys."""
    layer = with_indexer(entries, layer)
    attention = layer.attention
    if not isinstance(attention, LatentAttention):
        return layer
    extras = (
        *attention.extras,
        Norm("self_attn.k_rope_only_layernorm", NormKind.RMS, attention.rope_dim),
        Linear("self_attn.g_proj", entries.size("hidden_size"), attention.heads),
    )
    window = entries.optional_size("window", MOST_ROWS)
    return replace(layer, attention=replace(attention, extras=extras, window=window))


MISTRAL_LARGE4 = replace(
    DEEPSEEK, derived=_mistral_layers, per_layer=_mistral_layer, finish=_mistral, mixture=SIGMOID
)
DOTS3 = replace(
    DEEPSEEK,
    derived=_dots_layers,
    per_layer=_dots_layer,
    finish=_dots,
    mixture=replace(
        SIGMOID,
        sparse=typed(everywhere),
        shared_count=None,
        shared_width="shared_width",
    ),
)

DIALECTS = with_predictors(
    (
        decoder(
            "mistral_large4_text",
            ("MistralLarge4ForConditionalGeneration", "MistralLarge4TextModel"),
            MISTRAL_LARGE4,
            class_defaults(
                (72, 6144, 64, 24576, 204800),
                64,
                1048576,
                kv_lora_rank=512,
                qk_rope_head_dim=64,
                v_head_dim=128,
                qk_nope_head_dim=64,
                moe_intermediate_size=6144,
                n_shared_experts=1,
                n_routed_experts=128,
                num_experts_per_tok=4,
                first_k_dense_replace=1,
                index_head_dim=128,
                index_n_heads=32,
                index_topk_freq=1,
                index_skip_topk_offset=2,
                no_rope_layer_interval=4,
            ),
            num_experts=("n_routed_experts", "num_local_experts", "num_experts"),
        ),
        decoder(
            "dots3_note_text",
            ("Dots3NoteForCausalLM", "Dots3NoteTextModel"),
            DOTS3,
            class_defaults(
                (46, 5120, 128, 13824, 152064),
                128,
                524288,
                **V3 | {"q_lora_rank": 1024},
                moe_intermediate_size=1536,
                n_shared_experts=1,
                shared_experts_intermediate_size=1536,
                n_routed_experts=256,
                num_experts_per_tok=8,
                first_k_dense_replace=1,
                moe_layer_freq=1,
                index_head_dim=128,
                index_n_heads=64,
                use_sliding_window=True,
                sliding_window_size=512,
                swa_num_attention_heads=64,
                swa_q_lora_rank=1024,
                swa_kv_lora_rank=1024,
                swa_head_dim=256,
                swa_qk_nope_head_dim=192,
                swa_v_head_dim=128,
            ),
            also=("Dots3NoteForConditionalGeneration",),
            shared_experts_intermediate_size=(
                "shared_experts_intermediate_size",
                "moe_shared_expert_intermediate_size",
            ),
            **ROUTED,
        ),
    )
)

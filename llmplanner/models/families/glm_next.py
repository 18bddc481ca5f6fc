"""GLM-5.3 Flash: Kimi delta attention and indexed latent attention, in several residual streams.

Defaults: Transformers 5.23.0 class defaults. Tensor names: its classes, and those in
Kimi Linear's files.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import LatentAttention, Layer, Parameter, Recurrent
from llmplanner.models.entries import Entries
from llmplanner.models.families.deepseek import DEEPSEEK, glm_indexers, indexer_of_layer, with_indexer
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import after, typed
from llmplanner.models.families.hyper import connections
from llmplanner.models.families.kimi import kimi_delta, kimi_nested
from llmplanner.models.families.mixers import ATTENTION, RECURRENT, listed, mixed
from llmplanner.models.families.mixtures import SIGMOID

_DECAY = "self_attn.A_log"
_listed = listed(
    "layer_types",
    lambda _entries, index: RECURRENT if (index + 1) % 4 else ATTENTION,
    (RECURRENT, ATTENTION, "indexed_attention", "deepseek_sparse_attention"),
)


def _kinds(entries: Entries, count: int) -> tuple[str, ...]:
    """Every attention is indexed, whatever name a file gives it."""
    return tuple(kind if kind == RECURRENT else ATTENTION for kind in _listed(entries, count))


def _delta(entries: Entries) -> Recurrent:
    """Kimi's, with one rate of decay a head."""
    mixer = kimi_delta(entries)
    decay = Parameter(_DECAY, (mixer.heads,))
    parameters = (decay if module.name == _DECAY else module for module in mixer.parameters)
    return replace(mixer, parameters=tuple(parameters))


def _derived(entries: Entries) -> Mapping[str, object]:
    """As in Kimi Linear, but for the tie, and GLM-5."""
    tied = entries.flag("tie_word_embeddings")
    return {**kimi_nested(entries), **glm_indexers(entries), "tie_word_embeddings": tied}


def _layer(entries: Entries, layer: Layer) -> Layer:
    layer = with_indexer(entries, layer)
    attention, dim = layer.attention, entries.size("index_head_dim")
    if isinstance(attention, LatentAttention) and attention.index_dim:
        name = "self_attn.indexer.index_kpool_compress_"
        pool = (
            Parameter(f"{name}ape", (entries.size("index_kpool"), dim)),
            Parameter(f"{name}gate", (dim, entries.size("hidden_size"))),
        )
        attention = replace(attention, extras=(*attention.extras, *pool))
    return replace(
        layer, attention=attention, extras=connections(entries, 2 + entries.size("hc_mult"), scales=3)
    )


GLM_NEXT = mixed(
    replace(
        DEEPSEEK,
        mixture=replace(SIGMOID, sparse=typed(after("first_k_dense_replace"))),
        derived=_derived,
        per_layer=indexer_of_layer,
        finish=_layer,
    ),
    _kinds,
    {RECURRENT: _delta},
)

DIALECTS = (
    decoder(
        "glm5_next_text",
        ("Glm5NextForConditionalGeneration", "Glm5NextTextModel"),
        GLM_NEXT,
        class_defaults(
            (45, 4096, 64, 12288, 154880),
            64,
            1048576,
            moe_intermediate_size=2048,
            n_shared_experts=1,
            n_routed_experts=288,
            num_experts_per_tok=8,
            first_k_dense_replace=3,
            kv_lora_rank=512,
            q_lora_rank=1536,
            qk_rope_head_dim=0,
            qk_nope_head_dim=256,
            v_head_dim=256,
            index_head_dim=128,
            index_n_heads=32,
            index_kpool=16,
            index_topk_freq=1,
            index_skip_topk_offset=2,
            linear_head_dim=128,
            linear_num_heads=64,
            linear_conv_kernel_dim=4,
            hc_mult=4,
        ),
        num_experts=("n_routed_experts", "num_local_experts"),
    ),
)

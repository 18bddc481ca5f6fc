"""Decoders with multi-head latent attention: DeepSeek-V2 and what came after it.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from llmplanner.core.model import Experts, LatentAttention, Layer, Linear, Norm, NormKind
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import after, all_but_first, typed
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixtures import ROUTED, SIGMOID
from llmplanner.models.families.predictors import with_predictors
from llmplanner.models.families.windows import stated_kinds


def latent_attention(entries: Entries, block: str = "self_attn") -> LatentAttention:
    """Attention over a compressed latent. Source: DeepSeek-V2 (arXiv:2405.04434) section 2.1."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    nope, rope = entries.size("qk_nope_head_dim"), entries.size("qk_rope_head_dim", least=0)
    value, kv_rank = entries.size("v_head_dim"), entries.size("kv_lora_rank")
    query_rank = entries.optional_size("q_lora_rank")
    bias = entries.flag("attention_bias")
    wide = heads * (nope + rope)
    if query_rank is None:
        query: tuple[Linear, ...] = (Linear(f"{block}.q_proj", hidden, wide),)
        query_norm = None
    else:
        down = Linear(f"{block}.q_a_proj", hidden, query_rank, bias)
        query = (down, Linear(f"{block}.q_b_proj", query_rank, wide))
        query_norm = Norm(f"{block}.q_a_layernorm", NormKind.RMS, query_rank)
    return LatentAttention(
        query=query,
        query_norm=query_norm,
        kv_down=Linear(f"{block}.kv_a_proj_with_mqa", hidden, kv_rank + rope, bias),
        kv_norm=Norm(f"{block}.kv_a_layernorm", NormKind.RMS, kv_rank),
        kv_up=Linear(f"{block}.kv_b_proj", kv_rank, heads * (nope + value)),
        output=Linear(f"{block}.o_proj", heads * value, hidden, bias),
        heads=heads,
        kv_rank=kv_rank,
        nope_dim=nope,
        rope_dim=rope,
        value_dim=value,
    )


def with_indexer(entries: Entries, layer: Layer) -> Layer:
    """The indexer that picks the tokens to attend to. Source: DeepSeek-V3.2 (arXiv:2512.02556) sec. 2."""
    attention = layer.attention
    if not isinstance(attention, LatentAttention) or entries.raw("indexer_type") == "shared":
        return layer
    hidden, rank = entries.size("hidden_size"), entries.size("q_lora_rank")
    heads, dim = entries.size("index_n_heads"), entries.size("index_head_dim")
    indexer = (
        Linear("self_attn.indexer.wq_b", rank, heads * dim),
        Linear("self_attn.indexer.wk", hidden, dim),
        Norm("self_attn.indexer.k_norm", NormKind.LAYER, dim, bias=True),
        Linear("self_attn.indexer.weights_proj", hidden, heads),
    )
    extras = (*attention.extras, *indexer)
    return replace(layer, attention=replace(attention, extras=extras, index_dim=dim))


def indexer_of_layer(entries: Entries, index: int) -> Mapping[str, object]:
    """Whether a layer has an indexer of its own, where `_indexers` says so of each."""
    types = entries.values["indexer_types"]
    return {"indexer_type": types[index]} if isinstance(types, Sequence) else {}


def glm_indexers(entries: Entries) -> Mapping[str, object]:
    """GLM-5: layers may take over the choice of tokens that an earlier one made."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    pattern = entries.raw("index_topk_pattern")
    if isinstance(pattern, str) and entries.raw("indexer_types") is None:
        letters = {"F": "full", "S": "shared"}
        stated: object = [letters.get(letter, letter) for letter in pattern]
        entries = entries.with_values({"indexer_types": stated})
    every = max(entries.size("index_topk_freq", MOST_LAYERS, least=0), 1)
    offset = entries.size("index_skip_topk_offset", MOST_LAYERS, least=0)
    return _indexers(entries, tuple(max(index - offset + 1, 0) % every == 0 for index in range(count)))


def hunyuan_indexers(entries: Entries) -> Mapping[str, object]:
    """Hunyuan 4: the first layer and every fourth after it have indexers."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    return _indexers(entries, tuple(index == 0 or (index - 1) % 4 == 0 for index in range(count)))


def _indexers(entries: Entries, own: tuple[bool, ...]) -> Mapping[str, object]:
    """What the file says of each layer's indexer; where it says nothing, by a rule."""
    types = stated_kinds(entries, "indexer_types", len(own), ("full", "shared"))
    return {"indexer_types": types or tuple("full" if full else "shared" for full in own)}


def _query_rank_needed(entries: Entries) -> Mapping[str, object]:
    """A family whose queries are always compressed."""
    entries.size("q_lora_rank")
    return {}


DEEPSEEK = replace(
    LLAMA,
    feed_forward_bias=False,
    attention=latent_attention,
    mixture=replace(SIGMOID, sparse=after("first_k_dense_replace")),
)
DEEPSEEK_V2 = replace(
    DEEPSEEK,
    feed_forward_bias="mlp_bias",
    mixture=replace(SIGMOID, sparse=after("first_k_dense_replace"), shared_bias="mlp_bias", corrected=False),
)
DENSE = replace(DEEPSEEK, mixture=None)
DEEPSEEK_V32 = replace(DEEPSEEK, finish=with_indexer, mixture=SIGMOID)
GLM_DSA = replace(DEEPSEEK_V32, derived=glm_indexers, per_layer=indexer_of_layer)
GLM_LITE = replace(DEEPSEEK, mixture=replace(SIGMOID, sparse=typed(all_but_first)))


def interleaved(entries: Entries, count: int) -> tuple[bool, ...]:
    """Every n-th layer from a stated one on."""
    first = entries.size("first_k_dense_replace", MOST_LAYERS, least=0)
    every = entries.size("moe_layer_freq", MOST_LAYERS)
    return tuple(index >= first and index % every == 0 for index in range(count))


def _normed_mixture(_entries: Entries, layer: Layer) -> Layer:
    """A.X K1 norms what a mixture gives."""
    if not isinstance(layer.feed_forward, Experts) or layer.attention_norm is None:
        return layer
    norm = Norm("mlp.post_mlp_layernorm", NormKind.RMS, layer.attention_norm.width)
    return replace(layer, feed_forward_output_norm=norm)


def _gated_norms(entries: Entries, layer: Layer) -> Layer:
    """A.X K2: queries come with a gate of the output, and norms are scaled by a gate of low rank."""
    layer = with_indexer(entries, layer)
    attention = layer.attention
    if not isinstance(attention, LatentAttention) or attention.query_norm is None:
        return layer
    rank = attention.query_norm.width
    wide = attention.heads * (attention.nope_dim + attention.rope_dim + attention.value_dim)
    query = (attention.query[0], Linear("self_attn.q_gate_proj", 2 * rank, wide))
    gates = _norm_gate(entries, "input_layernorm")
    if isinstance(layer.feed_forward, Experts):
        gates += _norm_gate(entries, "post_attention_layernorm")
    return replace(layer, attention=replace(attention, query=query), extras=gates)


def _norm_gate(entries: Entries, norm: str) -> tuple[Linear, ...]:
    hidden, rank = entries.size("hidden_size"), entries.size("gated_norm_rank")
    return Linear(f"{norm}.mlp.fc1", hidden, rank), Linear(f"{norm}.mlp.fc2", rank, hidden)


AXK1 = replace(
    DEEPSEEK,
    derived=_query_rank_needed,
    finish=_normed_mixture,
    mixture=replace(SIGMOID, sparse=typed(interleaved)),
)
AXK2 = replace(AXK1, finish=_gated_norms)
MINICPM3 = replace(
    DENSE,
    feed_forward_bias="mlp_bias",
    derived=lambda entries: (
        {}
        if entries.raw("v_head_dim") is not None
        else {"v_head_dim": entries.quotient("hidden_size", "num_attention_heads")}
    ),
)

V3 = {
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "qk_nope_head_dim": 128,
}
V3_DEFAULTS = class_defaults(
    (61, 7168, 128, 18432, 129280),
    128,
    4096,
    moe_intermediate_size=2048,
    n_shared_experts=1,
    n_routed_experts=256,
    num_experts_per_tok=8,
    first_k_dense_replace=3,
    **V3,
)

DIALECTS = with_predictors(
    (
        decoder(
            "deepseek_v2",
            "DeepseekV2",
            DEEPSEEK_V2,
            class_defaults(
                (32, 4096, 32, 11008, 102400),
                None,
                2048,
                moe_intermediate_size=1407,
                n_shared_experts=2,
                n_routed_experts=64,
                first_k_dense_replace=0,
                **V3,
            ),
            num_experts=("n_routed_experts", "num_experts"),
        ),
        decoder(
            "deepseek_v3",
            "DeepseekV3",
            DEEPSEEK,
            V3_DEFAULTS,
            **ROUTED,
        ),
        decoder(
            "deepseek_v32",
            "DeepseekV32",
            DEEPSEEK_V32,
            class_defaults(
                (61, 7168, 128, 18432, 129280),
                128,
                163840,
                moe_intermediate_size=2048,
                n_shared_experts=1,
                n_routed_experts=256,
                num_experts_per_tok=8,
                first_k_dense_replace=3,
                index_head_dim=128,
                index_n_heads=64,
                **V3,
            ),
            num_experts=("n_routed_experts", "num_local_experts", "num_experts"),
        ),
        decoder(
            "glm_moe_dsa",
            "GlmMoeDsa",
            GLM_DSA,
            class_defaults(
                (78, 6144, 64, 12288, 154880),
                64,
                202752,
                **V3 | {"q_lora_rank": 2048, "v_head_dim": 256, "qk_nope_head_dim": 192},
                moe_intermediate_size=2048,
                n_shared_experts=1,
                n_routed_experts=256,
                num_experts_per_tok=8,
                first_k_dense_replace=3,
                index_head_dim=128,
                index_n_heads=32,
                index_topk_freq=1,
                index_skip_topk_offset=2,
            ),
            num_experts=("n_routed_experts", "num_local_experts", "num_experts"),
        ),
        decoder(
            "glm4_moe_lite",
            "Glm4MoeLite",
            GLM_LITE,
            class_defaults(
                (47, 2048, 20, 10240, 154880),
                20,
                202752,
                **V3 | {"q_lora_rank": 768, "v_head_dim": 256, "qk_nope_head_dim": 192},
                moe_intermediate_size=1536,
                n_shared_experts=1,
                n_routed_experts=64,
                num_experts_per_tok=4,
            ),
            qk_rope_head_dim=("qk_rope_head_dim", "head_dim"),
            **ROUTED,
        ),
        decoder(
            "mistral4",
            "Mistral4",
            replace(DEEPSEEK, mixture=replace(DEEPSEEK_V2.mixture or SIGMOID, shared_bias=None)),
            class_defaults(
                (36, 4096, 32, 12288, 131072),
                32,
                1048576,
                **V3 | {"kv_lora_rank": 256, "q_lora_rank": 1024, "qk_nope_head_dim": 64},
                moe_intermediate_size=2048,
                n_shared_experts=1,
                n_routed_experts=128,
                num_experts_per_tok=4,
                first_k_dense_replace=0,
            ),
            **ROUTED,
        ),
        decoder(
            "axk1",
            "AXK1",
            AXK1,
            class_defaults(
                (61, 7168, 64, 18432, 163840),
                64,
                32768,
                moe_intermediate_size=2048,
                n_shared_experts=1,
                n_routed_experts=192,
                num_experts_per_tok=8,
                first_k_dense_replace=1,
                moe_layer_freq=1,
                **V3,
            ),
            **ROUTED,
        ),
        decoder(
            "axk2",
            "AXK2",
            AXK2,
            class_defaults(
                (48, 2048, 32, 5120, 163840),
                32,
                131072,
                kv_lora_rank=128,
                q_lora_rank=384,
                qk_rope_head_dim=32,
                v_head_dim=64,
                qk_nope_head_dim=64,
                moe_intermediate_size=512,
                n_shared_experts=1,
                n_routed_experts=128,
                num_experts_per_tok=8,
                first_k_dense_replace=1,
                moe_layer_freq=1,
                index_head_dim=128,
                index_n_heads=16,
                gated_norm_rank=16,
            ),
            **ROUTED,
        ),
        decoder(
            "minicpm3",
            "MiniCPM3",
            MINICPM3,
            class_defaults(
                (62, 2560, 40, 6400, 73448),
                40,
                32768,
                tie_word_embeddings=True,
                kv_lora_rank=256,
                q_lora_rank=768,
                qk_nope_head_dim=64,
                qk_rope_head_dim=32,
            ),
        ),
        decoder(
            "youtu",
            "Youtu",
            DENSE,
            class_defaults((32, 2048, 16, 6144, 128256), 16, 131072, tie_word_embeddings=True, **V3),
        ),
    )
)

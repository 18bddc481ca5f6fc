"""Architectures as GGUF files name them, and the entries of a config.json that say the same.

Sources: keys of gguf-py/gguf/constants.py; what each class of convert_hf_to_gguf.py writes; windows that
llama.cpp sets by architecture, in src/models/*.cpp (ggml-org/llama.cpp, 0.5.0-dev).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from llmplanner.models.gguf.entries import (
    DELTA,
    EXPERT_WIDTH,
    GEMMA_3N,
    GEMMA_4,
    HYBRID,
    LFM,
    MAMBA,
    MLA,
    NEMOTRON_H,
    T5,
    UNSLID,
    attending,
    deepseek,
    first,
    granite_types,
    mixtures,
    period,
)
from llmplanner.models.gguf.facts import Facts, Source


def _layer_types(facts: Facts) -> object:
    """From a pattern that is spelled out, true where a layer slides."""
    pattern = facts.key("attention.sliding_window_pattern")
    if not isinstance(pattern, list):
        return None
    layers = facts.size("block_count")
    return ["sliding_attention" if slides else "full_attention" for slides in pattern[:layers]]


COMMON: Mapping[str, Source] = {
    "num_hidden_layers": lambda facts: facts.layers,
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": lambda facts: facts.key("attention.head_count_kv") or None,
    "head_dim": lambda facts: facts.head_dim,
    "intermediate_size": "feed_forward_length",
    "vocab_size": lambda facts: facts.vocabulary,
    "max_position_embeddings": "context_length",
    "partial_rotary_factor": lambda facts: facts.rotated,
    "tie_word_embeddings": lambda facts: facts.tied,
    "attention_bias": lambda facts: facts.has("attn_q.bias", "attn_qkv.bias", "attn_q_a.bias"),
    "mlp_bias": lambda facts: facts.has("ffn_down.bias"),
    "sliding_window": "attention.sliding_window",
    "sliding_window_pattern": lambda facts: facts.size("attention.sliding_window_pattern") or None,
    "layer_types": _layer_types,
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "n_shared_experts": "expert_shared_count",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    "first_k_dense_replace": "leading_dense_block_count",
}


@dataclass(frozen=True, slots=True)
class Translation:
    """What an architecture is called in a config.json, and the entries that differ from the common ones.

    `model_type` may depend on the file. An entry of None, or one that the file does not state, becomes null.
    """

    model_type: str | Callable[[Facts], str]
    entries: Mapping[str, Source | None] = field(default_factory=dict)
    body: str = ""  # the class without an output head, where the files have none

    def named(self, facts: Facts) -> str:
        """The model_type of one file."""
        return self.model_type if isinstance(self.model_type, str) else self.model_type(facts)


def _by_experts(dense: str, mixture: str) -> Callable[[Facts], str]:
    return lambda facts: mixture if facts.size("expert_count") else dense


def _by_window(plain: str, sliding: str) -> Callable[[Facts], str]:
    return lambda facts: sliding if facts.size("attention.sliding_window") else plain


def _by_shared(plain: str, shared: str) -> Callable[[Facts], str]:
    return lambda facts: shared if facts.size("expert_shared_feed_forward_length") else plain


LLAMA_FORM = Translation(_by_experts("llama", "mixtral"), EXPERT_WIDTH | UNSLID)

TRANSLATIONS: Mapping[str, Translation] = {
    "llama": LLAMA_FORM,
    "baichuan": Translation("baichuan", UNSLID),
    "internlm2": Translation("internlm2", {"bias": lambda facts: facts.has("attn_q.bias")}),
    "xverse": Translation("xverse", UNSLID),
    "minicpm": LLAMA_FORM,
    "exaone": Translation("exaone", UNSLID),
    "orion": Translation("orion", UNSLID),
    "llama-embed": Translation("llama", UNSLID, body="LlamaModel"),
    "mistral3": Translation("ministral3", UNSLID),
    "llama4": Translation(
        "llama4_text",
        {
            "intermediate_size": "expert_feed_forward_length",
            "intermediate_size_mlp": "feed_forward_length",
            "interleave_moe_layer_step": "interleave_moe_layer_step",
            "sliding_window_pattern": None,
        },
    ),
    "qwen": Translation("qwen", UNSLID),
    "qwen2": Translation("qwen2"),
    "qwen2vl": Translation("qwen2"),
    "qwen2moe": Translation("qwen2_moe", {"qkv_bias": lambda facts: facts.has("attn_q.bias")}),
    "qwen3": Translation("qwen3"),
    "qwen3vl": Translation("qwen3"),
    "qwen3moe": Translation("qwen3_moe"),
    "qwen3vlmoe": Translation("qwen3_moe"),
    "gemma": Translation("gemma"),
    "gemma2": Translation("gemma2"),
    "gemma3": Translation("gemma3_text"),
    "gemma-embedding": Translation("gemma3_text", body="Gemma3TextModel"),
    "gemma3n": Translation("gemma3n_text", GEMMA_3N),
    "gemma4": Translation("gemma4_text", GEMMA_4),
    "phi2": Translation("phi"),
    "phi3": Translation("phi3", UNSLID),  # llama.cpp keeps the whole context of Phi-3
    "phimoe": Translation("phimoe", UNSLID),
    "falcon": Translation(
        "falcon",
        {
            "new_decoder_architecture": lambda facts: facts.has("attn_norm_2.weight"),
            "multi_query": lambda facts: facts.size("attention.head_count_kv") == 1,
            "parallel_attn": lambda _facts: True,
            "bias": lambda facts: facts.has("attn_qkv.bias"),
        },
    ),
    "gpt2": Translation("gpt2"),
    "gptj": Translation("gptj", {"rotary_dim": "rope.dimension_count"}),
    "gptneox": Translation(
        "gpt_neox",
        {
            "rotary_pct": lambda facts: facts.rotated or 1.0,
            "use_parallel_residual": "use_parallel_residual",
        },
    ),
    "mpt": Translation("mpt"),
    "bloom": Translation("bloom"),
    "starcoder": Translation(
        "gpt_bigcode", {"multi_query": lambda facts: facts.size("attention.head_count_kv") == 1}
    ),
    "starcoder2": Translation("starcoder2", UNSLID | {"use_bias": lambda facts: facts.has("ffn_down.bias")}),
    "stablelm": Translation(
        "stablelm",
        {
            "use_qkv_bias": lambda facts: facts.has("attn_q.bias"),
            "qk_layernorm": lambda facts: facts.has("attn_q_norm.weight"),
            "use_parallel_residual": lambda facts: not facts.has("ffn_norm.weight"),
        },
    ),
    "minicpm3": Translation("minicpm3", MLA),
    "deepseek2": Translation(deepseek, MLA),
    "glm-dsa": Translation("glm_moe_dsa", MLA),
    "mistral4": Translation("mistral4", MLA),
    "glm4": Translation("glm4"),
    "chatglm": Translation("glm", UNSLID),
    "glm4moe": Translation("glm4_moe", {"use_qk_norm": lambda facts: facts.has("attn_q_norm.weight")}),
    "command-r": Translation("cohere", {"use_qk_norm": lambda facts: facts.has("attn_q_norm.weight")}),
    "cohere2": Translation("cohere2"),
    "dbrx": Translation("dbrx"),
    "olmo": Translation("olmo", UNSLID),
    "olmo2": Translation(_by_window("olmo2", "olmo3")),
    "olmoe": Translation("olmoe", EXPERT_WIDTH | UNSLID),
    "granite": Translation("granite", UNSLID),
    "granitemoe": Translation(
        _by_shared("granitemoe", "granitemoeshared"),
        {**EXPERT_WIDTH, **UNSLID, "shared_intermediate_size": "expert_shared_feed_forward_length"},
    ),
    "nemotron": Translation("nemotron", UNSLID),
    "exaone4": Translation("exaone4"),
    "exaone-moe": Translation("exaone_moe"),
    "mamba": Translation("mamba", MAMBA),
    "mamba2": Translation("mamba2", MAMBA),
    "falcon-h1": Translation("falcon_h1", HYBRID),
    "jamba": Translation(
        "jamba",
        {
            **HYBRID,
            "intermediate_size": lambda facts: facts.most("feed_forward_length"),
            "attn_layer_period": lambda facts: period(attending(facts)),
            "attn_layer_offset": lambda facts: first(attending(facts)),
            "expert_layer_period": lambda facts: period(mixtures(facts)),
            "expert_layer_offset": lambda facts: first(mixtures(facts)),
        },
    ),
    "granitehybrid": Translation(
        "granitemoehybrid",
        {
            **HYBRID,
            "intermediate_size": lambda facts: (
                facts.key("expert_feed_forward_length") or facts.most("feed_forward_length")
            ),
            "num_experts": lambda facts: facts.size("expert_count"),
            "shared_intermediate_size": lambda facts: (
                facts.key("expert_shared_feed_forward_length") or facts.most("feed_forward_length")
            ),
            "layer_types": granite_types,
        },
    ),
    "lfm2": Translation("lfm2", LFM),
    "lfm2moe": Translation("lfm2_moe", LFM),
    "nemotron_h": Translation("nemotron_h", NEMOTRON_H),
    "nemotron_h_moe": Translation("nemotron_h", NEMOTRON_H),
    "qwen3next": Translation("qwen3_next", DELTA),
    "qwen35": Translation("qwen3_5_text", DELTA),
    "qwen35moe": Translation("qwen3_5_moe_text", DELTA),
    "gpt-oss": Translation("gpt_oss", EXPERT_WIDTH),
    "hunyuan-dense": Translation("hunyuan_v1_dense", UNSLID),
    "hunyuan-moe": Translation("hunyuan_v1_moe", EXPERT_WIDTH | UNSLID),
    "ernie4_5": Translation("ernie4_5", UNSLID),
    "ernie4_5-moe": Translation(
        "ernie4_5_moe",
        {
            "moe_layer_start_index": "leading_dense_block_count",
            "moe_num_shared_experts": "expert_shared_count",
        },
    ),
    "smollm3": Translation("smollm3", UNSLID),
    "dots1": Translation("dots1", UNSLID),
    "seed_oss": Translation("seed_oss", UNSLID),
    "arcee": Translation("arcee", UNSLID),
    "apertus": Translation("apertus", UNSLID),
    "bitnet": Translation("bitnet", UNSLID),
    "afmoe": Translation("afmoe", {"num_dense_layers": "leading_dense_block_count"}),
    "minimax-m2": Translation("minimax_m2", EXPERT_WIDTH | UNSLID),
    "t5": Translation("t5", T5),
    "t5encoder": Translation("t5", T5, body="T5EncoderModel"),
    "bert": Translation(
        "bert",
        {"type_vocab_size": lambda facts: facts.rows("token_types.weight")},
        body="BertModel",
    ),
}

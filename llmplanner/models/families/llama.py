"""The decoders of Llama's form: RMSNorm before each branch, rotary positions, a gated feed-forward.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.core.model import LatentAttention, Linear, Norm, NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import DecoderData, MixtureKeys
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.windows import (
    alternating_window,
    gated_window,
    switched_window,
    uniform_window,
)

LLAMA = DecoderData(
    body="model.",
    embedding="embed_tokens",
    layer="layers.{layer}.",
    attention_inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_output="self_attn.o_proj",
    feed_forward_inputs=("mlp.gate_proj", "mlp.up_proj"),
    feed_forward_output="mlp.down_proj",
    attention_norm="input_layernorm",
    feed_forward_norm="post_attention_layernorm",
    final_norm="norm",
    norm=NormKind.RMS,
    activation="hidden_act",
    gated=True,
    input_bias="attention_bias",
    output_bias="attention_bias",
    feed_forward_bias="mlp_bias",
    rotary="",
    head_dim=True,
    grouped=True,
)
MISTRAL = replace(LLAMA, input_bias=False, output_bias=False, feed_forward_bias=False, windows=uniform_window)
MIXTRAL = replace(
    MISTRAL,
    mixture=MixtureKeys(
        count="num_experts",
        width="intermediate_size",
        router="block_sparse_moe.gate",
        gate="block_sparse_moe.experts.{expert}.w1",
        up="block_sparse_moe.experts.{expert}.w3",
        down="block_sparse_moe.experts.{expert}.w2",
        sparse=lambda _entries, _index: True,
    ),
)
QWEN2 = replace(LLAMA, input_bias=True, output_bias=False, feed_forward_bias=False, windows=switched_window)
QWEN3 = replace(
    LLAMA,
    feed_forward_bias=False,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    windows=switched_window,
)


def _qwen3_sparse(entries: Entries, index: int) -> bool:
    step = entries.size("decoder_sparse_step")
    return index not in entries.indices("mlp_only_layers") and (index + 1) % step == 0


def _deepseek_sparse(entries: Entries, index: int) -> bool:
    return index >= entries.size("first_k_dense_replace", least=0)


QWEN3_MOE = replace(
    QWEN3,
    windows=gated_window,
    mixture=MixtureKeys(
        count="num_experts",
        width="moe_intermediate_size",
        router="mlp.gate",
        sparse=_qwen3_sparse,
        gate="mlp.experts.{expert}.gate_proj",
        up="mlp.experts.{expert}.up_proj",
        down="mlp.experts.{expert}.down_proj",
    ),
)
GEMMA = replace(LLAMA, feed_forward_bias=False, norm=NormKind.RMS_PLUS_ONE, activation="hidden_activation")
GEMMA2 = replace(
    GEMMA,
    feed_forward_norm="pre_feedforward_layernorm",
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    softcaps=("attn_logit_softcapping", "final_logit_softcapping"),
    windows=alternating_window,
)
GEMMA3 = replace(
    GEMMA2,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    refused=(("use_bidirectional_attention", "that attends both ways"),),
)
PHI3 = replace(
    MISTRAL,
    attention_inputs=("self_attn.qkv_proj",),
    feed_forward_inputs=("mlp.gate_up_proj",),
    rotary="partial_rotary_factor",
    dropouts=("resid_pdrop", "attention_dropout", "embd_pdrop"),
)


def latent_attention(entries: Entries) -> LatentAttention:
    """DeepSeek's attention over a compressed latent. Source: DeepSeek-V2 (arXiv:2405.04434) section 2.1."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    nope, rope = entries.size("qk_nope_head_dim"), entries.size("qk_rope_head_dim")
    value, kv_rank = entries.size("v_head_dim"), entries.size("kv_lora_rank")
    query_rank = entries.optional_size("q_lora_rank")
    bias = entries.flag("attention_bias")
    wide = heads * (nope + rope)
    if query_rank is None:
        query: tuple[Linear, ...] = (Linear("self_attn.q_proj", hidden, wide),)
        query_norm = None
    else:
        down = Linear("self_attn.q_a_proj", hidden, query_rank, bias)
        query = (down, Linear("self_attn.q_b_proj", query_rank, wide))
        query_norm = Norm("self_attn.q_a_layernorm", NormKind.RMS, query_rank)
    return LatentAttention(
        query=query,
        query_norm=query_norm,
        kv_down=Linear("self_attn.kv_a_proj_with_mqa", hidden, kv_rank + rope, bias),
        kv_norm=Norm("self_attn.kv_a_layernorm", NormKind.RMS, kv_rank),
        kv_up=Linear("self_attn.kv_b_proj", kv_rank, heads * (nope + value)),
        output=Linear("self_attn.o_proj", heads * value, hidden, bias),
        heads=heads,
        kv_rank=kv_rank,
        nope_dim=nope,
        rope_dim=rope,
        value_dim=value,
    )


DEEPSEEK = replace(
    LLAMA,
    feed_forward_bias=False,
    attention=latent_attention,
    mixture=MixtureKeys(
        count="num_experts",
        width="moe_intermediate_size",
        router="mlp.gate",
        sparse=_deepseek_sparse,
        shared=("mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj", "mlp.shared_experts.down_proj"),
        shared_count="n_shared_experts",
        router_fp32=True,
        gate="mlp.experts.{expert}.gate_proj",
        up="mlp.experts.{expert}.up_proj",
        down="mlp.experts.{expert}.down_proj",
    ),
)


_QWEN_WINDOW = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
_GEMMA_WINDOW = {"tie_word_embeddings": True, "head_dim": 256, "sliding_window": 4096}

DIALECTS = (
    decoder(
        "llama",
        ("LlamaForCausalLM", "LlamaModel"),
        LLAMA,
        class_defaults((32, 4096, 32, 11008, 32000), None, 2048),
    ),
    decoder(
        "mistral",
        ("MistralForCausalLM", "MistralModel"),
        MISTRAL,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, sliding_window=4096),
    ),
    decoder(
        "mixtral",
        ("MixtralForCausalLM", "MixtralModel"),
        MIXTRAL,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, num_experts_per_tok=2, num_local_experts=8),
        num_experts=("num_local_experts", "num_experts"),
    ),
    decoder(
        "qwen2",
        ("Qwen2ForCausalLM", "Qwen2Model"),
        QWEN2,
        class_defaults((32, 4096, 32, 22016, 151936), 32, 32768, **_QWEN_WINDOW),
    ),
    decoder(
        "qwen3",
        ("Qwen3ForCausalLM", "Qwen3Model"),
        QWEN3,
        class_defaults((32, 4096, 32, 22016, 151936), 32, 32768, head_dim=128, **_QWEN_WINDOW),
    ),
    decoder(
        "qwen3_moe",
        ("Qwen3MoeForCausalLM", "Qwen3MoeModel"),
        QWEN3_MOE,
        class_defaults(
            (24, 2048, 32, 6144, 151936),
            4,
            32768,
            decoder_sparse_step=1,
            moe_intermediate_size=768,
            num_experts_per_tok=8,
            num_experts=128,
            **_QWEN_WINDOW,
        ),
        num_experts=("num_experts", "num_local_experts"),
    ),
    decoder(
        "gemma",
        ("GemmaForCausalLM", "GemmaModel"),
        GEMMA,
        class_defaults((28, 3072, 16, 24576, 256000), 16, 8192, tie_word_embeddings=True, head_dim=256),
    ),
    decoder(
        "gemma2",
        ("Gemma2ForCausalLM", "Gemma2Model"),
        GEMMA2,
        class_defaults(
            (26, 2304, 8, 9216, 256000),
            4,
            8192,
            sliding_window_pattern=2,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
            **_GEMMA_WINDOW,
        ),
    ),
    replace(
        decoder(
            "gemma3_text",
            ("Gemma3ForCausalLM", "Gemma3TextModel"),
            GEMMA3,
            class_defaults((26, 2304, 8, 9216, 262208), 4, 131072, sliding_window_pattern=6, **_GEMMA_WINDOW),
        ),
        # The text_config in Gemma 3's published files leaves out heads and vocabulary equal to the class's.
        sizes=("num_hidden_layers", "hidden_size", "intermediate_size"),
    ),
    decoder(
        "phi3",
        ("Phi3ForCausalLM", "Phi3Model"),
        PHI3,
        class_defaults(
            (32, 3072, 32, 8192, 32064),
            None,
            4096,
            partial_rotary_factor=1.0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
        ),
    ),
    decoder(
        "deepseek_v3",
        ("DeepseekV3ForCausalLM", "DeepseekV3Model"),
        DEEPSEEK,
        class_defaults(
            (61, 7168, 128, 18432, 129280),
            128,
            4096,
            moe_intermediate_size=2048,
            n_shared_experts=1,
            n_routed_experts=256,
            kv_lora_rank=512,
            q_lora_rank=1536,
            qk_rope_head_dim=64,
            v_head_dim=128,
            qk_nope_head_dim=128,
            num_experts_per_tok=8,
            first_k_dense_replace=3,
        ),
        num_experts=("n_routed_experts", "num_local_experts"),
    ),
)

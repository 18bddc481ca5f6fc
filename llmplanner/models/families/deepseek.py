"""Decoders with multi-head latent attention: DeepSeek-V2 and what came after it.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.core.model import LatentAttention, Linear, Norm, NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys, after
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixtures import GATED


def latent_attention(entries: Entries) -> LatentAttention:
    """Attention over a compressed latent. Source: DeepSeek-V2 (arXiv:2405.04434) section 2.1."""
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


MIXTURE = MixtureKeys(
    count="num_experts",
    width="moe_intermediate_size",
    router="mlp.gate",
    expert=GATED,
    sparse=after("first_k_dense_replace"),
    shared=("mlp.shared_experts.gate_proj", "mlp.shared_experts.up_proj", "mlp.shared_experts.down_proj"),
    shared_count="n_shared_experts",
    router_fp32=True,
)
DEEPSEEK = replace(LLAMA, feed_forward_bias=False, attention=latent_attention, mixture=MIXTURE)

DIALECTS = (
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

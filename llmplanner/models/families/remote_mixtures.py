"""Mixtures of experts whose code came with their files, not with Transformers: DeepSeekMoE, Kimi K2, Ling.

Defaults: the configuration_*.py beside each model's files. Tensor names: those files.
"""

from dataclasses import replace

from llmplanner.models.families.deepseek import DEEPSEEK, V3_DEFAULTS, interleaved
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import after
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixtures import ROUTED, SIGMOID
from llmplanner.models.families.predictors import with_predictors

DEEPSEEK_MOE = replace(
    LLAMA, feed_forward_bias=False, mixture=replace(SIGMOID, sparse=interleaved, router_fp32=False)
)
LING = replace(
    LLAMA,
    embedding="word_embeddings",
    attention_inputs=("attention.query_key_value",),
    attention_output="attention.dense",
    input_bias="use_qkv_bias",
    output_bias="use_bias",
    feed_forward_bias=False,
    mixture=replace(SIGMOID, sparse=after("first_k_dense_replace"), router_fp32=False),
)
LING_2 = replace(
    LING,
    query_key_norm=("attention.query_layernorm", "attention.key_layernorm"),
    query_key_normed="use_qk_norm",
    rotary="partial_rotary_factor",
)
SHARED = {"n_shared_experts": ("num_shared_experts",)}

DIALECTS = with_predictors(
    (
        decoder(
            "kimi_k2",
            "DeepseekV3",
            DEEPSEEK,
            V3_DEFAULTS,
            **ROUTED,
        ),
        decoder(
            "deepseek",
            "Deepseek",
            DEEPSEEK_MOE,
            class_defaults(
                (30, 4096, 32, 11008, 102400),
                32,
                2048,
                moe_intermediate_size=1407,
                first_k_dense_replace=0,
                moe_layer_freq=1,
            ),
            also=("DeepseekV2ForCausalLM",),
            **ROUTED,
        ),
        decoder(
            "bailing_moe",
            "BailingMoe",
            LING,
            class_defaults(
                (28, 2048, 16, 5632, 30592),
                None,
                16384,
                num_experts=16,
                num_experts_per_tok=2,
                num_shared_experts=0,
                first_k_dense_replace=0,
            ),
            **SHARED,
        ),
        decoder(
            "bailing_moe_v2",
            "BailingMoeV2",
            LING_2,
            class_defaults(
                (20, 2048, 16, 5120, 157184),
                4,
                32768,
                head_dim=128,
                partial_rotary_factor=0.5,
                use_qk_norm=True,
                moe_intermediate_size=512,
                num_experts=256,
                num_experts_per_tok=8,
                num_shared_experts=1,
                first_k_dense_replace=1,
            ),
            **SHARED,
        ),
    )
)

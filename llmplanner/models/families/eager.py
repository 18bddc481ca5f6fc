"""How the attention of some classes in Transformers 5.23 differs from the others'.

EAGER: those without PyTorch's fused kernel.

Source: `_supports_sdpa` of the classes. Those whose layers say so themselves (soft caps, ALiBi, sinks) are
not listed.
"""

EAGER = frozenset(
    {"big_bird", "bigbird_pegasus", "canine", "codegen", "convbert", "cpmant", "deberta", "deberta-v2"}
    | {"flaubert", "fsmt", "funnel", "gpt_neo", "gpt_neox_japanese", "gptj", "ibert", "led", "lilt"}
    | {"longformer", "longt5", "luke", "megatron-bert", "mimo_v2_flash", "mpnet", "mra", "mvp", "nllb-moe"}
    | {"nystromformer", "openai-gpt", "pegasus_x", "prophetnet", "reformer", "rembert", "roformer"}
    | {"splinter", "squeezebert", "switch_transformers", "tapas", "xglm", "xlm", "xlnet", "yoso"}
)
SCORES_FP32 = frozenset({"codegen", "flint", "gpt_neo", "gptj"})  # `_attn` turns queries and keys into FP32
ROTARY_FP32 = frozenset(  # `apply_rotary_pos_emb` turns queries and keys into FP32
    {"cohere", "cohere2", "cohere2_moe", "ernie4_5", "ernie4_5_moe", "modernbert", "modernbert-decoder"}
)

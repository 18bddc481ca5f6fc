"""The architectures whose class in Transformers 5.23 has no attention by PyTorch's fused kernel.

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

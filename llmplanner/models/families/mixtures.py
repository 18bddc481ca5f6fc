"""Decoders whose feed-forward is a mixture of experts, with attention of the usual form.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys, everywhere, stepped
from llmplanner.models.families.llama import MISTRAL, QWEN3, QWEN_WINDOW
from llmplanner.models.families.windows import gated_window

GATED = ("mlp.experts.{expert}.gate_proj", "mlp.experts.{expert}.up_proj", "mlp.experts.{expert}.down_proj")
BLOCK = tuple(f"block_sparse_moe.experts.{{expert}}.{name}" for name in ("w1", "w3", "w2"))

MIXTRAL = replace(
    MISTRAL,
    mixture=MixtureKeys(
        count="num_experts",
        width="intermediate_size",
        router="block_sparse_moe.gate",
        expert=BLOCK,
        sparse=everywhere,
    ),
)
QWEN3_MOE = replace(
    QWEN3,
    windows=gated_window,
    mixture=MixtureKeys(
        count="num_experts",
        width="moe_intermediate_size",
        router="mlp.gate",
        expert=GATED,
        sparse=stepped,
    ),
)

DIALECTS = (
    decoder(
        "mixtral",
        ("MixtralForCausalLM", "MixtralModel"),
        MIXTRAL,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, num_experts_per_tok=2, num_local_experts=8),
        num_experts=("num_local_experts", "num_experts"),
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
            **QWEN_WINDOW,
        ),
        num_experts=("num_experts", "num_local_experts"),
    ),
)

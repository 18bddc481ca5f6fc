"""Mixtures of experts and latent attention: caches, further layers of a checkpoint, names, refusals."""

import json
import time
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Experts, Model
from llmplanner.core.tensors import inventory, parameters
from llmplanner.core.terms.kv_cache import kept
from llmplanner.models.config import from_config
from llmplanner.models.families.predictors import STORED, elements_of_one

CACHES = json.loads((Path(__file__).parent.parent / "data" / "caches_experts.json").read_text("utf-8"))[
    "caches"
]
GLM_4_5_AIR = {
    "model_type": "glm4_moe",
    "attention_bias": True,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 10944,
    "moe_intermediate_size": 1408,
    "n_routed_experts": 128,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 1,
    "num_attention_heads": 96,
    "num_hidden_layers": 46,
    "num_key_value_heads": 8,
    "vocab_size": 151552,
    "num_nextn_predict_layers": 1,
}
GLM_4_5 = GLM_4_5_AIR | {
    "hidden_size": 5120,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "n_routed_experts": 160,
    "first_k_dense_replace": 3,
    "num_hidden_layers": 92,
    "use_qk_norm": True,
}
GLM_4_7_FLASH = {"model_type": "glm4_moe_lite", "num_nextn_predict_layers": 1}
GLM_5 = {"model_type": "glm_moe_dsa", "num_nextn_predict_layers": 1}


def read(config: dict[str, object]) -> Model:
    return from_config(config, "a", "a.json")


@pytest.mark.parametrize("row", CACHES, ids=lambda row: row["name"])
def test_the_cache_holds_what_transformers_kept(row: dict[str, object]) -> None:
    config, tokens, sequences = row["config"], row["tokens"], row["sequences"]
    assert isinstance(config, dict)
    assert isinstance(tokens, int)
    assert isinstance(sequences, int)
    held = (group.layers * group.width * group.tokens(tokens, 0) * sequences for group in kept(read(config)))
    assert sum(held) == row["elements"]


@pytest.mark.parametrize(
    ("config", "on_the_hub"),
    [
        (GLM_4_5_AIR, 110_468_824_832),  # zai-org/GLM-4.5-Air
        (GLM_4_5, 358_337_791_296),  # zai-org/GLM-4.5
        (GLM_4_7_FLASH, 31_221_488_576),  # zai-org/GLM-4.7-Flash
        (GLM_5, 753_864_139_008),  # zai-org/GLM-5
    ],
    ids=["GLM-4.5-Air", "GLM-4.5", "GLM-4.7-Flash", "GLM-5"],
)
def test_a_checkpoint_holds_the_layer_that_predicts_further(
    config: dict[str, object], on_the_hub: int
) -> None:
    """The hub counts what the files hold: a correction bias an expert, in every mixture, too."""
    model = read(config)
    further = elements_of_one(model, STORED[model.model_type])
    assert f"{further:,}" in model.note
    biases = [
        group.layer.feed_forward.count
        for group in model.stacks[0].groups
        for _ in group.indices
        if isinstance(group.layer.feed_forward, Experts)
    ]
    assert parameters(model).total + further + sum(biases) + biases[-1] == on_the_hub


def test_a_further_layer_of_unknown_form_is_named_without_a_number() -> None:
    note = read({"model_type": "ernie4_5_moe", "num_nextn_predict_layers": 2}).note
    assert note == "A checkpoint also holds 2 layers that predict further tokens, not counted here."
    assert not read({"model_type": "ernie4_5_moe", "num_nextn_predict_layers": 0}).note


def test_experts_without_weights_count_in_the_router_alone() -> None:
    idle, none = (
        parameters(read({"model_type": "longcat_flash", "zero_expert_num": count})) for count in (256, 0)
    )
    assert idle.total - none.total == 28 * 256 * 6144
    names = {tensor.name for tensor in inventory(read({"model_type": "longcat_flash", "num_layers": 2}))}
    assert "model.layers.1.self_attn.1.kv_a_proj_with_mqa.weight" in names
    assert "model.layers.1.mlps.0.down_proj.weight" in names
    assert "model.layers.1.mlp.experts.511.gate_proj.weight" in names


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"model_type": "gpt_oss", "num_experts_per_tok": 200}, "num_experts_per_tok"),
        ({"model_type": "gpt_oss", "layer_types": ["full_attention"]}, "layer_types"),
        ({"model_type": "hy_v3", "mlp_layer_types": ["soup"] * 80}, "mlp_layer_types"),
        ({"model_type": "glm_moe_dsa", "index_topk_pattern": "FSX"}, "indexer_types"),
        ({"model_type": "deepseek_v4", "compress_ratios": [0, 5] * 30}, "compress_ratios"),
        ({"model_type": "dbrx", "ffn_config": [1]}, "ffn_config"),
        ({"model_type": "dbrx", "ffn_config": {"moe_num_experts": "many"}}, "ffn_config.moe_num_experts"),
        ({"model_type": "laguna", "num_attention_heads_per_layer": [8]}, "num_attention_heads_per_layer"),
        ({"model_type": "laguna", "gating": []}, "gating"),
        ({"model_type": "ernie4_5_vl_moe_text", "moe_intermediate_size": [8]}, "moe_intermediate_size"),
        ({"model_type": "minimax_m3_vl_text", "moe_layer_freq": [1]}, "moe_layer_freq"),
        ({"model_type": "hunyuan_v1_moe", "moe_topk": [1]}, "moe_topk"),
        ({"model_type": "axk1", "q_lora_rank": None}, "q_lora_rank"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_go_together_is_refused(config: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(config)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"a.json: {field} ")


def test_a_number_of_no_layer_is_passed_over() -> None:
    dense = read({"model_type": "step3p5", "moe_layers_enum": f"1,{'9' * 5000}", "num_hidden_layers": 4})
    mixtures = [group for group in dense.stacks[0].groups if isinstance(group.layer.feed_forward, Experts)]
    assert [group.indices for group in mixtures] == [(1,)]


@pytest.mark.parametrize("kind", ["gpt_oss", "step3p5", "glm_moe_dsa", "deepseek_v4", "minimax_m3_vl_text"])
def test_ten_thousand_layers_are_read_in_a_second(kind: str) -> None:
    """Lists with an entry a layer are walked once, not once a layer."""
    start = time.process_time()
    model = read(
        {
            "model_type": kind,
            "num_hidden_layers": 10_000,
            "hidden_size": 64,
            "mlp_layer_types": None if kind == "deepseek_v4" else ["sparse"] * 10_000,
            "indexer_types": ["full"] * 10_000,
            "intermediate_size": 64,
            "moe_intermediate_size": 64,
            "vocab_size": 64,
            "num_attention_heads": 8,
            "num_key_value_heads": 8,
        }
    )
    assert model.layers == 10_000
    assert time.process_time() - start < 1

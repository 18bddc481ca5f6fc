"""Models with memory of a fixed size: their caches as Transformers allocates them, and what stands where."""

import json
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.flops import sequence_flops
from llmplanner.core.formats import FORMATS
from llmplanner.core.model import Attention
from llmplanner.core.tensors import inventory, parameters
from llmplanner.core.terms.kv_cache import kept, kv_cache
from llmplanner.core.terms.recurrent_state import recurrent_state, states
from llmplanner.models.config import from_config, load

TOKENS = 9  # of the one sequence whose cache was counted
DATA = Path(__file__).parent.parent / "data"
COUNTED = json.loads((DATA / "counted" / "hybrids.json").read_text("utf-8"))["configs"]
NAMES = json.loads((DATA / "names_hybrids.json").read_text("utf-8"))["models"]


@pytest.mark.parametrize("row", [row for row in COUNTED if "cache" in row], ids=lambda row: row["name"])
def test_keeps_what_transformers_keeps(row: dict[str, object]) -> None:
    config, counted = row["config"], row["cache"]
    assert isinstance(config, dict)
    assert isinstance(counted, list)
    model, form = from_config(config, "a", "a.json"), FORMATS["bf16"]
    cache = kv_cache(kept(model), form, TOKENS, 0, 1).bytes
    state = recurrent_state(states(model), form, 1).bytes
    assert cache + state == 2 * counted[0] + 4 * counted[1]


@pytest.mark.parametrize("row", [row for row in COUNTED if row["total"] < 10**9], ids=lambda row: row["name"])
def test_every_tensor_has_a_name_of_its_own(row: dict[str, object]) -> None:
    config = row["config"]
    assert isinstance(config, dict)
    model = from_config(config, "a", "a.json")
    tensors = inventory(model)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    assert sum(tensor.elements for tensor in tensors) == parameters(model).total


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row["config"]["model_type"])
def test_tensors_are_called_and_shaped_as_in_transformers(row: dict[str, dict[str, object]]) -> None:
    tensors = inventory(from_config(row["config"], "a", "a.json"))
    ours = {tensor.name: list(tensor.shape) for tensor in tensors if ".experts." not in tensor.name}
    assert ours == row["tensors"]


def test_layers_that_share_a_block_count_once() -> None:
    config = {
        "model_type": "zamba2",
        "num_hidden_layers": 6,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "vocab_size": 100,
        "layers_block_type": ["mamba", "hybrid"] * 3,
    }
    model = from_config(config, "a", "a.json")
    assert model.layers == 6
    shared = [tensor for tensor in inventory(model) if "shared_transformer.self_attn" in tensor.name]
    assert {tensor.layer for tensor in shared} == {1}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"model_type": "mamba2", "num_heads": 7}, "num_heads"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "MX"}, "hybrid_override_pattern"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": ""}, "hybrid_override_pattern"),
        ({"model_type": "nemotron_h", "hybrid_override_pattern": "M" * 10_001}, "hybrid_override_pattern"),
        ({"model_type": "zamba", "layers_block_type": ["hybrid"]}, "layers_block_type"),
        ({"model_type": "zamba2", "layers_block_type": ["conv"] * 54}, "layers_block_type"),
        ({"model_type": "qwen3_next", "layer_types": ["full_attention"]}, "layer_types"),
        ({"model_type": "qwen3_next", "layer_types": ["conv"] * 48}, "layer_types"),
        ({"model_type": "qwen3_next", "layer_types": "full_attention"}, "layer_types"),
        ({"model_type": "qwen3_5_text", "linear_num_value_heads": 17}, "linear_num_value_heads"),
        ({"model_type": "bamba", "mamba_n_heads": 100}, "mamba_n_heads"),
        ({"model_type": "lfm2_moe"}, "layer_types"),
        ({"model_type": "lfm2", "block_ffn_dim_multiplier": 0}, "block_ffn_dim_multiplier"),
        ({"model_type": "recurrent_gemma", "block_types": ["conv"]}, "block_types"),
        ({"model_type": "gemma3n_text", "num_hidden_layers": 15}, "num_kv_shared_layers"),
        ({"model_type": "gemma3n_text", "intermediate_size": [64]}, "intermediate_size"),
        ({"model_type": "gemma4_text", "use_bidirectional_attention": "all"}, "use_bidirectional_attention"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(config: dict[str, object], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        from_config(config, "a", "a.json")
    assert caught.value.field == field


def test_early_files_name_kinds_of_layers_differently() -> None:
    sizes = {"model_type": "granitemoehybrid", "num_hidden_layers": 2}
    early = from_config({**sizes, "layer_types": ["mamba", "attention"]}, "a", "a.json")
    late = from_config({**sizes, "layer_types": ["linear_attention", "full_attention"]}, "a", "a.json")
    assert early == late


def test_gemma_3n_embeds_for_every_layer_and_shares_what_is_cached() -> None:
    config = {"model_type": "gemma3n_text", "num_hidden_layers": 10, "num_kv_shared_layers": 4}
    model = from_config(config, "a", "a.json")
    assert model.embeddings[0].width == 10 * 256
    sharing = {
        index
        for group in model.stacks[0].groups
        for index in group.indices
        if isinstance(group.layer.attention, Attention) and group.layer.attention.shares_cache
    }
    assert sharing == {6, 7, 8, 9}


def test_gemma_4_reads_the_sizes_of_heads_in_both_forms() -> None:
    early = {"model_type": "gemma4_text", "num_hidden_layers": 6, "global_head_dim": 384}
    late = {
        "model_type": "gemma4_text",
        "num_hidden_layers": 6,
        "per_layer_config": {"05": {"head_dim": 384}},
    }
    assert from_config(early, "a", "a.json") == from_config(late, "a", "a.json")


def test_the_longest_step_may_be_infinite(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"model_type": "mamba2", "time_step_limit": [0.0, Infinity]}', "utf-8")
    assert load(file).model_type == "mamba2"


@pytest.mark.parametrize("model_type", ["gemma3n_text", "rwkv", "jamba", "qwen3_5_text"])
def test_a_token_passes_every_matrix_once(model_type: str) -> None:
    sizes = {"num_hidden_layers": 6, "num_kv_shared_layers": 1, "num_experts": 1, "num_experts_per_tok": 1}
    model = from_config({"model_type": model_type, **sizes}, "a", "a.json")
    layers = [tensor for tensor in inventory(model) if tensor.role not in {"embedding", "head"}]
    matrices = sum(
        tensor.elements for tensor in layers if len(tensor.shape) == 2 and "A_log" not in tensor.name
    )
    head = model.vocab_size * model.hidden_size
    assert sequence_flops(model, 1).linear == 2 * (matrices + head)


def test_layers_that_predict_further_tokens_are_named() -> None:
    model = from_config({"model_type": "nemotron_h", "num_nextn_predict_layers": 1}, "a", "a.json")
    assert "1 layer that predicts further tokens" in model.note

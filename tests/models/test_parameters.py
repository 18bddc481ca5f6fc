"""Parameters read from a config.json, against counts that other people published or Transformers built."""

import json

import pytest

from llmplanner.core.tensors import Parameters, parameters
from llmplanner.models.config import from_config, load, model_types
from tests.reference import REFERENCE, needs_reference, rows

ROWS = [row for row in rows("params.csv") if row["model_type"] in model_types()]

LLAMA_3_1_8B = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}
MIXTRAL_8X7B = {
    "model_type": "mixtral",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "num_local_experts": 8,
    "num_experts_per_tok": 2,
    "vocab_size": 32000,
}
GPT2 = {
    "model_type": "gpt2",
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "vocab_size": 50257,
    "n_positions": 1024,
}
BERT_BASE = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "vocab_size": 30522,
}


@needs_reference
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_equals_what_transformers_builds(row: dict[str, str]) -> None:
    model = load(REFERENCE / "configs" / f"{row['name']}.json")
    expected = Parameters(int(row["total"]), int(row["active"]), int(row["embedding"]), int(row["head"]))
    assert parameters(model) == expected
    assert model.kind.value == row["kind"]
    assert model.head.tied == (row["tied"] == "1")


@pytest.mark.parametrize(
    ("config", "total"),
    [
        (LLAMA_3_1_8B, 8_030_261_248),  # the hub's count for meta-llama/Llama-3.1-8B
        (MIXTRAL_8X7B, 46_702_792_704),  # mistralai/Mixtral-8x7B-v0.1
        (GPT2, 124_439_808),  # openai-community/gpt2 without its attention masks
        (BERT_BASE, 109_482_240),  # BertModel of google-bert/bert-base-uncased
    ],
    ids=lambda value: value["model_type"] if isinstance(value, dict) else "",
)
def test_equals_the_published_count(config: dict[str, object], total: int) -> None:
    assert parameters(from_config(config, "a", "a.json")).total == total


def test_mixtral_takes_two_of_eight_experts() -> None:
    # Jiang et al. 2024 (arXiv:2401.04088): 47B parameters, 13B active
    counted = parameters(from_config(MIXTRAL_8X7B, "Mixtral", "config.json"))
    assert round(counted.total / 1e9) == 47
    assert round(counted.active / 1e9) == 13


def test_the_body_alone_has_no_head() -> None:
    whole = parameters(from_config(LLAMA_3_1_8B, "a", "a.json"))
    body = parameters(from_config({**LLAMA_3_1_8B, "architectures": ["LlamaModel"]}, "a", "a.json"))
    assert whole.total - body.total == 128256 * 4096
    assert body.head == 0


def test_heads_default_to_one_key_for_each_query() -> None:
    config = {key: value for key, value in LLAMA_3_1_8B.items() if key != "num_key_value_heads"}
    attention = from_config(config, "a", "a.json").stacks[0].groups[0].layer.attention
    assert attention.kv_heads == attention.heads == 32  # type: ignore[union-attr]


def test_a_size_left_out_of_a_short_file_is_named_as_a_default() -> None:
    model = from_config(json.loads('{"model_type": "gpt_neox"}'), "GPT-NeoX-20B", "config.json")
    assert parameters(model).total == 20_554_567_680  # the hub's count for EleutherAI/gpt-neox-20b
    assert "hidden_size" in model.source
    assert "class defaults" in model.source


def test_every_size_that_the_class_decides_is_named() -> None:
    assert "max_position_embeddings, type_vocab_size: Transf" in from_config(BERT_BASE, "a", "a.json").source
    assert "class defaults" not in from_config(LLAMA_3_1_8B, "a", "a.json").source


def test_a_gated_t5_is_known_by_either_entry() -> None:
    t5 = {"model_type": "t5", "d_model": 64, "d_ff": 96, "num_layers": 2, "num_heads": 4, "vocab_size": 99}
    named = from_config({**t5, "feed_forward_proj": "gated-gelu"}, "a", "a.json")
    flagged = from_config({**t5, "is_gated_act": True, "dense_act_fn": "gelu_new"}, "a", "a.json")
    assert parameters(named) == parameters(flagged)

"""Dense decoders: their caches against Transformers', and what single families do otherwise than the rest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import FORMATS
from llmplanner.core.model import Attention, Layer, Model
from llmplanner.core.tensors import inventory, parameters
from llmplanner.core.terms.kv_cache import kept, kv_cache
from llmplanner.models.config import from_config

DATA = Path(__file__).parent.parent / "data"
CACHES = json.loads((DATA / "caches_dense_decoders.json").read_text("utf-8"))["caches"]
NAMES = json.loads((DATA / "names_dense_decoders.json").read_text("utf-8"))["models"]

SMALL = {
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "vocab_size": 500,
}


def built(model_type: str, **entries: object) -> Model:
    return from_config({"model_type": model_type, **entries}, "a", "a.json")


def layers(model: Model) -> Mapping[int, Layer]:
    return {index: group.layer for group in model.stacks[0].groups for index in group.indices}


@pytest.mark.parametrize("row", CACHES, ids=lambda row: row["name"])
def test_the_cache_is_what_transformers_filled(row: dict[str, Any]) -> None:
    groups = kept(from_config(row["config"], "a", "a"))
    cache = kv_cache(groups, FORMATS["bf16"], row["tokens"], 0, row["sequences"])
    assert cache.bytes == 2 * row["elements"]


@pytest.mark.parametrize("row", NAMES, ids=lambda row: row["config"]["model_type"])
def test_every_tensor_has_the_name_and_shape_that_transformers_gives_it(row: dict[str, Any]) -> None:
    tensors = inventory(from_config(row["config"], "a", "a"))
    named = {tensor.name: list(tensor.shape) for tensor in tensors}
    assert named == row["tensors"]


@pytest.mark.parametrize(
    ("entries", "norms"),
    [
        ({"new_decoder_architecture": True}, ["ln_attn", "ln_mlp"]),  # Falcon-40B
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, ["input_layernorm"]),  # Falcon 2
        ({}, ["input_layernorm"]),  # Falcon-7B
        ({"parallel_attn": False}, ["input_layernorm", "post_attention_layernorm"]),  # Falcon-RW
    ],
)
def test_falcons_generations_differ_in_their_norms(entries: dict[str, object], norms: list[str]) -> None:
    layer = layers(built("falcon", **{**SMALL, "num_hidden_layers": 1, **entries}))[0]
    assert [norm.name for norm in (layer.attention_norm, layer.feed_forward_norm) if norm] == norms


def test_baichuans_two_sizes_differ_in_their_positions() -> None:
    for entries, alibi in (({"max_position_embeddings": 4096}, False), ({"model_max_length": 4096}, True)):
        attention = layers(built("baichuan", **SMALL, **entries))[0].attention
        assert isinstance(attention, Attention)
        assert attention.alibi is alibi
        assert (attention.rotary_dim == 0) is alibi


def test_openelms_layers_grow() -> None:
    model = built(
        "openelm",
        model_dim=256,
        num_transformer_layers=2,
        num_query_heads=[2, 4],
        num_kv_heads=[1, 2],
        ffn_multipliers=[0.5, 4.0],
        head_dim=64,
        vocab_size=500,
    )
    shapes = {tensor.name: tensor.shape for tensor in inventory(model)}
    queries, head = (2 + 2 * 1, 4 + 2 * 2), 64  # heads of queries, keys and values
    widths = (256, 1024)  # by the model's own configuration_openelm.py: at least one multiple of 256
    for layer in range(2):
        prefix = f"transformer.layers.{layer}."
        assert shapes[f"{prefix}attn.qkv_proj.weight"] == (queries[layer] * head, 256)
        assert shapes[f"{prefix}ffn.proj_1.weight"] == (2 * widths[layer], 256)


def test_a_searched_layer_may_lack_a_branch_or_have_one_matrix_for_it() -> None:
    whole = {"attention": {"n_heads_in_group": 4}, "ffn": {"ffn_mult": 1.0}}
    blocks = [
        whole,
        {"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.0}},
        {"attention": {"replace_with_linear": True}, "ffn": {"no_op": True}},
        whole,
    ]
    sizes = {name: size for name, size in SMALL.items() if name != "intermediate_size"}
    model = built("nemotron-nas", **sizes, block_configs=blocks)
    found = layers(model)
    assert found[1].attention is None
    assert found[1].attention_norm is None
    names = {tensor.name for tensor in inventory(model)}
    assert "model.layers.2.self_attn.linear_attn.weight" in names
    assert "model.layers.2.post_attention_layernorm.weight" not in names
    assert kept(model)[0].layers == 2


@pytest.mark.parametrize(
    ("model_type", "entries", "said"),
    [
        ("openelm", {"num_query_heads": [1]}, "num_query_heads must be a list with a value for each of the"),
        ("openelm", {"ffn_multipliers": ["wide"] * 12}, 'ffn_multipliers has "wide"; it must be above 0'),
        ("deci", {**SMALL, "num_key_value_heads_per_layer": [[1]] * 4}, "it must hold whole numbers"),
        (
            "nemotron-nas",
            {**SMALL, "block_configs": [{}] * 4},
            'block_configs has a layer without "attention"',
        ),
        ("minicpm", {**SMALL, "num_experts": 8}, "MiniCPM with experts is not supported"),
        (
            "stablelm",
            {**SMALL, "hidden_size": 8192, "num_attention_heads": 8192, "qk_layernorm": True},
            "between 1 and 4,096",
        ),
        ("doge", {**SMALL, "is_moe": True}, "product-key experts is not supported"),
        (
            "smollm3",
            {**SMALL, "use_sliding_window": True, "sliding_window": 8, "no_rope_layers": [1]},
            "1 entr",
        ),
    ],
)
def test_says_what_is_wrong(model_type: str, entries: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        built(model_type, **entries)


def test_a_multimodal_phi_says_that_its_text_part_counts() -> None:
    sizes = {"num_attention_heads": 24, "vocab_size": 200064, "tie_word_embeddings": True}
    phi = built("phi4mm", hidden_size=3072, num_hidden_layers=32, intermediate_size=8192, **sizes)
    assert "vision, audio" in phi.note
    # the hub's count for microsoft/Phi-4-mini-instruct, which its text part is
    assert parameters(phi).total == 3_836_021_760


def test_mimos_predictor_is_told_beside_its_parameters() -> None:
    mimo = built(
        "mimo",
        hidden_size=4096,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        intermediate_size=11008,
        vocab_size=151680,
        num_nextn_predict_layers=1,
    )
    # the hub's count for XiaomiMiMo/MiMo-7B-Base, the layer that predicts further tokens with it
    assert "210,790,400 parameters" in mimo.note
    assert parameters(mimo).total + 210_790_400 == 7_833_409_536

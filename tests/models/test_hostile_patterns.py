"""Configs of a megabyte that are made to take long: each is read or refused within a second."""

import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

from llmplanner.core.checkpoint import StoredTensor, checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import MOST_LISTED, inventory
from llmplanner.models import whatif
from llmplanner.models.config import from_config, load

SMALL: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}
DEEP = {**SMALL, "num_hidden_layers": 7000}
T5 = {"model_type": "t5", "d_ff": 64, "d_kv": 8, "d_model": 64, "num_heads": 8, "vocab_size": 100}
MIXTURE = {**DEEP, "model_type": "mixtral", "num_local_experts": 10_000_000}
PACKED = {"num_bits": 4, "strategy": "group", "group_size": 32}


def ignoring(*patterns: str) -> dict[str, object]:
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "ignore": list(patterns),
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": PACKED}},
    }


LONG: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "a choice of many before a long text": (SMALL, ignoring(f"re:({'|' * 50_000}){'A' * 500_000}")),
    "choices without end": (SMALL, ignoring(f"re:{'(|)' * 300_000}")),
    "a choice among 90,000": (SMALL, ignoring(f"re:({'|' * 99})({'|' * 90_000})")),
    "many choices of 64": (SMALL, ignoring(*(f"re:{i}{'(a|b)' * 6}" for i in range(25_000)))),
    "stars for each of 10,000 layers": (DEEP, ignoring(*(f"re:{'.*a' * 250}{i}" for i in range(999)))),
    "pieces of names": (
        DEEP,
        {"quant_method": "fp8", "modules_to_not_convert": [f"zz{i}" for i in range(2000)]},
    ),
    "settings of single modules": (
        DEEP,
        {"quant_method": "gptq", "bits": 4, "dynamic": {f".*x{i}": {"bits": 8} for i in range(30_000)}},
    ),
    "groups of modules": (
        DEEP,
        {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "config_groups": {f"g{i}": {"targets": ["re:.*x"], "weights": PACKED} for i in range(6000)},
        },
    ),
    "a matrix for each of 180,000 names": ({**T5, "num_layers": 10_000}, ignoring("lm_head")),
    "experts one by one": (MIXTURE, ignoring("model.layers.0.experts.5")),
}


@pytest.mark.parametrize("case", LONG)
def test_lists_of_names_take_no_long_time(case: str) -> None:
    config, table = LONG[case]
    start = time.process_time()
    with pytest.raises(BadInput) as caught:
        from_config({**config, "quantization_config": table}, "a", "config.json")
    assert time.process_time() - start < 2  # of a machine that is busy
    assert caught.value.field == "quantization_config"


@pytest.mark.parametrize(
    "table",
    [
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": ["nf4"]},
        {**ignoring(), "format": ["x"]},
        {**ignoring(), "config_groups": {"g": {"weights": {"strategy": ["x"]}}}, "format": 7},
        {"quant_method": "mlx", "mode": ["affine"]},
    ],
)
def test_a_list_where_a_word_belongs_is_read_or_refused(table: dict[str, object]) -> None:
    with suppress(BadInput):
        assert from_config({**SMALL, "quantization_config": table}, "a", "config.json").note


def test_a_name_that_stands_twice_after_a_hundred_thousand_others(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    others = ",".join(f'"k{i}":1' for i in range(100_000))
    path.write_text(f'{{{others},"a":1,"\\u0061":2}}', encoding="utf-8")
    start = time.process_time()
    with pytest.raises(BadInput, match='"a" stands twice'):
        load(path)
    assert time.process_time() - start < 2


def test_layers_that_repeat_after_very_many_are_stretched_at_once() -> None:
    types = ["full_attention"] * 6999 + ["sliding_attention"]
    config = {**DEEP, "model_type": "qwen3", "head_dim": 8, "sliding_window": 4, "layer_types": types}
    start = time.process_time()
    assert "hidden_size" in whatif.offered(config)
    assert len(json.dumps(whatif.changed(config, {"hidden_size": 128}))) > 10_000
    assert time.process_time() - start < 2


def test_lists_for_each_layer_beyond_any_model_s_are_refused() -> None:
    config = {**SMALL, "num_hidden_layers": 1, **{f"k{i}": [0] for i in range(80_000)}}
    with pytest.raises(BadInput, match="more lists"):
        whatif.changed(config, {"layers": 10_000})


def test_a_quantization_is_not_read_for_each_size_that_is_tried() -> None:
    names = [f"zz{i}" for i in range(50)]
    config = {**DEEP, "quantization_config": {"quant_method": "fp8", "modules_to_not_convert": names}}
    start = time.process_time()
    assert set(whatif.offered(config)) >= {"heads", "vocab_size"}
    assert time.process_time() - start < 2


def test_a_table_of_more_tensors_than_any_model_has_is_refused() -> None:
    with pytest.raises(BadInput, match=f"more than {MOST_LISTED:,} tensors"):
        inventory(from_config(MIXTURE, "a", "config.json"))


def test_sizes_that_no_file_has_are_refused() -> None:
    tensor = StoredTensor("a", (2**60,), "F64", 2**60, 2**63)
    with pytest.raises(BadInput, match="more than any file has"):
        checkpoint("F64", [tensor], "header of a.gguf")

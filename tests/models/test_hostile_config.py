"""A config.json that cannot be used gets one sentence that names file, entry and remedy."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.models.config import from_config, load, read

GOOD: dict[str, object] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}


def refused(tmp_path: Path, content: bytes) -> BadInput:
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load(file)
    message = str(caught.value)
    assert "config.json" in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 600
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        json.dumps(GOOD).encode()[:80],
        b"not json",
        b"[1, 2]",
        b"null",
        b"\xff\xfe\x00bad",
        b'{"model_type": "llama", "model_type": "gpt2"}',
        b'{"model_type": "llama", "hidden_size": NaN}',
        b'{"model_type": "llama", "hidden_size": Infinity}',
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b'{"model_type": "llama", "a": ' + b"[" * 200_000,
        b'{"model_type": "llama", "hidden_size": ' + b"9" * 5000 + b"}",
        b'{"model_type": "' + b"a" * 10_000_001 + b'"}',
    ],
    ids=lambda content: content[:24].decode(errors="replace") or "empty",
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


@pytest.mark.parametrize("value", [0, -1, 10**30, 3.5, 4096.0, "4096", True, [], {}, None], ids=str)
@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_size_that_is_none_is_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    assert refused(tmp_path, json.dumps({**GOOD, key: value}).encode()).field == key


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    config = {name: value for name, value in GOOD.items() if name != key}
    error = refused(tmp_path, json.dumps(config).encode())
    assert error.field == key
    assert key in str(error)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({"model_type": "warp_drive", "hidden_size": None}, "model_type"),
        ({"model_type": None, "hidden_size": None}, "model_type"),
        ({"model_type": 7}, "model_type"),
        ({"architectures": ["LlamaForImageClassification"]}, "architectures"),
        ({"architectures": "LlamaForCausalLM"}, "architectures"),
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"num_attention_heads": 7, "num_key_value_heads": 7}, "hidden_size"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"hidden_act": "sparkle"}, "hidden_act"),
        ({"hidden_act": 3}, "hidden_act"),
        ({"dtype": "complex64"}, "dtype"),
        ({"attention_dropout": 7}, "attention_dropout"),
        (
            {"hidden_size": 10**7, "intermediate_size": 10**7, "num_hidden_layers": 10_000},
            "num_hidden_layers",
        ),
    ],
    ids=str,
)
def test_entries_that_do_not_go_together_are_refused(
    tmp_path: Path, entry: dict[str, object], field: str
) -> None:
    assert refused(tmp_path, json.dumps({**GOOD, **entry}).encode()).field == field


def test_the_odd_entries_of_released_files_are_read() -> None:
    early_gemma = {"model_type": "gemma", "hidden_act": "gelu", "hidden_activation": None, "head_dim": 256}
    assert from_config(early_gemma, "a", "a.json").layers == 28
    bloom = {
        "model_type": "bloom",
        "n_embed": 1024,
        "n_layer": 24,
        "num_attention_heads": 16,
        "vocab_size": 250880,
    }
    assert from_config(bloom, "a", "a.json").hidden_size == 1024
    latent = {
        "model_type": "deepseek_v3",
        "q_lora_rank": None,
        "quantization_config": {"quant_method": "fp8"},
    }
    assert "quantization_config" in from_config(latent, "a", "a.json").source
    with pytest.raises(BadInput, match="chunked_attention"):
        from_config({"model_type": "gemma2", "layer_types": ["chunked_attention"] * 26}, "a", "a.json")


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not there"):
        read(tmp_path)


def test_a_folder_stands_for_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "My-Llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(GOOD), encoding="utf-8")
    assert load(folder).name == "My-Llama"
    assert load(folder / "config.json") == load(folder)


def test_a_quantized_file_says_that_its_weights_are_counted_unquantized() -> None:
    config = {**GOOD, "torch_dtype": "float16", "quantization_config": {"quant_method": "gptq", "bits": 4}}
    model = from_config(config, "a", "a.json")
    assert model.dtype == "fp16"
    assert "quantization_config" in model.source


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from([*GOOD, "head_dim", "rope_parameters", "mlp_bias", "dtype"]), value=JSON)
def test_any_value_of_any_entry_is_read_or_refused(key: str, value: object) -> None:
    try:
        assert from_config({**GOOD, key: value}, "a", "a.json").layers > 0
    except BadInput as error:
        assert str(error).startswith("a.json: ")  # noqa: PT017 - either outcome is right


@given(content=st.binary(max_size=60))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    refused(tmp_path_factory.mktemp("any"), content)


@pytest.mark.parametrize("architectures", [[[]], [{}], [None], [1], "text", {}, 5, True])
@pytest.mark.parametrize("model_type", ["llama", "no_such_type"])
def test_classes_that_are_no_names_are_refused(
    tmp_path: Path, architectures: object, model_type: str
) -> None:
    config = {**GOOD, "architectures": architectures, "model_type": model_type}
    assert "architectures" in str(refused(tmp_path, json.dumps(config).encode()))


def test_a_wrong_quantization_names_the_file(tmp_path: Path) -> None:
    config = {**GOOD, "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 0}}
    error = refused(tmp_path, json.dumps(config).encode())
    assert str(error).startswith(str(tmp_path / "config.json"))
    assert "group_size" in str(error)

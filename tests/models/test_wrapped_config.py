"""Configs that wrap a language model, and those of an architecture that is not known."""

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config

LLAMA = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
}
LLAMA_3_1_8B = 8_030_261_248  # as published, with an untied head
HEAD = 128_256 * 4096


def total(config: dict[str, object]) -> int:
    return parameters(from_config(config, "a", "a.json")).total


def test_the_language_model_inside_counts_and_the_note_tells_what_does_not() -> None:
    text = {"model_type": "llama", **LLAMA}
    model = from_config({"model_type": "llava", "text_config": text, "vision_config": {}}, "a", "a.json")
    assert parameters(model).total == LLAMA_3_1_8B
    assert "vision part is not" in model.note


@pytest.mark.parametrize(
    ("wrapper", "outer", "inner", "tied"),
    [  # as Transformers 5.23 builds the class, tried on the meta device
        ("llava", None, None, False),
        ("llava", None, True, True),
        ("llava", True, False, True),
        ("internvl", None, None, True),
        ("internvl", None, False, True),
        ("internvl", False, True, False),
        ("idefics3", None, True, False),
        ("idefics3", True, None, True),
    ],
)
def test_what_ties_the_head(wrapper: str, outer: bool | None, inner: bool | None, tied: bool) -> None:
    text: dict[str, object] = {"model_type": "llama", **LLAMA}
    config: dict[str, object] = {"model_type": wrapper, "text_config": text}
    if inner is not None:
        text["tie_word_embeddings"] = inner
    if outer is not None:
        config["tie_word_embeddings"] = outer
    assert total(config) == LLAMA_3_1_8B - (HEAD if tied else 0)


def test_a_table_inside_without_a_type_takes_the_wrapper_s() -> None:
    assert total({"model_type": "idefics3", "text_config": LLAMA}) == LLAMA_3_1_8B


def test_the_format_stated_outside_is_that_of_the_language_model() -> None:
    text = {"model_type": "llama", **LLAMA}
    assert (
        from_config({"model_type": "llava", "dtype": "float16", "text_config": text}, "a", "").dtype == "fp16"
    )


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "telepath", **LLAMA},
        dict(LLAMA),
        {
            "model_type": "telepath",
            "n_embd": 4096,
            "ffn_hidden_size": 14336,
            "n_head": 32,
            "n_layer": 32,
            "num_kv_heads": 8,
            "padded_vocab_size": 128256,
        },
    ],
)
def test_an_unknown_type_with_the_usual_sizes_is_an_estimate_and_says_so(config: dict[str, object]) -> None:
    model = from_config(config, "a", "a.json")
    assert parameters(model).total == LLAMA_3_1_8B
    assert "estimate" in model.note


def test_an_unknown_mixture_has_its_experts() -> None:
    mixture = {"num_experts": 64, "num_experts_per_tok": 8, "moe_intermediate_size": 1024}
    counts = parameters(from_config({"model_type": "telepath", **LLAMA, **mixture}, "a", "a.json"))
    experts = 32 * 64 * 3 * 4096 * 1024
    assert counts.total - counts.active == experts * 56 // 64


def test_an_unknown_type_without_sizes_is_refused_with_what_comes_near() -> None:
    with pytest.raises(BadInput, match=r"Near it: .*qwen3"):
        from_config({"model_type": "qwen33"}, "a", "a.json")


def test_a_class_that_is_not_known_counts_as_the_language_model_of_its_type() -> None:
    model = from_config({"model_type": "llama", "architectures": ["MyForCausalLM"], **LLAMA}, "a", "a.json")
    assert parameters(model).total == LLAMA_3_1_8B
    assert "MyForCausalLM" in model.note


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"model_type": "fuyu", "text_config": {"model_type": "persimmon"}, "patch_size": 30},
            "beside it is not",
        ),
        (
            {"model_type": "granite_speech", "text_config": {"model_type": "granite"}, "encoder_config": {}},
            "audio part is not",
        ),
        ({"model_type": "vibevoice_asr", "text_config": {"model_type": "qwen2"}}, "beside it is not"),
    ],
)
def test_what_has_no_table_of_its_own_is_told_too(table: dict[str, object], words: str) -> None:
    assert words in from_config(table, "a", "").note

"""Sizes changed by hand: a model made into its larger sister has the sister's parameters."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.config import from_config
from llmplanner.models.whatif import changed, offered, sizes

DATA = Path(__file__).parents[1] / "data" / "counted"
NAMES = sorted(catalogue.names())
SISTERS = (
    ("llama-3.1-8b", "llama-3.1-70b"),
    ("gpt2", "gpt2-xl"),
    ("bert-base-uncased", "bert-large-uncased"),
    ("t5-small", "t5-large"),
    ("qwen3-8b", "qwen3-32b"),
    ("pythia-410m", "pythia-12b"),
    ("opt-125m", "opt-30b"),
    ("gemma-2-2b", "gemma-2-27b"),
    ("qwen2.5-1.5b", "qwen2-1.5b"),
)


@pytest.mark.parametrize(("small", "large"), SISTERS, ids=lambda name: name)
def test_a_model_becomes_its_larger_sister(small: str, large: str) -> None:
    config, sister = catalogue.entry(small).config, catalogue.entry(large).model
    there, wanted = offered(config), sizes(sister)
    changes = {name: wanted[name] for name in there if wanted[name] != there[name]}
    assert parameters(from_config(changed(config, changes), "", "")).total == parameters(sister).total


@pytest.mark.parametrize("name", NAMES)
def test_every_model_lets_its_main_sizes_be_changed(name: str) -> None:
    entry = catalogue.entry(name)
    there = offered(entry.config)
    heads = {"heads"} if sizes(entry.model).get("heads") else set()  # a state space model has none
    assert {"hidden_size", "vocab_size"} | heads <= set(there)
    assert there == {size: value for size, value in sizes(entry.model).items() if size in there}


WRAPPED = json.loads((DATA / "wrapped.json").read_text())["configs"]


@pytest.mark.parametrize("row", WRAPPED, ids=lambda row: row["name"])
def test_the_language_model_inside_a_config_is_the_one_that_changes(row: dict[str, Any]) -> None:
    there = offered(row["config"])
    longer = changed(row["config"], {"vocab_size": there["vocab_size"] + 64})
    before, after = (parameters(from_config(each, "", "")) for each in (row["config"], longer))
    assert after.embedding > before.embedding
    assert set(longer) == set(row["config"])


@given(
    name=st.sampled_from(NAMES),
    size=st.sampled_from(("layers", "vocab_size", "feed_forward", "heads", "experts")),
    value=st.integers(1, 200_000),
)
def test_what_is_asked_for_is_what_the_model_has_or_refused(name: str, size: str, value: int) -> None:
    told = ""
    result: Mapping[str, object] = {}
    try:
        result = changed(catalogue.entry(name).config, {size: value})
    except BadInput as error:
        told = f"{error.field}: {error}"
    if told:
        assert told.startswith(f"changes.{size}: ")
        assert told.endswith(".")
    else:
        assert sizes(from_config(result, "", ""))[size] == value


def test_the_kinds_of_layers_go_on_in_their_pattern() -> None:
    kinds = ["sliding_attention"] * 3 + ["full_attention"]
    config = {**catalogue.entry("gemma-2-2b").config, "num_hidden_layers": 8, "layer_types": kinds * 2}
    longer = changed(config, {"layers": 10})
    assert longer["layer_types"] == (kinds * 3)[:10]
    assert changed(config, {"layers": 3})["layer_types"] == kinds[:3]
    assert config["layer_types"] == kinds * 2


def test_multi_head_attention_stays_so() -> None:
    config = {**catalogue.entry("llama-3.1-8b").config, "num_key_value_heads": 32}
    assert sizes(from_config(changed(config, {"heads": 16}), "", ""))["kv_heads"] == 16


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"heads": 31}, "heads"),
        ({"kv_heads": 7}, "kv_heads"),
        ({"hidden_size": 4097}, "hidden_size"),
        ({"layers": 40, "heads": 31}, "heads"),
        ({"experts": 8}, "experts"),
    ],
)
def test_a_size_that_cannot_be_is_told_at_its_own_field(changes: dict[str, int], field: str) -> None:
    with pytest.raises(BadInput) as told:
        changed(catalogue.entry("llama-3.1-8b").config, changes)
    assert told.value.field == f"changes.{field}"

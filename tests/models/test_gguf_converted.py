"""Small models of every family, as llama.cpp's converter wrote them: the same sizes as their configs.

tests/data/gguf_converted.json has for each the config, the parameters that Transformers counted in the class
that it builds, and the keys and tensors of the converted file.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from llmplanner.core.model import Attention, Model
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.gguf.types import NAMED
from tests.models.gguf_writer import write

DATA = Path(__file__).resolve().parents[1] / "data" / "gguf_converted.json"
CONVERTED: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))


def converted(folder: Path, one: dict[str, Any]) -> Path:
    tensors = []
    for name, (form, *shape) in one["tensors"].items():
        size = NAMED[form].bytes
        for dimension in shape:
            size *= dimension
        tensors.append((name, tuple(shape), NAMED[form].id, size))
    return write(folder / "model.gguf", one["keys"], tensors)


def kept(model: Model) -> list[tuple[object, ...]]:
    """What every layer keeps of a token and of the past: the cache's sizes."""
    layers: dict[tuple[str, int], tuple[object, ...]] = {}
    for stack in model.stacks:
        for group in stack.groups:
            one, state = group.layer.attention, group.layer.recurrent
            if isinstance(one, Attention):
                sizes: tuple[object, ...] = (one.window, one.kv_heads, one.key_dim, one.value_dim)
            else:
                sizes = (None, one.kv_rank, one.rope_dim) if one is not None else ()
            past = (state.conv_state, state.state) if state is not None else ()
            layers |= {(stack.role, index): sizes + past for index in group.indices}
    return [layers[place] for place in sorted(layers)]


@pytest.mark.parametrize("one", CONVERTED, ids=[one["name"] for one in CONVERTED])
def test_the_file_gives_the_architecture_of_its_config(tmp_path: Path, one: dict[str, Any]) -> None:
    model, config, tensors = gguf_models.load(converted(tmp_path, one))
    assert config["model_type"] != "gguf"
    assert parameters(model).total == one["total"]
    direct = from_config(one["config"], "config", "config")
    assert model.layers == direct.layers
    if one["config"]["model_type"] not in WINDOWLESS:
        assert kept(model) == kept(direct)
    assert model.checkpoint is not None
    assert model.checkpoint.elements == sum(tensor.elements for tensor in tensors)
    again = from_config(json.loads(json.dumps(config)), "plan", "plan")
    assert parameters(again) == parameters(model)
    assert kept(again) == kept(model)


WINDOWLESS = {"phi3", "phimoe", "starcoder2", "minimax_m2", "dots1"}  # files without the window of the config


@pytest.mark.parametrize("one", CONVERTED, ids=[one["name"] for one in CONVERTED])
def test_so_do_the_tensors_alone_where_they_are_a_decoders(tmp_path: Path, one: dict[str, Any]) -> None:
    if one["config"]["model_type"] == "t5":
        pytest.skip("a decoder's tensors are named otherwise in an encoder-decoder")
    architecture = one["keys"]["general.architecture"]
    unknown = {key.replace(f"{architecture}.", "tomorrow."): value for key, value in one["keys"].items()}
    unknown["general.architecture"] = "tomorrow"
    model, config, tensors = gguf_models.load(converted(tmp_path, {**one, "keys": unknown}))
    assert config["model_type"] == "gguf"
    assert parameters(model).total == sum(tensor.elements for tensor in tensors)
    direct = from_config(one["config"], "config", "config")
    assert parameters(model).embedding == parameters(direct).embedding
    assert [sizes[1:] for sizes in kept(model)] == [sizes[1:] for sizes in kept(direct)]

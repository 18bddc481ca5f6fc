"""Models of the hub, opened by id against a server on this computer: headers only, never the weights."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config
from llmplanner.models.files import Opened
from llmplanner.models.hub.access import Access, Asked
from llmplanner.models.hub.cache import Cache
from llmplanner.models.hub.client import Client
from llmplanner.models.hub.opening import opened, opened_from, saved_token
from llmplanner.models.hub.remote import FIRST
from llmplanner.models.hub.repository import Repositories
from tests.models.gguf_writer import write as write_gguf
from tests.models.hub_server import Hub, serving
from tests.models.safetensors_files import tensors_of, write, write_sharded
from tests.models.test_gguf_models import layer, table, tensor

CONFIG: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 3,
    "vocab_size": 1000,
}
MODEL = from_config(CONFIG, "small", "config.json")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub()) as server:
        yield server


def ask(hub: Hub, cache: Path, name: str, wanted: str = "") -> Opened:
    return opened_from(Asked(name, wanted), Repositories(Client(hub.url), Cache(cache)))


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_is_known_by_its_headers(hub: Hub, tmp_path: Path, shards: int) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    if shards == 1:
        write(folder / "model.safetensors", tensors_of(MODEL))
    else:
        write_sharded(folder, tensors_of(MODEL), shards)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    hub.files["owner/small"] = files_in(folder)
    found = ask(hub, tmp_path / "cache", "owner/small")
    assert found.model.name == "small"
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.elements == parameters(MODEL).total == parameters(found.model).total
    assert found.model.checkpoint.bytes == 2 * parameters(MODEL).total
    assert hub.sent < shards * (FIRST + 1000) + 5000  # of the weights, what came with the headers at most


def test_nothing_is_asked_twice_and_offline_gives_the_same(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    write(folder / "model.safetensors", tensors_of(MODEL))
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    hub.files["owner/small"] = files_in(folder)
    first = ask(hub, tmp_path / "cache", "owner/small")
    asked = len(hub.asked)
    again = ask(hub, tmp_path / "cache", "owner/small")
    assert len(hub.asked) == asked + 1  # whether the repository is still the same
    assert again == first
    offline = opened_from(Asked("owner/small"), Repositories(None, Cache(tmp_path / "cache")))
    assert offline.model.checkpoint == first.model.checkpoint
    assert "kept since" in offline.model.note


def gguf_repository(folder: Path) -> dict[str, bytes]:
    """A repository of two GGUF models, which differ in their formats and so in their bytes."""
    folder.mkdir()
    keys = table("llama")
    tensors = [tensor("token_embd.weight", 1000, 256), tensor("output_norm.weight", 256, kind=0)]
    tensors += [one for index in range(3) for one in layer(index, 256, 4, 2, 512)]
    for name in ("small-Q8_0.gguf", "small-Q4_K_M.gguf", "mmproj-small.gguf"):
        write_gguf(folder / name, keys, tensors)
    return files_in(folder)


def test_of_many_gguf_models_the_usual_one_is_taken_and_the_note_says_so(hub: Hub, tmp_path: Path) -> None:
    hub.files["owner/small-GGUF"] = gguf_repository(tmp_path / "repository")
    found = ask(hub, tmp_path / "cache", "owner/small-GGUF")
    assert "2 GGUF models" in found.model.note
    assert "small-Q4_K_M.gguf is taken" in found.model.note
    named = ask(hub, tmp_path / "cache", "owner/small-GGUF", "q8_0")
    assert "small-Q8_0.gguf" in named.model.source
    with pytest.raises(BadInput, match=r"no GGUF file called Q2_K; it has small-Q4_K_M\.gguf"):
        ask(hub, tmp_path / "cache", "owner/small-GGUF", "Q2_K")


def test_a_repository_of_pickles_is_known_by_its_config_and_their_sizes(hub: Hub, tmp_path: Path) -> None:
    config = json.dumps(CONFIG).encode()
    hub.files["owner/old"] = {"config.json": config, "pytorch_model.bin": b""}
    hub.sizes["pytorch_model.bin"] = 2 * parameters(MODEL).total
    found = ask(hub, tmp_path, "owner/old")
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.bytes == 2 * parameters(MODEL).total
    assert not found.model.checkpoint.exact
    assert not any("pytorch_model" in path for path, _ in hub.asked)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": b""}, "neither a config.json nor weights"),
        ({"config.json": b"{"}, "not a whole JSON file"),
        ({"config.json": b"<html>"}, "not a whole JSON file"),
        ({"config.json": b"{}", "model.safetensors": b"\xff" * 100}, "claims"),
        ({"config.json": b"{}", "model-00001-of-00002.safetensors": b""}, "1 of the 2 files"),
        ({"a.gguf": b"GGUF" + b"\xff" * 60}, "a.gguf"),
    ],
)
def test_a_broken_repository_gets_one_sentence(
    hub: Hub, tmp_path: Path, files: dict[str, bytes], words: str
) -> None:
    hub.files["owner/bad"] = files
    with pytest.raises(BadInput, match=words) as caught:
        ask(hub, tmp_path, "owner/bad")
    assert "\n" not in str(caught.value)


def test_a_description_with_a_wrong_size_is_not_believed(hub: Hub, tmp_path: Path) -> None:
    hub.files["owner/bad"] = {
        "config.json": json.dumps(CONFIG).encode(),
        "model.safetensors": b"\x08" + b"\0" * 7,
    }
    hub.sizes["model.safetensors"] = 10**15
    with pytest.raises(BadInput):
        ask(hub, tmp_path, "owner/bad")


def test_the_saved_token_is_read_only_where_the_user_allows_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.files["owner/small"] = {"config.json": json.dumps(CONFIG).encode()}
    assert parameters(opened(Asked("owner/small")).model).total == parameters(MODEL).total
    with pytest.raises(BadInput, match="no Hugging Face token"):
        opened(Asked("owner/small"), Access(token=True))
    (tmp_path / "no-token").write_text("hf_abc\n")
    assert saved_token() == "hf_abc"
    opened(Asked("owner/small"), Access(token=True))
    assert not any("Authorization" in headers for _, headers in hub.asked)  # it is not huggingface.co


def test_a_checkpoint_of_very_many_files_is_not_asked_for(hub: Hub, tmp_path: Path) -> None:
    shards = {f"model-{number:05}-of-01001.safetensors": b"" for number in range(1, 1002)}
    hub.files["owner/many"] = {"config.json": json.dumps(CONFIG).encode(), **shards}
    with pytest.raises(BadInput, match="1,001 files"):
        ask(hub, tmp_path, "owner/many")
    assert len(hub.asked) == 2

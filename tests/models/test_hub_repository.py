"""Repositories of the hub: described, kept, read again without a network."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.models.hub import repository
from llmplanner.models.hub.access import Asked, asked
from llmplanner.models.hub.cache import Cache
from llmplanner.models.hub.client import Client, Gated, Missing, Unreachable
from llmplanner.models.hub.repository import Repositories
from tests.models.hub_server import COMMIT, Hub, serving

CONFIG = b'{"model_type": "llama"}'


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {
        "config.json": CONFIG,
        "model.safetensors": b"x" * 1000,
        "../../etc/passwd": b"",
        "/etc/passwd": b"",
    }
    with serving(Hub(files={"owner/model": files})) as server:
        yield server


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("meta-llama/Llama-3.1-8B", Asked("meta-llama/Llama-3.1-8B")),
        ("  https://huggingface.co/Qwen/Qwen3-8B/ ", Asked("Qwen/Qwen3-8B")),
        ("hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M", Asked("unsloth/Qwen3-8B-GGUF", "Q4_K_M")),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main?library=vllm#top", Asked("Qwen/Qwen3-8B")),
        ("https://hf.co/Qwen/Qwen3-8B/blob/main/config.json", Asked("Qwen/Qwen3-8B")),
        ("https://huggingface.co/a/b-GGUF/blob/main/b-Q4_K_M.gguf", Asked("a/b-GGUF", "b-Q4_K_M.gguf")),
        ("https://huggingface.co/a/b/tree/other", None),
        ("https://huggingface.co/a/b/blob/main/../../c", Asked("a/b")),
        ("llama-3.1-8b", None),
        ("/home/me/model", None),
        ("./models/x", None),
        ("folder/config.json", None),
        ("a/b/c", None),
        ("a/b?x=1", None),
        ("a/../b", None),
        ("https://example.org/a/b", None),
    ],
)
def test_what_counts_as_an_id(text: str, expected: Asked | None) -> None:
    assert asked(text) == expected


def test_a_repository_is_described_and_names_that_lead_elsewhere_are_left_out(
    hub: Hub, tmp_path: Path
) -> None:
    snapshot = Repositories(Client(hub.url), Cache(tmp_path)).snapshot("owner/model")
    assert snapshot.files == {"config.json": len(CONFIG), "model.safetensors": 1000}
    assert (snapshot.commit, snapshot.licence) == (COMMIT, "mit")


def test_what_was_read_is_there_without_a_network(hub: Hub, tmp_path: Path) -> None:
    online = Repositories(Client(hub.url), Cache(tmp_path))
    assert online.content(online.snapshot("owner/model"), "config.json") == CONFIG
    for client in (None, Client("http://127.0.0.1:9")):
        offline = Repositories(client, Cache(tmp_path))
        assert offline.content(offline.snapshot("owner/model"), "config.json") == CONFIG
        assert "kept since" in offline.notes[0]
        assert "not read yet" not in offline.notes[0]
        with pytest.raises(Unreachable):
            offline.head(offline.snapshot("owner/model"), "model.safetensors").read(1)


def test_nothing_is_fetched_twice_while_the_repository_stays_the_same(hub: Hub, tmp_path: Path) -> None:
    for _ in range(2):
        repositories = Repositories(Client(hub.url), Cache(tmp_path))
        repositories.content(repositories.snapshot("owner/model"), "config.json")
    paths = [path.split("?")[0] for path, _ in hub.asked]
    assert paths.count(f"/owner/model/resolve/{COMMIT}/config.json") == 1


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((401, "GatedRepo"), Gated, "accept its terms at https://huggingface.co/owner/model"),
        ((401, "RepoNotFound"), Missing, "no model owner/model"),
        ((404, "RepoNotFound"), Missing, "no model owner/model"),
    ],
)
def test_a_refused_repository_is_named(
    hub: Hub, tmp_path: Path, answer: tuple[int, str], kind: type[BadInput], words: str
) -> None:
    hub.status["/api/models/owner/model"] = (answer[0], {"X-Error-Code": answer[1]})
    with pytest.raises(kind, match=words):
        Repositories(Client(hub.url), Cache(tmp_path)).snapshot("owner/model")


def test_a_description_that_is_none_is_refused(tmp_path: Path) -> None:
    with serving(Hub()) as hub:
        hub.status["/api/models"] = (200, {})
        with pytest.raises(BadInput, match="cannot be read"):
            Repositories(Client(hub.url), Cache(tmp_path)).snapshot("owner/model")


def test_a_cache_that_cannot_be_written_costs_a_note_alone(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    repositories = Repositories(Client(hub.url), Cache(tmp_path / "file"))
    assert repositories.content(repositories.snapshot("owner/model"), "config.json") == CONFIG
    assert "could not be kept" in repositories.notes[0]


def test_a_broken_cache_is_read_anew(hub: Hub, tmp_path: Path) -> None:
    Repositories(Client(hub.url), Cache(tmp_path)).snapshot("owner/model")
    (kept,) = tmp_path.rglob("snapshot.json")
    kept.write_text('{"id": 5')
    assert Repositories(Client(hub.url), Cache(tmp_path)).snapshot("owner/model").commit == COMMIT


def test_what_the_hub_says_of_a_repository_is_believed_only_within_bounds(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.licence = ["mit\x1b[2J\u202e" + "x" * 5000, "y" * 5000]
    hub.sizes = {"config.json": -5, "model.safetensors": 10**30}
    online = Repositories(Client(hub.url), Cache(tmp_path))
    snapshot = online.snapshot("owner/model")
    assert set(snapshot.files.values()) == {0}
    assert snapshot.licence is not None
    assert len(snapshot.licence) <= 100
    assert snapshot.licence.isprintable()
    monkeypatch.setattr(repository, "MOST_FILES", 3)
    with pytest.raises(BadInput, match="has 4 files"):
        online.snapshot("owner/model")

"""Models named by their id on the hub, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.models.hub_server import Hub, serving

Run = Callable[..., Answer]

CONFIG = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "vocab_size": 1000,
}


def test_an_id_is_asked_for_once_and_known_offline(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with serving(Hub(files={"owner/small": {"config.json": json.dumps(CONFIG).encode()}})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        online = run("show", "owner/small", "--json")
        assert online.json["model"]["name"] == "small"
        assert run("memory", "owner/small", "--context", "512", "--gpu", "rtx-4090").code == 0
    offline = run("show", "owner/small", "--json", "--offline")
    assert offline.json["model"]["parameters"] == online.json["model"]["parameters"]
    refused = run("show", "owner/other", "--offline")
    assert refused.code == 2
    assert "was not read yet" in refused.err


def test_an_id_that_the_catalogue_knows_asks_nobody(run: Run) -> None:
    assert run("show", "meta-llama/Llama-3.1-8B", "--json").json["model"]["parameters"] == 8_030_261_248


def test_no_network_is_one_sentence(run: Run) -> None:
    answer = run("show", "owner/never-read")
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "does not answer" in answer.err

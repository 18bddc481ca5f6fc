"""`models` and `show` against the published counts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmplanner.cli.places import models_folder
from llmplanner.models import catalogue
from tests.cli.conftest import Answer
from tests.models import safetensors_files as made
from tests.models.gguf_writer import write
from tests.models.test_gguf_models import OUTSIDE, layer, table
from tests.reference import REFERENCE, needs_reference, rows

Run = Callable[..., Answer]
LLAMA = next((row for row in rows("params.csv") if row["name"] == "llama-3.1-8b"), {})


def test_models_lists_the_catalogue(run: Run) -> None:
    models = run("models", "--json").json["models"]
    assert len(models) >= 40
    assert {model["kind"] for model in models} == {"decoder", "encoder", "encoder-decoder"}
    for model in models:
        assert set(model) == {"name", "kind", "parameters", "where", "path", "format", "bytes"}
        assert (model["where"], model["path"]) == ("catalogue", None)


def test_models_finds_by_all_words(run: Run) -> None:
    names = [model["name"] for model in run("models", "mistral AI", "8x7b", "--json").json["models"]]
    assert names == ["mixtral-8x7b"]
    answer = run("models", "mixtral")
    assert "46.7B" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())


def test_models_of_the_user_stand_beside_the_catalogue(run: Run) -> None:
    catalogue = Path(__file__).resolve().parents[2] / "resources" / "models" / "llama-3.1-8b.toml"
    own = models_folder() / "our-llama.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        catalogue.read_text(encoding="utf-8").replace('"llama-3.1-8b"', '"our-llama"'), encoding="utf-8"
    )
    (found,) = run("models", "our-llama", "--json").json["models"]
    assert (found["where"], found["path"]) == ("user", str(own))


@needs_reference
def test_show_gives_the_exact_counts(run: Run) -> None:
    model = run("show", "llama-3.1-8b", "--json").json["model"]
    assert model["parameters"] == int(LLAMA["total"])
    assert model["active_parameters"] == int(LLAMA["active"])
    assert model["embedding_parameters"] == int(LLAMA["embedding"])
    assert model["weight_bytes"] == 2 * int(LLAMA["total"])
    assert (model["kind"], model["layers"], model["context_length"]) == ("decoder", 32, 131_072)
    assert model["source"]


@needs_reference
@pytest.mark.parametrize("name", ["mixtral-8x7b", "t5-large", "bert-base-uncased"])
def test_show_reads_a_config(run: Run, name: str) -> None:
    row = next(row for row in rows("params.csv") if row["name"] == name)
    answer = run("show", REFERENCE / "configs" / f"{name}.json")
    assert f"{int(row['total']):,}" in answer.out
    assert f"{int(row['active']):,}" in answer.out


def test_show_has_the_card(run: Run) -> None:
    answer = run("show", "bert-base-uncased")
    assert "Best use:" in answer.out
    assert "Licence:" in answer.out
    assert "https://" in answer.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"model_type": "llama", ', "not a whole JSON file"),
        (b"not json", "not a whole JSON file"),
        (b'{"model_type": "new-thing"}', "new-thing"),
        (b"{}", "model_type"),
        (b"[]", "config.json"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "config.json"),
        (json.dumps({"model_type": "llama", "num_hidden_layers": 10**30}).encode(), "num_hidden_layers"),
        (json.dumps({"model_type": "llama", "hidden_size": 0}).encode(), "hidden_size"),
        (json.dumps({"model_type": "llama", "hidden_size": -1}).encode(), "hidden_size"),
    ],
)
@pytest.mark.parametrize("command", ["show", "memory", "fit"])
def test_a_config_that_cannot_be_used(
    run: Run, tmp_path: Path, content: bytes, words: str, command: str
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    options = () if command == "show" else ("--gpu", "rtx-4090")
    answer = run(command, path, *options)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_a_model_that_is_not_there(run: Run) -> None:
    answer = run("show", "lama-3.1-8b", "--json")
    assert answer.code == 2
    assert answer.error["field"] == "model"
    assert "llama-3.1-8b" in (answer.error["message"] or "")


def test_show_tells_what_a_file_holds(run: Run, tmp_path: Path) -> None:
    tensors = made.tensors_of(catalogue.model("llama-3.1-8b"))
    path = made.write(tmp_path / "some.safetensors", {**tensors, "visual.fc.weight": ("F32", (10, 10))})
    (tmp_path / "config.json").write_text(json.dumps(catalogue.entry("llama-3.1-8b").config), "utf-8")
    answer = run("show", path, "--json").json
    assert answer["model"]["parameters"] == answer["checkpoint"]["parameters"] == 8_030_261_248 + 100
    assert answer["model"]["weight_bytes"] == answer["checkpoint"]["bytes"] == 2 * 8_030_261_248 + 400
    assert [one["format"] for one in answer["checkpoint"]["formats"]] == ["BF16", "F32"]
    assert "vision" in answer["note"]
    out = run("show", path).out
    assert "8,030,261,348" in out
    assert any(line.split()[:3] == ["F32", "0.39", "KiB,"] for line in out.splitlines())


def test_show_tells_what_a_file_without_architecture_holds(run: Run, tmp_path: Path) -> None:
    path = made.write(tmp_path / "some.safetensors", {"unet.weight": ("F16", (320, 320))})
    answer = run("show", path, "--json").json
    assert (answer["model"], answer["checkpoint"]["bytes"]) == (None, 2 * 320 * 320)
    assert "102,400" in run("show", path).out
    refused = run("fit", path, "--gpu", "rtx-4090")
    assert refused.code == 2
    assert "config.json" in refused.err


def test_models_on_this_computer_stand_beside_the_catalogue(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "store" / "publisher" / "tiny"
    folder.mkdir(parents=True)
    made.write(folder / "model.safetensors", {"a": ("F32", (10, 10))})
    config = {**catalogue.entry("llama-3.1-8b").config, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (row,) = run("models", "publisher", "--folder", tmp_path / "store", "--json").json["models"]
    assert (row["name"], row["kind"], row["where"]) == ("publisher/tiny", "decoder", "folder")
    assert row["path"] == str(folder)
    assert (row["format"], row["bytes"]) == ("safetensors", (folder / "model.safetensors").stat().st_size)
    assert row["parameters"] == 8_030_261_248 - 31 * 218_112_000
    assert "safetensors" in run("models", "publisher", "--folder", tmp_path / "store").out


def test_folders_of_the_user_s_own_are_looked_into(run: Run, tmp_path: Path) -> None:
    made.write(tmp_path / "lasting.safetensors", {"a": ("F32", (10, 10))})
    file = models_folder().parent / "model_folders.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'folders = ["{tmp_path}"]')
    try:
        assert len(run("models", "folder", "--json").json["models"]) == 1
        file.write_text("folders = 5")
        assert run("models").code == 2
    finally:
        file.unlink()


def test_a_dense_models_parameters_are_all_active_those_beside_its_config_too(
    run: Run, tmp_path: Path
) -> None:
    config = {**catalogue.entry("smollm2-135m").config}
    tensors = made.tensors_of(catalogue.entry("smollm2-135m").model)
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    made.write(tmp_path / "model.safetensors", {**tensors, "visual.proj.weight": ("BF16", (10, 10))})
    model = run("show", tmp_path, "--json").json["model"]
    assert model["parameters"] == model["active_parameters"] == 134_515_008 + 100


def test_a_model_opens_by_the_name_that_models_lists(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--someone--theirs" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(catalogue.entry("smollm2-135m").config), "utf-8")
    made.write(snapshot / "model.safetensors", made.tensors_of(catalogue.model("smollm2-135m")))
    (row,) = run("models", "someone", "--json").json["models"]
    assert row["name"] == "someone/theirs"
    assert run("show", row["name"], "--json").json["model"]["parameters"] == 134_515_008
    (snapshot / "model.safetensors").unlink()
    assert (
        "someone/theirs" in run("show", row["name"], "--offline").err
    )  # the hub's, of which nothing is kept


def test_layers_of_which_the_same_is_told_stand_in_one_row(run: Run) -> None:
    rows = [line.split() for line in run("show", "t5-small").out.splitlines()]
    assert rows.count(["6", "×", "8", "heads,", "feed-forward", "2,048"]) == 2  # the encoder's, the decoder's
    rows = [line.split() for line in run("show", "deepseek-v3").out.splitlines()]
    assert [row[0] for row in rows if row[1:2] == ["×"] and row[0].isdigit()] == ["3", "58"]


def test_a_model_of_ollama_is_called_as_ollama_calls_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "c" * 64
    layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{digest}"}]
    manifest = tmp_path / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "1b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": layers}), "utf-8")
    (tmp_path / "blobs").mkdir()
    keys = table("llama")
    tensors = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    write(tmp_path / "blobs" / f"sha256-{digest}", keys, tensors)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    assert run("show", "tiny:1b", "--json").json["model"]["name"] == "tiny:1b"

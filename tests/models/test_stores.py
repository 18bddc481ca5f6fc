"""Models on this computer, in stores laid out as the programs lay them out."""

import json
import os
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.models.stores import Store, folders, hugging_face, look, named, ollama, own_folders, stores
from llmplanner.models.stores.found import Listing

COMMIT, OTHER = "a" * 40, "b" * 40
DIGEST = "c" * 64


def hub_file(repository: Path, name: str, size: int, commit: str = COMMIT) -> Path:
    """A file as the cache keeps it: a blob, and a link to it in the snapshot."""
    blob = repository / "blobs" / f"{commit[:3]}-{name.replace('/', '-')}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(b"x" * size)
    link = repository / "snapshots" / commit / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def reference(repository: Path, commit: str) -> None:
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)


def manifest(store: Path, name: str, layers: object) -> Path:
    path = store / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return path


def blob(store: Path, digest: str, size: int) -> None:
    (store / "blobs").mkdir(parents=True, exist_ok=True)
    (store / "blobs" / f"sha256-{digest}").write_bytes(b"x" * size)


def layer(kind: str, digest: str = DIGEST) -> dict[str, str]:
    return {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"}


def hub(folder: Path) -> Store:
    return Store("Hugging Face cache", folder, hugging_face.find)


def test_a_sharded_repository_is_one_model_of_all_its_bytes(tmp_path: Path) -> None:
    repository = tmp_path / "models--meta-llama--Llama-3.1-8B"
    reference(repository, COMMIT)
    for number in (1, 2):
        hub_file(repository, f"model-0000{number}-of-00002.safetensors", 100 * number)
    hub_file(repository, "model.safetensors.index.json", 5)
    hub_file(repository, "config.json", 7)
    (model,) = look((hub(tmp_path),)).models
    assert (model.name, model.format, model.bytes) == ("meta-llama/Llama-3.1-8B", "safetensors", 300)
    assert model.path == repository / "snapshots" / COMMIT
    assert model.config == model.path / "config.json"


def test_the_snapshot_of_main_is_taken_though_another_is_newer(tmp_path: Path) -> None:
    repository = tmp_path / "models--a--b"
    hub_file(repository, "model.safetensors", 10)
    hub_file(repository, "model.safetensors", 20, OTHER)
    assert look((hub(tmp_path),)).models[0].bytes == 20
    reference(repository, COMMIT)
    assert look((hub(tmp_path),)).models[0].bytes == 10


def test_every_gguf_of_a_repository_is_a_model_and_its_shards_are_one(tmp_path: Path) -> None:
    repository = tmp_path / "models--x--big-GGUF"
    for name in ("big-Q4_K_M.gguf", "big-Q8_0-00001-of-00002.gguf", "big-Q8_0-00002-of-00002.gguf"):
        hub_file(repository, name, 10)
    hub_file(repository, "BF16/big-BF16-00001-of-00003.gguf", 10)
    hub_file(repository, "mmproj-big-f16.gguf", 10)
    found = {model.name: model for model in look((hub(tmp_path),)).models}
    assert set(found) == {"x/big-GGUF/big-Q4_K_M", "x/big-GGUF/big-Q8_0", "x/big-GGUF/BF16"}
    assert found["x/big-GGUF/big-Q8_0"].bytes == 20
    assert found["x/big-GGUF/BF16"].note == "2 of its 3 files are missing"


def test_a_dangling_link_costs_the_file_and_not_the_repository(tmp_path: Path) -> None:
    repository = tmp_path / "models--a--b"
    hub_file(repository, "model.safetensors", 10)
    (repository / "snapshots" / COMMIT / "config.json").symlink_to("../../blobs/gone")
    (model,) = look((hub(tmp_path),)).models
    assert model.bytes == 10
    assert model.config is None
    assert "config.json" in model.note


def test_a_link_out_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.gguf"
    secret.write_bytes(b"x" * 99)
    snapshot = tmp_path / "hub" / "models--a--b" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "model.gguf").symlink_to(secret)
    assert look((hub(tmp_path / "hub"),)).models == ()


def test_ollama_names_models_as_its_own_list_does(tmp_path: Path) -> None:
    blob(tmp_path, DIGEST, 42)
    layers = [layer("license"), layer("model"), layer("params")]
    manifest(tmp_path, "registry.ollama.ai/library/llama3.1/8b", layers)
    manifest(tmp_path, "registry.ollama.ai/someone/tuned/latest", layers)
    manifest(tmp_path, "hf.co/owner/model-GGUF/Q4_K_M", layers)
    found = look((Store("Ollama", tmp_path, ollama.find),)).models
    names = [model.name for model in found]
    assert names == ["hf.co/owner/model-GGUF:Q4_K_M", "llama3.1:8b", "someone/tuned:latest"]
    assert {(model.path, model.bytes) for model in found} == {(tmp_path / "blobs" / f"sha256-{DIGEST}", 42)}


def test_ollama_s_safetensors_models_are_listed_with_the_sum_of_their_tensors(tmp_path: Path) -> None:
    digests = ["1" * 64, "2" * 64]
    for digest in digests:
        blob(tmp_path, digest, 10)
    manifest(tmp_path, "registry.ollama.ai/library/new/1b", [layer("tensor", each) for each in digests])
    (model,) = look((Store("Ollama", tmp_path, ollama.find),)).models
    assert (model.format, model.bytes) == ("safetensors", 20)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name"),
        ("[]", "no list of layers"),
        (
            '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../x"}]}',
            "SHA",
        ),
        ('{"layers": [{"mediaType": "application/vnd.ollama.image.model"}]}', "SHA"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_broken_manifest_is_told_and_the_others_are_listed(tmp_path: Path, text: str, reason: str) -> None:
    blob(tmp_path, DIGEST, 42)
    manifest(tmp_path, "registry.ollama.ai/library/good/latest", [layer("model")])
    broken = tmp_path / "manifests" / "registry.ollama.ai" / "library" / "bad" / "latest"
    broken.parent.mkdir()
    broken.write_text(text)
    listing = look((Store("Ollama", tmp_path, ollama.find),))
    assert [model.name for model in listing.models] == ["good:latest"]
    (problem,) = listing.problems
    assert "bad:latest" in problem
    assert reason in problem


def test_lm_studio_s_folders_are_publisher_and_model(tmp_path: Path) -> None:
    (tmp_path / "bartowski" / "Qwen-GGUF").mkdir(parents=True)
    (tmp_path / "bartowski" / "Qwen-GGUF" / "Qwen-Q4_K_M.gguf").write_bytes(b"x" * 5)
    (tmp_path / "mlx-community" / "Qwen-4bit").mkdir(parents=True)
    (tmp_path / "mlx-community" / "Qwen-4bit" / "model.safetensors").write_bytes(b"x" * 7)
    listing = look((Store("LM Studio", tmp_path, folders.tree("LM Studio")),))
    assert {(model.name, model.format, model.bytes) for model in listing.models} == {
        ("bartowski/Qwen-GGUF", "GGUF", 5),
        ("mlx-community/Qwen-4bit", "safetensors", 7),
    }


def test_a_cache_that_two_programs_share_is_listed_once(tmp_path: Path) -> None:
    hub_file(tmp_path / "models--a--b", "model.safetensors", 1)
    environment = {"HF_HUB_CACHE": str(tmp_path), "LLAMA_CACHE": str(tmp_path)}
    assert len(look(stores((), environment, tmp_path / "home")).models) == 1


def test_a_store_that_is_not_there_holds_nothing_and_an_unreadable_one_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    assert look((hub(tmp_path / "none"),)).problems == ()
    (problem,) = look((hub(file),)).problems
    assert str(file) in problem


def test_a_stopped_look_answers_with_what_it_has(tmp_path: Path) -> None:
    for name in ("models--a--b", "models--a--c"):
        hub_file(tmp_path / name, "model.safetensors", 1)
    answers = iter((False, True))
    assert len(look((hub(tmp_path),), lambda: next(answers)).models) == 1


def test_the_environment_moves_the_stores(tmp_path: Path) -> None:
    environment = {"HF_HOME": "/data/hf", "OLLAMA_MODELS": "/data/ollama", "LLAMA_CACHE": "/data/llama"}
    moved = {store.folder for store in stores((), environment, tmp_path)}
    assert {Path("/data/hf/hub"), Path("/data/ollama"), Path("/data/llama")} <= moved
    usual = {store.folder for store in stores((), {}, tmp_path)}
    cache = tmp_path / ".cache"
    assert {cache / "huggingface" / "hub", cache / "llama.cpp", tmp_path / ".lmstudio" / "models"} <= usual


def test_the_user_s_own_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"x")
    (model,) = look(stores((tmp_path,), {}, tmp_path / "home")).models
    assert (model.where, model.path) == ("folder", tmp_path / "a.gguf")


def test_a_file_that_lies_in_the_store_itself_is_called_by_its_own_name(tmp_path: Path) -> None:
    cache = tmp_path / "llama.cpp"
    cache.mkdir()
    (cache / "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M.gguf").write_bytes(b"x")
    (found,) = look((Store("llama.cpp cache", cache, folders.tree("llama.cpp cache")),)).models
    assert found.name == "ggml-org_gemma-3-1b-it-GGUF_gemma-3-1b-it-Q4_K_M"


def test_a_model_is_found_by_the_name_that_is_listed(tmp_path: Path) -> None:
    manifest(tmp_path, "registry.ollama.ai/library/llama3.1/8b", [layer("model", "8" * 64)])
    manifest(tmp_path, "registry.ollama.ai/library/lost/latest", [layer("model", "e" * 64)])
    blob(tmp_path, "8" * 64, 10)
    store = (Store("Ollama", tmp_path, ollama.find),)
    for text, found in (("llama3.1:8b", True), (" Lost ", True), ("llama3.1:70b", False), ("", False)):
        assert (named(text, store) is not None) == found
    lost = named("lost", store)
    assert lost is not None
    assert lost.note


def test_a_pipe_in_a_store_is_not_waited_for(tmp_path: Path) -> None:
    repository = tmp_path / "models--someone--theirs"
    hub_file(repository, "model.safetensors", 5)
    (repository / "refs").mkdir()
    os.mkfifo(repository / "refs" / "main")
    (model,) = look((hub(tmp_path),)).models
    assert model.path == repository / "snapshots" / COMMIT
    store = tmp_path / "ollama"
    tags = store / "manifests" / "registry.ollama.ai" / "library" / "tiny"
    tags.mkdir(parents=True)
    os.mkfifo(tags / "1b")
    listing = look((Store("Ollama", store, ollama.find),))
    assert (listing.models, listing.problems) == ((), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folders = 5", "folders"),
        ('folders = ["a\\u0000b"]', "cannot be one"),
        ("folders = [", "not valid TOML"),
    ],
)
def test_folders_that_cannot_be_are_refused(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "model_folders.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match=words):
        own_folders(file)


def test_the_home_of_nobody_is_a_folder_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "model_folders.toml"
    file.write_text('folders = ["~no-such-user-here/models"]')
    assert look((Store("folder", own_folders(file)[0], folders.tree("folder")),)) == Listing(())


def test_very_many_broken_manifests_are_told_in_a_few_plain_sentences(tmp_path: Path) -> None:
    for number in range(300):
        manifest(tmp_path, f"registry.ollama.ai/library/m{number}\x1b[2J/latest", "no list")
    problems = look((Store("Ollama", tmp_path, ollama.find),)).problems
    assert len(problems) == 11
    assert all(problem.isprintable() for problem in problems)
    assert problems[-1].startswith("290 more")

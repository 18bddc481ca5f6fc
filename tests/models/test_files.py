"""Opening models by path: folders, single files, sets of shards, PyTorch's archives, links, broken ones."""

import json
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from llmplanner.compose import model_named
from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue, files
from llmplanner.models.config import from_config
from llmplanner.models.files import UndescribedError, open_path
from llmplanner.models.quantized.quantization import stored_tensors, table_in
from llmplanner.plans import Draft, read, write
from tests.models import safetensors_files as made
from tests.reference import REFERENCE, needs_reference

ENTRY = catalogue.entry("llama-3.1-8b")
TENSORS = made.tensors_of(ENTRY.model)
SMALL = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 100,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
SMALL_MODEL = from_config(SMALL, "small", "")
SMALL_TENSORS = made.tensors_of(SMALL_MODEL, "F16")
INDEX = "model.safetensors.index.json"


def config(folder: Path, table: dict[str, object]) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(table), encoding="utf-8")
    return file


def index(folder: Path, weight_map: object) -> Path:
    file = folder / INDEX
    file.write_text(json.dumps({"metadata": {"total_size": 1.5}, "weight_map": weight_map}), encoding="utf-8")
    return file


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        open_path(path)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    return sentence


@pytest.mark.parametrize("form", ["folder", "file", "index", "shard", "sharded folder", "numbered"])
def test_every_way_to_name_a_model_gives_the_same(tmp_path: Path, form: str) -> None:
    config(tmp_path, dict(ENTRY.config))
    if form in {"folder", "file"}:
        file = made.write(tmp_path / "model.safetensors", TENSORS)
        path = tmp_path if form == "folder" else file
    else:
        where = made.write_sharded(tmp_path, TENSORS, 3)
        shard = tmp_path / "model-00002-of-00003.safetensors"
        path = {"index": where, "shard": shard, "numbered": shard}.get(form, tmp_path)
        if form == "numbered":
            where.unlink()
    found = open_path(path)
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.elements == 8_030_261_248
    assert found.model.checkpoint.bytes == 2 * 8_030_261_248
    assert found.model.checkpoint.label == "BF16"
    assert found.model.note == ""
    assert found.model.stacks == ENTRY.model.stacks
    assert found.model.name == tmp_path.name
    assert {tensor.name for tensor in found.tensors} == set(TENSORS)


def test_a_file_alone_tells_its_architecture_by_its_names(tmp_path: Path) -> None:
    found = open_path(made.write(tmp_path / "some.safetensors", TENSORS))
    assert found.model.name == "some"
    assert found.model.stacks == ENTRY.model.stacks
    assert "No config.json" in found.model.note
    assert parameters(found.model).total == 8_030_261_248


@pytest.mark.parametrize(
    "name", ["qwen2.5-7b", "qwen3-8b", "mistral-7b-v0.1", "llama-3.2-1b", "qwen2.5-0.5b"]
)
def test_kin_of_llama_are_told_by_their_names(tmp_path: Path, name: str) -> None:
    model = catalogue.model(name)
    found = open_path(made.write(tmp_path / "some.safetensors", made.tensors_of(model)))
    assert parameters(found.model) == parameters(model)
    groups = [group.layer.attention for group in found.model.stacks[0].groups]
    wanted = model.stacks[0].groups[0].layer.attention
    for attention in groups:
        assert attention is not None
        assert wanted is not None
        assert attention.kv_heads * attention.key_dim == wanted.kv_heads * wanted.key_dim  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "mixtral-8x7b"])
def test_what_is_not_llamas_needs_its_config(tmp_path: Path, name: str) -> None:
    model = catalogue.model(name)
    path = made.write(tmp_path / "some.safetensors", made.tensors_of(model))
    assert "config.json" in refused(path)
    with pytest.raises(UndescribedError) as caught:
        open_path(path)
    assert caught.value.held.elements == parameters(model).total
    assert caught.value.held.bytes == 2 * parameters(model).total


def test_an_adapter_is_told_apart(tmp_path: Path) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    assert "LoRA" in refused(made.write(tmp_path / "adapter_model.safetensors", {name: ("F32", (8, 64))}))


def test_the_header_decides_whether_the_head_is_tied(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    tied = {name: tensor for name, tensor in SMALL_TENSORS.items() if name != "lm_head.weight"}
    made.write(tmp_path / "model.safetensors", tied)
    found = open_path(tmp_path)
    assert found.model.head.tied
    assert found.config["tie_word_embeddings"] is True
    assert found.model.note == ""
    config(tmp_path, {**SMALL, "tie_word_embeddings": True})
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    assert not open_path(tmp_path).model.head.tied


def test_the_header_decides_the_type_of_the_weights(tmp_path: Path) -> None:
    config(tmp_path, {**SMALL, "torch_dtype": "float32"})
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    assert open_path(tmp_path).model.dtype == "fp16"


def test_what_the_config_does_not_describe_is_told(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    more = {
        "visual.blocks.0.attn.qkv.weight": ("F16", (100, 10)),
        "model.layers.2.eh_proj.weight": ("F16", (64, 128)),
        "mtp.fc.weight": ("F16", (10, 10)),
    }
    made.write(tmp_path / "model.safetensors", {**SMALL_TENSORS, **more})
    note = open_path(tmp_path).model.note
    assert f"{1000 + 64 * 128 + 100:,} more" in note
    assert "vision" in note
    assert "further tokens" in note


@pytest.mark.parametrize(
    "name",
    [
        "final_logits_bias",
        "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.0.self_attn.slope_rate",
    ],
)
def test_a_table_that_is_no_parameter_of_its_class_is_named(tmp_path: Path, name: str) -> None:
    config(tmp_path, SMALL)
    made.write(tmp_path / "model.safetensors", {**SMALL_TENSORS, name: ("F16", (1, 128))})
    note = open_path(tmp_path).model.note
    assert "128 more" in note
    assert "fixed tables: 128" in note


@pytest.mark.parametrize("name", catalogue.names())
def test_a_header_that_agrees_with_its_config_adds_nothing(tmp_path: Path, name: str) -> None:
    entry = catalogue.entry(name)
    model = entry.model
    config(tmp_path, dict(entry.config))
    plain = {"fp32": "F32", "fp16": "F16"}.get(model.dtype, "BF16")
    if model.checkpoint is None:
        made.write(tmp_path / "model.safetensors", made.tensors_of(model, plain))
    else:
        table = table_in(entry.config)
        assert table is not None
        tensors = {one.name: (one.format, one.shape) for one in stored_tensors(model, table)}
        made.write(tmp_path / "model.safetensors", tensors)
    found = open_path(tmp_path)
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.elements == parameters(model).total
    assert found.model.stacks == model.stacks
    assert found.model.head == model.head
    assert (found.model.note, found.model.dtype) == (model.note, model.dtype)


def test_what_a_config_can_but_guess_the_file_tells(tmp_path: Path) -> None:
    table: dict[str, object] = {
        "model_type": "llava",
        "text_config": {**SMALL, "model_type": "llama"},
        "vision_config": {},
    }
    assert "open the weights" in from_config(table, "a", "").note
    config(tmp_path, table)
    tensors = {f"language_model.{name}": tensor for name, tensor in SMALL_TENSORS.items()}
    made.write(tmp_path / "model.safetensors", {**tensors, "vision_tower.fc.weight": ("F16", (10, 10))})
    note = open_path(tmp_path).model.note
    assert "100 more" in note
    assert "open the weights" not in note


def test_an_interrupted_download_is_opened_with_a_note(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    file = made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    os.truncate(file, file.stat().st_size // 2)
    found = open_path(tmp_path)
    assert "50 %" in found.model.note
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.elements == parameters(SMALL_MODEL).total


def test_the_single_file_counts_where_an_index_lies_beside_it(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    index(tmp_path, {"a": "gone.safetensors"})
    assert open_path(tmp_path).model.note == ""


def test_variants_are_opened_by_their_own_name_alone(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    made.write(tmp_path / "model.safetensors", {name: ("F32", t[1]) for name, t in SMALL_TENSORS.items()})
    variant = made.write(tmp_path / "model.fp16.safetensors", SMALL_TENSORS)
    assert (open_path(tmp_path).model.dtype, open_path(variant).model.dtype) == ("fp32", "fp16")


def test_a_hubs_cache_may_link_within_its_own_folder(tmp_path: Path) -> None:
    repository = tmp_path / "models--maker--small-llama"
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    config(repository / "blobs", SMALL).rename(repository / "blobs" / "a")
    made.write_sharded(repository / "blobs", SMALL_TENSORS, 2)
    names = {"config.json": "a", INDEX: INDEX}
    names |= {f"model-0000{n}-of-00002.safetensors": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    for name, blob in names.items():
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    found = open_path(snapshot)
    assert found.model.name == "small-llama"
    assert open_path(repository).model == found.model
    assert len(found.tensors) == len(SMALL_TENSORS)


@pytest.mark.parametrize(
    "name",
    [
        "../a.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b.safetensors",
        "a\\b",
        "C:a",
        "a\0b",
        "a\nb",
        "x" * 300,
    ],
)
def test_an_index_names_files_beside_it_alone(tmp_path: Path, name: str) -> None:
    config(tmp_path, SMALL)
    assert "not the name of a file" in refused(index(tmp_path, {"a": name}))


def test_missing_shards_are_counted_and_named(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    made.write_sharded(tmp_path, SMALL_TENSORS, 4)
    for number in (2, 3):
        (tmp_path / f"model-0000{number}-of-00004.safetensors").unlink()
    sentence = refused(tmp_path)
    assert "4 files" in sentence
    assert "2 are not there" in sentence
    assert "model-00002-of-00004" in sentence


def test_links_out_in_circles_and_to_each_other_are_refused(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "elsewhere.safetensors"
    folder.mkdir()
    config(folder, SMALL)
    made.write(elsewhere, SMALL_TENSORS)
    where = index(folder, dict.fromkeys(SMALL_TENSORS, "a.safetensors"))
    link = folder / "a.safetensors"
    link.symlink_to(elsewhere)
    assert "out of its folder" in refused(where)
    link.unlink()
    link.symlink_to(link)
    assert "leads nowhere" in refused(where)
    link.unlink()
    made.write(link, SMALL_TENSORS)
    (folder / "b.safetensors").symlink_to(link)
    twice = index(folder, {**dict.fromkeys(SMALL_TENSORS, "a.safetensors"), "more": "b.safetensors"})
    assert "same file" in refused(twice)


def test_index_and_shards_must_agree(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    where = made.write_sharded(tmp_path, SMALL_TENSORS, 2)
    table = json.loads(where.read_text(encoding="utf-8"))["weight_map"]
    index(tmp_path, {**table, "lost.weight": "model-00001-of-00002.safetensors"})
    assert "lost.weight" in refused(tmp_path)
    made.write(tmp_path / "model-00001-of-00002.safetensors", SMALL_TENSORS)
    index(tmp_path, table)
    assert "one name" in refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {}}'),
        *(b'{"weight_map": {"\xff": "a"}}', b"[" * 900_000, b'{"a":' * 200_000, b'{"weight_map": NaN}'),
    ],
)
def test_a_broken_index_is_refused(tmp_path: Path, content: bytes) -> None:
    config(tmp_path, SMALL)
    file = tmp_path / INDEX
    file.write_bytes(content)
    assert INDEX in refused(file)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def archive(path: Path, sizes: list[int], bomb: Path) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", pickle.dumps(Bomb(bomb)))
        file.writestr("model/version", "3")
        for number, size in enumerate(sizes):
            file.writestr(f"model/data/{number}", bytes(size))
    return path


def test_pytorch_files_are_sized_and_never_unpickled(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    elements = parameters(SMALL_MODEL).total
    path = archive(tmp_path / "pytorch_model.bin", [4 * elements - 400, 400], bomb)
    with pytest.raises(UndescribedError, match="pickle") as caught:
        open_path(path)
    assert caught.value.held.bytes == 4 * elements
    config(tmp_path, SMALL)
    found = open_path(tmp_path)
    assert found.model.checkpoint is not None
    assert (found.model.checkpoint.bytes, found.model.checkpoint.elements) == (4 * elements, elements)
    assert found.model.dtype == "fp32"
    assert found.tensors == ()
    assert not bomb.exists()


def test_a_set_of_pytorch_files_adds_up(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    for name in names:
        archive(tmp_path / name, [parameters(SMALL_MODEL).total], tmp_path / "bomb")
    table = {"weight_map": {"a": names[0], "b": names[1]}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(table), encoding="utf-8")
    found = open_path(tmp_path)
    assert found.model.checkpoint is not None
    assert found.model.checkpoint.bytes == 2 * parameters(SMALL_MODEL).total
    assert found.model.dtype == "bf16"
    assert open_path(tmp_path / names[1]).model.checkpoint == replace(
        found.model.checkpoint, source=f"directory of {tmp_path / names[1]}"
    )
    (tmp_path / names[0]).unlink()
    assert names[0] in refused(tmp_path / names[1])


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth"])
def test_old_pytorch_files_are_refused_with_a_reason(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + pickle.dumps(Bomb(tmp_path / "bomb")))
    sentence = refused(path)
    assert "pickle" in sentence
    assert "safetensors" in sentence
    assert not (tmp_path / "bomb").exists()


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    whole = archive(tmp_path / "whole.bin", [1000], tmp_path / "bomb").read_bytes()
    path = tmp_path / "a.bin"
    end = whole.rfind(b"PK\x05\x06")
    broken = [whole[:-30], whole[: end // 2], b"PK\x03\x04", whole[:end] + whole[end + 4 :]]
    broken.append(whole[: end + 12] + b"\xff\xff\xff\x7f" + whole[end + 16 :])
    for content in broken:
        path.write_bytes(content)
        assert "not a whole PyTorch file" in refused(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("word/document.xml", "text")
    assert "not a whole PyTorch file" in refused(path)


def test_an_archive_that_claims_more_than_it_has_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.bin", [1000], tmp_path / "bomb")
    content = bytearray(path.read_bytes())
    place = content.rfind(b"model/data/0") - 46  # its entry in the directory
    content[place + 20 : place + 28] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(bytes(content))
    assert "more bytes" in refused(path)


@needs_reference
def test_gguf_is_opened_by_its_first_bytes_too(tmp_path: Path) -> None:
    file = REFERENCE / "corpus" / "gguf_shapes" / "llama-3.1-8b.gguf"
    blob = tmp_path / ("sha256-" + "0" * 64)
    blob.write_bytes(file.read_bytes())
    assert parameters(open_path(blob).model) == parameters(open_path(file).model)


@pytest.mark.parametrize("name", ["notes.txt", "model", "a.safetensors.part"])
def test_what_is_no_model_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello", encoding="utf-8")
    assert "no model that is known" in refused(tmp_path / name)


def test_an_empty_folder_and_a_pipe_are_told(tmp_path: Path) -> None:
    assert "config.json" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.bin")
    assert "not a regular file" in refused(tmp_path / "pipe.bin")


def test_a_folder_of_several_models_asks_which(tmp_path: Path) -> None:
    for name in ("a", "b"):
        made.write(tmp_path / f"{name}.safetensors", SMALL_TENSORS)
    assert '2 .safetensors files, "a.safetensors", "b.safetensors"; give the path of one' in refused(tmp_path)


def test_a_plan_outlives_the_file(tmp_path: Path) -> None:
    config(tmp_path, SMALL)
    file = made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    chosen = model_named(str(tmp_path))
    write(
        tmp_path / "a.llmplan.json",
        Draft(model=str(tmp_path), config=chosen.config, checkpoint=chosen.checkpoint),
    )
    file.unlink()
    kept = read(tmp_path / "a.llmplan.json")
    again = model_named(kept.model, kept.config, kept.checkpoint)
    assert again.model.checkpoint == chosen.model.checkpoint
    assert again.model.stacks == chosen.model.stacks
    assert files.name_of(tmp_path / "config.json") == again.model.name


def test_a_config_that_cannot_be_used_is_passed_over_for_names_that_tell(tmp_path: Path) -> None:
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    config(tmp_path, {"model_type": "of tomorrow"})
    found = open_path(tmp_path)
    assert parameters(found.model).total == parameters(SMALL_MODEL).total
    assert "cannot be used" in found.model.note


def test_a_config_that_cannot_be_used_leaves_what_the_file_holds(tmp_path: Path) -> None:
    made.write(
        tmp_path / "model.safetensors", {f"t.{name}": tensor for name, tensor in SMALL_TENSORS.items()}
    )
    config(tmp_path, {"model_type": "of tomorrow"})
    with pytest.raises(UndescribedError, match="of tomorrow") as caught:
        open_path(tmp_path)
    assert caught.value.held.elements == parameters(SMALL_MODEL).total


@pytest.mark.parametrize("amount", [-1, 10**19])
def test_a_plan_cannot_claim_any_size(tmp_path: Path, amount: int) -> None:
    config(tmp_path, SMALL)
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    chosen = model_named(str(tmp_path))
    path = tmp_path / "a.llmplan.json"
    write(path, Draft(model="a", config=chosen.config, checkpoint=chosen.checkpoint))
    table = json.loads(path.read_text(encoding="utf-8"))
    table["checkpoint"]["amounts"][0]["bytes"] = amount
    path.write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(BadInput, match="checkpoint"):
        read(path)


def test_a_quantization_that_cannot_be_leaves_the_header_alone(tmp_path: Path) -> None:
    made.write(tmp_path / "model.safetensors", SMALL_TENSORS)
    config(tmp_path, {**SMALL, "quantization_config": {"quant_method": "gptq", "bits": 7}})
    assert "bits" not in open_path(tmp_path).model.note
    config(tmp_path, {**SMALL, "quantization_config": "gptq"})
    assert open_path(tmp_path).model.checkpoint is not None


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="the file that no system but Linux has")
@pytest.mark.parametrize("name", ["model", "model.gguf", "model.safetensors", "config.json", "model.bin"])
def test_a_file_whose_reading_fails_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")
    with pytest.raises(BadInput, match=r"cannot be read: |not a whole PyTorch file"):
        open_path(tmp_path / name)


def test_a_download_that_was_cut_says_so_without_a_config_too(tmp_path: Path) -> None:
    path = made.write(tmp_path / "odd.safetensors", {"a": ("F32", (10, 10))})
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 200)
    with pytest.raises(UndescribedError, match=r"% of .* is there"):
        open_path(path)

"""Indexes and archives that lie: each gets one sentence, and no file outside is looked at."""

import io
import json
import os
import struct
import zipfile
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.models.files import open_path
from tests.models import safetensors_files

CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    safetensors_files.write(tmp_path / "a.safetensors", {"a": ("F32", [2])})
    return tmp_path


def refused(path: Path, word: str) -> None:
    with pytest.raises(BadInput, match=word) as caught:
        open_path(path)
    message = str(caught.value)
    assert message.endswith(".")
    assert message.isprintable()
    assert len(message) < 400


@pytest.mark.parametrize(
    "name",
    [
        *("CON", "aux.safetensors", "NUL.safetensors", "lpt1.bin", "COM7.safetensors", "a\u202e.safetensors"),
        *("..\\x.safetensors", "C:x.safetensors", "/etc/passwd", "a\0.safetensors", "a.safetensors "),
        "b" * 1000,
    ],
)
def test_names_that_are_no_files_beside_the_index(folder: Path, name: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
    refused(folder / INDEX, "not the name of a file beside it")


@pytest.mark.parametrize("name", [INDEX, "config.json", "a.gguf", "a"])
def test_names_of_other_files_than_weights(folder: Path, name: str) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": name}}), encoding="utf-8")
    refused(folder / INDEX, "no file of weights")


@pytest.mark.parametrize(
    "content",
    [
        '{"weight_map":{"a":"a.safetensors","a":"a.safetensors"}}',
        '{"weight_map":{"a":"a.safetensors","\\u0061":"a.safetensors"}}',
        '{"weight_map":{"b":"a.safetensors"},"weight\\u005fmap":{"a":"a.safetensors"}}',
        '{"metadata":{},"weight_map":{"b":"a.safetensors"},"metadata":{"x":1},"weight_map":{"a":"a.safetensors"}}',
    ],
)
def test_a_name_that_stands_twice_in_an_index(folder: Path, content: str) -> None:
    (folder / INDEX).write_text(content, encoding="utf-8")
    refused(folder / INDEX, "stands twice")


def test_an_index_with_more_to_say_is_read(folder: Path) -> None:
    text = '{"format":"pt","metadata":{"total_size":8.0,"a":["b"]},"weight_map":{"a":"a.safetensors"}}'
    (folder / INDEX).write_text(text, encoding="utf-8")
    assert [tensor.name for tensor in open_path(folder / INDEX).tensors] == ["a"]


def archive(*entries: tuple[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for name, content in entries:
            file.writestr(name, content)
    return memory.getvalue()


PICKLE = ("m/data.pkl", b"\x80\x02cos\nsystem\n(S'exit 1'\ntR.")


@pytest.mark.parametrize("storages", [(), (("m/data/0", b""),), (("../../data/0", bytes(64)),)])
def test_an_archive_with_far_less_than_its_config_says(
    folder: Path, storages: tuple[tuple[str, bytes], ...]
) -> None:
    path = folder / "pytorch_model.bin"
    path.write_bytes(archive(PICKLE, *storages))
    refused(path, "do not belong together|not a whole PyTorch file")


def test_a_directory_that_names_one_storage_a_thousand_times(folder: Path) -> None:
    content = archive(PICKLE, ("m/data/0", bytes(64)))
    start, end = content.find(b"PK\x01\x02"), content.rfind(b"PK\x05\x06")
    again = content[content.rfind(b"PK\x01\x02") : end] * 1000
    last = bytearray(content[end:])
    struct.pack_into("<HHI", last, 8, 1002, 1002, end - start + len(again))
    path = folder / "pytorch_model.bin"
    path.write_bytes(content[:end] + again + bytes(last))
    refused(path, "more bytes of weights than it has")


def test_a_storage_that_claims_exabytes(folder: Path) -> None:
    content = archive(PICKLE, ("m/data/0", bytes(64)))
    place = content.rfind(b"PK\x01\x02") + 20
    path = folder / "pytorch_model.bin"
    path.write_bytes(content[:place] + struct.pack("<II", 2**32 - 2, 2**32 - 2) + content[place + 8 :])
    refused(path, "more bytes of weights than it has")


@pytest.mark.parametrize("kind", ["safetensors", "gguf", "bin"])
def test_every_beginning_of_a_file_is_refused_or_read(folder: Path, kind: str) -> None:
    header, data = safetensors_files.header(
        {"model.embed_tokens.weight": ("F16", [9, 64]), "a": ("F32", [2])}
    )
    whole = {
        "safetensors": len(header).to_bytes(8, "little") + header + bytes(data),
        "gguf": b"GGUF"
        + struct.pack("<IQQ", 3, 0, 1)
        + struct.pack("<Q", 1)
        + b"a"
        + struct.pack("<II", 4, 7),
        "bin": archive(PICKLE, ("m/data/0", bytes(64))),
    }[kind]
    (folder / "config.json").unlink()
    path = folder / f"cut.{kind}"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path, path.name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are not on this system")
def test_a_shard_that_is_a_pipe_does_not_wait(folder: Path) -> None:
    (folder / "a.safetensors").unlink()
    os.mkfifo(folder / "a.safetensors")
    (folder / INDEX).write_text('{"weight_map":{"a":"a.safetensors"}}', encoding="utf-8")
    refused(folder / INDEX, "not a regular file")

"""Broken and hostile safetensors files: one sentence, quickly, and with little memory."""

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.models.checkpoints import safetensors
from tests.models.safetensors_files import header, write_raw

HOSTILE = Path(__file__).resolve().parent.parent / "hostile" / "safetensors"


def entry(kind: str = "F32", shape: object = (1,), offsets: object = (0, 4), **more: object) -> bytes:
    return json.dumps({"a": {"dtype": kind, "shape": shape, "data_offsets": offsets, **more}}).encode()


def two(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    table = {
        name: {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]}
        for name, (begin, end) in {"a": first, "b": second}.items()
    }
    return json.dumps(table).encode()


ONE = b'"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'
TWICE = b"{" + ONE + b"," + ONE + b"}"
HEADERS = {  # what a header holds, how much data follows, and a word of the sentence
    "not JSON": (b"{]", 0, "header"),
    "nothing": (b"", 0, "header"),
    "spaces": (b"   ", 0, "header"),
    "a list": (b"[]", 0, "array"),
    "a number": (b"7", 0, "int"),
    "more than JSON": (entry() + b"{}", 4, "trailing"),
    "NaN": (entry().replace(b"[1]", b"[NaN]"), 4, "invalid"),
    "infinity": (entry().replace(b"[1]", b"[Infinity]"), 4, "invalid"),
    "a fraction": (entry(shape=[1.0]), 4, "float"),
    "a large fraction": (entry().replace(b"[1]", b"[1e400]"), 4, "header"),
    "truth": (entry(shape=[True]), 4, "bool"),
    "a text for a shape": (entry(shape="1"), 4, "shape"),
    "a number of 5,000 digits": (entry().replace(b"[1]", b"[" + b"9" * 5000 + b"]"), 4, "header"),
    "a number of 4,000 digits": (entry().replace(b"[1]", b"[" + b"9" * 4000 + b"]"), 4, "2^64"),
    "a negative size": (entry(shape=[-1]), 4, "negative"),
    "two negative sizes": (entry(shape=[-1, -1]), 4, "negative"),
    "a product beyond 2^64": (entry(shape=[2**40, 2**40], offsets=(0, 0)), 0, "2^64"),
    "a product of 2^64 and nought": (entry(shape=[2**40, 2**40, 0], offsets=(0, 0)), 0, "2^64"),
    "half a million sizes": (entry(shape=[2] * 300_000), 4, "2^64"),
    "an unknown type": (entry("F7"), 4, "F7"),
    "a type in small letters": (entry("f32"), 4, "f32"),
    "no type": (b'{"a":{"shape":[1],"data_offsets":[0,4]}}', 4, "dtype"),
    "no shape": (b'{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4, "shape"),
    "no offsets": (b'{"a":{"dtype":"F32","shape":[1]}}', 4, "data_offsets"),
    "one offset": (entry(offsets=[4]), 4, "header"),
    "three offsets": (entry(offsets=[0, 4, 8]), 4, "header"),
    "offsets the wrong way": (entry(offsets=(4, 0)), 4, "gap"),
    "negative offsets": (entry(offsets=(-4, 0)), 4, "overlaps"),
    "offsets beyond 2^64": (entry(offsets=(0, 2**70)), 4, "bytes"),
    "too few bytes": (entry(offsets=(0, 3)), 3, "bytes"),
    "half a byte": (entry("F4", (3,), (0, 1)), 1, "whole byte"),
    "six bits": (entry("F6_E2M3", (2,), (0, 2)), 2, "whole byte"),
    "a hole": (two((0, 4), (5, 8)), 8, "gap"),
    "a hole at the start": (two((1, 4), (4, 8)), 8, "gap"),
    "overlapping": (two((0, 4), (3, 8)), 8, "overlaps"),
    "the same place twice": (two((0, 4), (0, 4)), 4, "overlaps"),
    "data of no tensor": (entry(), 5, "belong to none"),
    "a zip behind": (entry(), 4 + 22, "belong to none"),
    "a name twice": (TWICE, 2, "twice"),
    "a name twice, escaped": (TWICE.replace(b'"a"', b'"\\u0061"', 1), 2, "twice"),
    "a key twice": (entry().replace(b'"dtype"', b'"dtype": "U8", "dtype"'), 4, "twice"),
    "the metadata twice": (b'{"__metadata__":{},"__metadata__":{}}', 0, "twice"),
    "metadata of numbers": (b'{"__metadata__":{"a":1}}', 0, "header"),
    "metadata that is a list": (b'{"__metadata__":[]}', 0, "header"),
    "metadata that is nested": (b'{"__metadata__":{"a":{}}}', 0, "header"),
    "an entry that is null": (b'{"a":null}', 0, "header"),
    "not UTF-8": (b'{"\xff":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0, "UTF-8"),
    "not UTF-8 where nobody looks": (entry(more="?").replace(b"?", b"\xff"), 4, "UTF-8"),
    "half a surrogate": (b'{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0, "header"),
    "nested without end": (b"[" * 1_000_000, 0, "header"),
    "nested where nobody looks": (entry(more=0).replace(b": 0}", b": " + b"[" * 900_000), 4, "nested"),
    "tables in tables": (b'{"a":' * 150_000, 0, "header"),
    "a hundred thousand empty tables": (b"{" + b'"a":{},' * 140_000 + b'"b":{}}', 0, "twice"),
    "as many names": (json.dumps({f"{i:x}": {} for i in range(80_000)}).encode(), 0, "data_offsets"),
    "lists without end": (entry(shape=[[]] * 200_000), 4, "header"),
    "a name of a megabyte": (json.dumps({"x" * 1_000_000: {}}).encode(), 0, "data_offsets"),
}  # fmt: skip


def refused(path: Path) -> str:
    """The sentence; it came quickly and took little."""
    began = time.process_time()
    with pytest.raises(BadInput) as caught:
        safetensors.read(path)
    assert time.process_time() - began < 1
    tracemalloc.start()
    try:
        with pytest.raises(BadInput):
            safetensors.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 500 + len(str(path))
    assert caught.value.field == "model"
    assert path.name in sentence
    return sentence


@pytest.mark.parametrize("name", HEADERS)
def test_a_broken_header_is_refused(tmp_path: Path, name: str) -> None:
    content, data, word = HEADERS[name]
    assert word in refused(write_raw(tmp_path / "a.safetensors", content, data))


@pytest.mark.parametrize(
    ("length", "word"),
    [(2**64 - 1, "100,000,000"), (100_000_001, "100,000,000"), (10_000, "are there"), (3, "header")],
)
def test_a_length_that_cannot_be(tmp_path: Path, length: int, word: str) -> None:
    content, data = header({"a": ("F32", (2, 2))})
    assert word in refused(write_raw(tmp_path / "a.safetensors", content, data, length))


@pytest.mark.parametrize("size", range(8))
def test_a_file_without_a_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x10" * size)
    assert f"{size} bytes" in refused(path)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n  <html lang=en>" + b" " * 100, "web page"),
        (b"PK\x03\x04" + b"\0" * 60, "zip"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 60, ".gguf"),
        (b"\x80\x02\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + b"\0" * 60, "PyTorch"),
        (b"\x80\x04\x95" + b"\xff" * 60, "pickle"),
        (b"\x1f\x8b\x08\0" + b"\xff" * 60, "unpack"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    assert word in refused(path)


def test_a_pipe_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)


def test_a_device_a_folder_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").symlink_to("/dev/zero")
    assert "not a regular file" in refused(tmp_path / "a.safetensors")
    assert "folder" in refused(tmp_path)
    assert "not there" in refused(tmp_path / "b.safetensors")
    (tmp_path / "c.safetensors").symlink_to(tmp_path / "c.safetensors")
    assert "leads nowhere" in refused(tmp_path / "c.safetensors")


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    content = json.dumps(
        {"\x1b[31m\u202e<b>\n": {"dtype": "F7", "shape": [], "data_offsets": [0, 0]}}
    ).encode()
    assert "<b>" in refused(write_raw(tmp_path / "a.safetensors", content))


def seeds() -> list[Path]:
    return sorted(HOSTILE.glob("*.safetensors"))


@pytest.mark.parametrize("path", seeds(), ids=lambda path: path.stem)
def test_what_a_fuzzer_found_stays_mended(path: Path) -> None:
    refused(path)


GOOD, DATA = header(
    {"a": ("BF16", (4, 4)), "b.qweight": ("I32", (2, 8)), "b.scales": ("F16", (1, 8))}, {"k": "v"}
)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_header_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        if not content:
            return
    try:
        part = safetensors.parse(bytes(content), 8 + len(content) + DATA)
    except (ValueError, RecursionError):
        return
    assert part.bytes == 8 + len(content) + sum(layout.bytes for layout in part.layouts)
    assert len(set(part.names)) == len(part.names) == len(part.layouts)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        safetensors.parse(content, 8 + len(content))
    except (ValueError, RecursionError):
        return
    assert json.loads(content) is not None

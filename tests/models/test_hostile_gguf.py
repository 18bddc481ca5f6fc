"""GGUF files that are damaged or made to harm: each gets one sentence, quickly and in little memory."""

import os
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.models.gguf import reader as gguf
from tests.models.gguf_writer import (
    ARRAY,
    BOOL,
    F32,
    I32,
    STRING,
    U32,
    U64,
    array,
    assemble,
    info,
    infos,
    key,
    string,
    write,
)

GOOD = key("general.architecture", STRING, "llama")
NORM = ("output_norm.weight", (64,), 0, 256)


def counts(tensors: int, keys: int, version: int = 3) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, keys)


def typed(name: str, kind: int, rest: bytes = b"") -> bytes:
    return counts(0, 1) + string(name) + struct.pack("<I", kind) + rest + bytes(64)


def tensor(name: str | bytes, dimensions: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return assemble([GOOD], [info(name, dimensions, kind, offset)], 4096)


HOSTILE = {
    "empty": (b"", "is not a GGUF file"),
    "magic alone": (b"GGUF", "is cut off inside its header"),
    "another file": (b"\0" * 100, "is not a GGUF file"),
    "web page": (b"<!DOCTYPE html><html>", "is a web page"),
    "Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    "zip": (b"PK\x03\x04" + bytes(50), "is a zip archive"),
    "version 0": (counts(0, 0, 0), "of version 0"),
    "version 1": (counts(0, 0, 1), "of version 1, which no current program reads"),
    "version 4": (counts(0, 0, 4), "of version 4; versions 2 and 3"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "for big-endian computers"),
    "keys without room": (counts(0, 1000), "claims 1,000 keys, for which its 24 bytes have no room"),
    "endless keys": (counts(0, 2**63), "claims 9,223,372,036,854,775,808 keys"),
    "endless tensors": (counts(2**64 - 1, 0), "claims 18,446,744,073,709,551,615 tensors"),
    "tensors without room": (counts(1000, 0) + bytes(100), "claims 1,000 tensors"),
    "key without a name": (assemble([key("", U32, 1)], []), "has no bytes of name"),
    "key too long": (assemble([key("k" * 70_000, U32, 1)], []), "has 65536 bytes of name"),
    "key of gigabytes": (
        counts(0, 1) + struct.pack("<Q", 2**40) + bytes(64),
        "claims a string of 1,099,511,627,776 bytes",
    ),
    "key beyond the end": (counts(0, 1) + struct.pack("<Q", 4096) + bytes(64), "is cut off"),
    "key twice": (assemble([GOOD, GOOD], []), '"general.architecture" stands twice'),
    "unknown type": (typed("a", 13), "has the type 13"),
    "negative type": (typed("a", 2**32 - 1), "has the type 4,294,967,295"),
    "nested array": (typed("a", ARRAY, struct.pack("<IQ", ARRAY, 1)), "is an array of the type 9"),
    "array of bytes without end": (
        typed("a", ARRAY, struct.pack("<IQ", 0, 2**40)),
        "claims 1,099,511,627,776",
    ),
    "array beyond the end": (typed("a", ARRAY, struct.pack("<IQ", 4, 4000)), "is cut off"),
    "strings beyond the end": (typed("a", ARRAY, struct.pack("<IQ", 8, 4000)), "is cut off"),
    "strings without end": (
        typed("a", ARRAY, struct.pack("<IQ", 8, 2**62)),
        "claims 4,611,686,018,427,387,904",
    ),
    "string in an array beyond the end": (
        typed("a", ARRAY, struct.pack("<IQ", 8, 1) + struct.pack("<Q", 10**6)),
        "is cut off",
    ),
    "long array whose last string is of gigabytes": (
        assemble([array("a", STRING, ["x" * 20] * 500)], [])[:-28] + struct.pack("<Q", 2**60) + bytes(20),
        "claims a string of 1,152,921,504,606,846,976 bytes",
    ),
    "alignment of another type": (assemble([key("general.alignment", U64, 32)], []), "not of the type u32"),
    "alignment 0": (assemble([key("general.alignment", U32, 0)], []), "not a power of two"),
    "alignment 48": (assemble([key("general.alignment", U32, 48)], []), "48, is not a power of two"),
    "alignment beyond the end": (
        assemble([key("general.alignment", U32, 2**31)], infos([NORM])[0], 256),
        "is cut off inside its header",
    ),
    "name too long": (tensor("n" * 64, (64,)), "name has 64 bytes"),
    "tensor twice": (
        assemble([], [info("a", (64,), 0, 0), info("a", (64,), 0, 256)], 512),
        '"a" stands twice',
    ),
    "tensor twice to C": (
        assemble([], [info(b"a\0b", (64,), 0, 0), info(b"a\0c", (64,), 0, 256)], 512),
        "stands twice",
    ),
    "five dimensions": (tensor("a", (1, 1, 1, 1, 1)), "has 5 dimensions"),
    "negative dimension": (tensor("a", (2**63,)), "larger than any computer's memory"),
    "dimensions that overflow": (tensor("a", (2**32, 2**32)), "larger than any computer's memory"),
    "dimensions that wrap around to little": (tensor("a", (2**62, 4)), "larger than any computer's memory"),
    "removed type": (tensor("a", (64,), 31), "in Q4_0_4_4, a type that llama.cpp has removed"),
    "future type": (tensor("a", (64,), 43), "in the type 43, which is not known here"),
    "rows of part blocks": (
        tensor("a", (2, 128), 12),
        "rows of 128 weights, which are no whole blocks of 256",
    ),
    "first offset": (tensor("a", (64,), 0, 32), "starts at byte 32, not at 0"),
    "overlap": (assemble([], [info("a", (64,), 0, 0), info("b", (64,), 0, 0)], 512), "not at 256"),
    "gap": (assemble([], [info("a", (64,), 0, 0), info("b", (64,), 0, 512)], 512), "starts at byte 512, not"),
    "offset of gigabytes": (tensor("a", (64,), 0, 2**64 - 32), "starts at byte 18,446,744,073,709,551,584"),
    "data beyond any file": (
        assemble(
            [],
            [info(name, (2**60,), 28, number * 2**63) for number, name in enumerate("ab")]
            + [info("c", (64,), 0, 2**64 - 1)],
            0,
        ),
        "ends beyond any file",
    ),
    "no data section": (assemble([GOOD], infos([NORM])[0])[:-20], "is cut off"),
    "names that would not print": (
        assemble([key("\u202e\x1b[31m", U32, 1), key("\u202e\x1b[31m", U32, 1)], []),
        '"\ufffd\ufffd\\[31m" stands twice',
    ),
    "name that is no text": (tensor(b"\xff\xfe", (64,), 4), "in Q4_2, a type that"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_gets_one_sentence(tmp_path: Path, case: str) -> None:
    content, reason = HOSTILE[case]
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=reason) as caught:
        gguf.read(path)
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert sentence.endswith(".")
    assert sentence.isprintable()
    assert len(sentence) < 400
    assert caught.value.field == "model"


ACCEPTED = {
    "no keys, no tensors": assemble([], []),
    "a tensor without elements": assemble([], [info("a", (4, 0), 0, 0)]),
    "a tensor without dimensions": assemble([], [info("a", (), 0, 0)], 32),
    "a tensor without a name": assemble([], [info("", (8,), 0, 0)], 32),
    "a string of 60 million bytes": assemble([key("a", STRING, "x" * 60_000_000)], []),
    "large alignment": assemble([key("general.alignment", U32, 8)], infos([NORM])[0], 256),
    "every kind of number": assemble(
        [key(f"a{kind}", kind, 1) for kind in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)], []
    ),
    "empty arrays": assemble([array("a", kind, []) for kind in (I32,)] + [array("b", STRING, [])], []),
    "a flag of 2": counts(0, 1) + string("a") + struct.pack("<IB", BOOL, 2),
    "not a number": assemble([key("a", F32, float("nan"))], []),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_takes_what_llama_cpp_takes(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(ACCEPTED[case])
    tracemalloc.start()
    assert gguf.read(path).version == 3
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_a_pipe_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    with pytest.raises(BadInput, match="is not a regular file"):
        gguf.read(pipe)
    with pytest.raises(BadInput, match="is a folder"):
        gguf.read(tmp_path)
    with pytest.raises(BadInput, match="is not there"):
        gguf.read(tmp_path / "none.gguf")


MEGABYTE = 2**20
LARGE = {
    "keys": lambda: [key(f"{number:x}", 0, 1) for number in range(60_000)],
    "short arrays of strings": lambda: [array(f"{n:x}", STRING, [""] * 80) for n in range(1_500)],
    "empty strings": lambda: [array("a", STRING, [""] * 130_000)],
    "strings of every length": lambda: [array("a", STRING, ["x" * (n % 3 * 200) for n in range(5_000)])],
    "numbers": lambda: [array(f"{n:x}", 0, [1] * 9_000) for n in range(110)],
}


@pytest.mark.parametrize("case", LARGE)
def test_a_megabyte_costs_little(tmp_path: Path, case: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(assemble(LARGE[case](), []))
    assert path.stat().st_size > MEGABYTE * 0.6
    start = time.process_time()
    gguf.read(path)
    assert time.process_time() - start < 1
    tracemalloc.start()
    gguf.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


def test_a_megabyte_of_tensors_costs_little(tmp_path: Path) -> None:
    path = write(tmp_path / "model.gguf", {}, [(f"{number:x}", (8,), 0, 32) for number in range(27_000)])
    start = time.process_time()
    assert len(gguf.read(path).tensors) == 27_000
    assert time.process_time() - start < 1


def test_holes_of_gigabytes_are_not_walked_through(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    with path.open("wb") as file:
        file.write(typed("a", ARRAY, struct.pack("<IQ", 8, 4_000_000)))
        file.truncate(40 * 2**30)
    start = time.process_time()
    gguf.read(path)
    assert time.process_time() - start < 1
    with path.open("r+b") as file:
        file.write(counts(0, 40) + string("a") + struct.pack("<IQ", STRING, 60_000_000))
    with pytest.raises(BadInput, match="a key of its metadata has no bytes of name"):
        gguf.read(path)


SMALL = assemble(
    [GOOD, array("tokenizer.ggml.tokens", STRING, ["a", "bc"] * 50), key("general.alignment", U32, 32)],
    infos([NORM, ("blk.0.attn_q.weight", (64, 256), 12, 9216)])[0],
    300,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=6),
    st.integers(0, len(SMALL)),
)
def test_any_change_gives_a_header_or_one_sentence(
    tmp_path: Path, changes: list[tuple[int, int]], kept: int
) -> None:
    content = bytearray(SMALL)
    for place, byte in changes:
        content[place] = byte
    path = tmp_path / "model.gguf"
    path.write_bytes(content[: kept or None])
    try:
        header = gguf.read(path)
    except BadInput as error:
        assert str(error).endswith(".")  # noqa: PT017 - either outcome is right, each in its form
    else:
        assert header.bytes >= path.stat().st_size
        assert 0 < header.complete <= 1

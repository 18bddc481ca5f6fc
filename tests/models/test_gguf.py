"""The reader of GGUF headers against files that others wrote and sizes that others measured."""

import struct
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.models.gguf import reader as gguf
from llmplanner.models.gguf.strings import passed
from llmplanner.models.gguf.types import REMOVED, TYPES
from tests.models.gguf_writer import STRING, U32, array, assemble, infos, key, write
from tests.reference import REFERENCE, needs_reference, rows

SHAPES = REFERENCE / "corpus" / "gguf_shapes"
REAL = REFERENCE / "corpus" / "gguf_real"
LAYER = [("blk.0.attn_q.weight", (64, 256), 12, 9216), ("blk.0.attn_norm.weight", (256,), 0, 1024)]


@needs_reference
def test_every_type_has_the_block_of_ggml() -> None:
    published = {
        int(row["ggml_type_id"]): row for row in rows("quant_bpw.csv") if row["format"].startswith("ggml")
    }
    assert set(published) == set(TYPES) | set(REMOVED)
    for number, form in TYPES.items():
        row = published[number]
        assert (row["format"], int(row["block_weights"]), int(row["block_bytes"])) == (
            f"ggml {form.name}",
            form.weights,
            form.bytes,
        )
        assert form.bits_per_weight == float(row["bits_per_weight"])


@needs_reference
@pytest.mark.parametrize("row", [r for r in rows("llamacpp_quant_sizes.csv") if r["ftype"] == "F16"])
def test_bytes_are_those_that_llama_cpp_counts(row: dict[str, str]) -> None:
    header = gguf.read(SHAPES / f"{row['model']}.gguf")
    total = sum(tensor.bytes for tensor in header.tensors)
    assert total / 2**20 == pytest.approx(float(row["size_MiB"]), abs=0.006)
    assert header.absent == pytest.approx(total, rel=1e-3)  # a header alone: everything is still to come


@needs_reference
def test_the_tensors_of_llama_2_count_as_published() -> None:
    row = next(one for one in rows("corpus/gguf_expected_values.csv") if one["param_count"] == "6738415616")
    header = gguf.read(SHAPES / "llama-2-7b.gguf")
    assert len(header.tensors) == int(row["n_tensors"])
    assert sum(tensor.elements for tensor in header.tensors) == int(row["param_count"])
    assert header.metadata["llama.block_count"] == int(row["block_count"])


@needs_reference
@pytest.mark.parametrize(
    ("name", "length", "first"),
    [("bert-bge", 30522, "[PAD]"), ("llama-spm", 32000, "<unk>"), ("phi-3", 32064, "<unk>")],
)
def test_a_real_vocabulary_is_passed_over(name: str, length: int, first: str) -> None:
    header = gguf.read(REAL / f"ggml-vocab-{name}.gguf")
    tokens = header.metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, gguf.Array)
    assert (tokens.length, len(tokens.first), tokens.first[0]) == (length, 8, first)
    assert header.complete == 1
    assert not header.tensors


def test_reads_what_a_small_file_states(tmp_path: Path) -> None:
    table = {"general.architecture": "llama", "llama.block_count": 1, "a.flags": [True, False], "a.b": 0.5}
    path = write(tmp_path / "a.gguf", table, LAYER, version=2)
    header = gguf.read(path)
    assert header.version == 2
    assert header.metadata["llama.block_count"] == 1
    assert header.metadata["a.flags"] == gguf.Array(2, (True, False))
    assert header.metadata["a.b"] == 0.5
    query, norm = header.tensors
    assert (query.name, query.shape, query.format, query.elements, query.bytes) == (
        "blk.0.attn_q.weight",
        (64, 256),
        "Q4_K",
        16384,
        9216,
    )
    assert (norm.shape, norm.format, norm.bytes) == ((256,), "F32", 1024)
    assert header.bytes == path.stat().st_size
    assert header.complete == 1


def test_tables_of_the_rotary_embedding_and_scales_are_no_parameters(tmp_path: Path) -> None:
    tensors = [("rope_freqs.weight", (64,), 0, 256), ("blk.0.ffn_up.scale", (1,), 0, 4), *LAYER]
    header = gguf.read(write(tmp_path / "a.gguf", {}, tensors))
    assert [tensor.elements for tensor in header.tensors] == [0, 0, 16384, 256]
    assert sum(tensor.bytes for tensor in header.tensors) == 256 + 4 + 9216 + 1024


def test_an_interrupted_download_says_how_much_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gguf", {}, [("token_embd.weight", (1000, 1000), 1, 2_000_000)])
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole // 4)
    header = gguf.read(path)
    assert (header.bytes, header.absent) == (whole, whole - whole // 4)
    assert header.complete == pytest.approx(0.25, abs=1e-6)


def split(folder: Path, count: int) -> list[Path]:
    files = []
    for number in range(count):
        table = {"split.no": number, "split.count": count, "split.tensors.count": count}
        if number == 0:
            table["general.parameter_count"] = 7
        name = f"model-{number + 1:05}-of-{count:05}.gguf"
        files.append(write(folder / name, table, [(f"blk.{number}.attn_norm.weight", (8,), 0, 32)]))
    return files


@pytest.mark.parametrize("given", [0, 2])
def test_a_split_set_is_one_model_whichever_file_is_given(tmp_path: Path, given: int) -> None:
    header = gguf.read(split(tmp_path, 3)[given])
    assert [tensor.name for tensor in header.tensors] == [f"blk.{one}.attn_norm.weight" for one in range(3)]
    assert header.metadata["general.parameter_count"] == 7
    assert (header.files, header.complete) == (3, 1)


def test_a_missing_file_of_a_set_is_named(tmp_path: Path) -> None:
    files = split(tmp_path, 4)
    files[1].unlink()
    with pytest.raises(BadInput, match=r"4 files, and model-00002-of-00004\.gguf is missing beside it"):
        gguf.read(files[0])
    files[2].unlink()
    with pytest.raises(BadInput, match=r"model-00002-of-00004\.gguf and model-00003-of-00004\.gguf are"):
        gguf.read(files[0])


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    files = split(tmp_path, 2)
    write(files[1], {"split.no": 1, "split.count": 2}, [("blk.0.attn_norm.weight", (8,), 0, 32)])
    with pytest.raises(BadInput, match="do not belong together"):
        gguf.read(files[0])
    write(files[1], {}, [("blk.1.attn_norm.weight", (8,), 0, 32)])
    with pytest.raises(BadInput, match="file 2 of them does not say so inside"):
        gguf.read(files[0])
    alone = files[0].rename(tmp_path / "renamed.gguf")
    with pytest.raises(BadInput, match=r"one of 2 files .* like NAME-00001-of-00002\.gguf"):
        gguf.read(alone)


def test_names_of_a_set_that_cannot_be_are_refused_quickly(tmp_path: Path) -> None:
    path = write(tmp_path / "a-00000-of-00003.gguf", {})
    with pytest.raises(BadInput, match="there is no part 0 of 3"):
        gguf.read(path)
    path = path.rename(tmp_path / "a-00001-of-99999.gguf")
    start = time.process_time()
    with pytest.raises(BadInput, match="and others are missing"):
        gguf.read(path)
    assert time.process_time() - start < 1


STRINGS = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.integers(0, 600).map(bytes),
        st.just(struct.pack("<QQ", 3, 5)),
        st.integers(1, 40).map(lambda size: b"x" * size),
    ),
    max_size=300,
)


@given(STRINGS, st.integers(0, 9), st.integers(0, 40), st.integers(0, 400))
def test_strings_are_passed_as_if_one_by_one(strings: list[bytes], before: int, cut: int, count: int) -> None:
    lead = bytes(before)
    buffer = lead + b"".join(struct.pack("<Q", len(one)) + one for one in strings)
    buffer = buffer[: len(buffer) - cut] if len(buffer) - cut >= before else lead
    at, expected = before, 0
    for one in strings[:count]:
        if at + 8 + len(one) > len(buffer):
            break
        at, expected = at + 8 + len(one), expected + 1
    if expected == len(strings):
        count = min(count, expected)  # what follows the last one may look like another
    assert passed(buffer, before, count) == (at, expected)


def test_a_large_vocabulary_costs_little_time_and_no_memory(tmp_path: Path) -> None:
    tokens = [f"token{number}" for number in range(262_144)]
    entries, _ = infos(LAYER)
    pairs = [array("tokenizer.ggml.tokens", STRING, tokens), key("tokenizer.ggml.bos_token_id", U32, 2)]
    path = tmp_path / "a.gguf"
    path.write_bytes(assemble(pairs, entries, 9216 + 1024))
    tracemalloc.start()
    header = gguf.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    start = time.process_time()
    gguf.read(path)
    assert time.process_time() - start < 0.1  # one by one took longer than that
    assert peak < 3_000_000
    assert header.metadata["tokenizer.ggml.bos_token_id"] == 2
    assert len(header.tensors) == 2

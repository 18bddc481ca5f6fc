"""The safetensors reader: exact bytes of every type, and counts as the hub has them."""

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmplanner.models import catalogue
from llmplanner.models.checkpoints import safetensors
from llmplanner.models.checkpoints.safetensors import BITS
from tests.models.safetensors_files import header, tensors_of, write, write_raw
from tests.reference import needs_reference, rows

LLAMA = catalogue.model("llama-3.1-8b")


@needs_reference
def test_the_types_are_those_of_the_library() -> None:
    stated = {
        row["format"].removeprefix("safetensors "): float(row["bits_per_weight"])
        for row in rows("quant_bpw.csv")
        if row["format"].startswith("safetensors ")
    }
    assert len(stated) == 22
    assert stated == BITS


@pytest.mark.parametrize("kind", BITS)
def test_every_type_takes_its_bytes(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "one.safetensors", {"a": (kind, (3, 8)), "b": (kind, (0, 7))})
    first, second = safetensors.read(path).tensors
    assert {first.name, second.name} == {"a", "b"}
    sizes = {tensor.name: tensor.bytes for tensor in (first, second)}
    assert sizes == {"a": 3 * BITS[kind], "b": 0}
    assert path.stat().st_size == safetensors.read(path).bytes


def test_a_header_may_be_padded_and_hold_scalars(tmp_path: Path) -> None:
    content, data = header({"logit_scale": ("F32", ()), "none": ("F32", (4, 0))}, {"format": "pt"})
    found = safetensors.read(write_raw(tmp_path / "a.safetensors", b"  \n" + content + b"   ", data))
    assert found.metadata == {"format": "pt"}
    assert {tensor.name: (tensor.shape, tensor.bytes) for tensor in found.tensors} == {
        "logit_scale": ((), 4),
        "none": ((4, 0), 0),
    }


def test_an_empty_table_is_a_file_without_tensors(tmp_path: Path) -> None:
    assert safetensors.read(write_raw(tmp_path / "a.safetensors", b"{}")).tensors == ()


def test_names_may_be_escaped_and_hold_any_letter(tmp_path: Path) -> None:
    names = {'quo"te', "back\\slash", "Größe.ß", "日本", '"dtype"', "data_offsets"}
    path = write(
        tmp_path / "a.safetensors",
        dict.fromkeys(sorted(names), ("F16", (2,))),
        {"shape": "s", "dtype": "d"},
    )
    assert {tensor.name for tensor in safetensors.read(path).tensors} == names


def test_an_interrupted_download_is_read_and_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.safetensors", tensors_of(LLAMA))
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole // 4)
    found = safetensors.read(path)
    assert (found.bytes, found.absent) == (whole, whole - whole // 4)
    assert sum(tensor.elements for tensor in found.tensors) == 8_030_261_248


@needs_reference
def test_masks_count_as_the_hub_counts_them(tmp_path: Path) -> None:
    tensors = tensors_of(catalogue.model("gpt2"), "F32")
    tensors |= {f"h.{layer}.attn.bias": ("F32", (1, 1, 1024, 1024)) for layer in range(12)}
    found = safetensors.read(write(tmp_path / "a.safetensors", tensors))
    row = next(row for row in rows("corpus/hf_param_counts.csv") if row["repo"] == "gpt2")
    assert sum(tensor.elements for tensor in found.tensors) == int(row["total"])


Shapes = dict[str, tuple[str, tuple[int, ...]]]

PACKED: dict[str, Shapes] = {  # as each library stores a matrix of 256 outputs and 512 inputs
    "gptq": {"w.qweight": ("I32", (64, 256)), "w.qzeros": ("I32", (4, 32)), "w.scales": ("F16", (4, 256)),
             "w.g_idx": ("I32", (512,))},
    "gptq, 3 bits": {"w.qweight": ("I32", (48, 256)), "w.qzeros": ("I32", (4, 24)),
                     "w.scales": ("F16", (4, 256)), "w.g_idx": ("I32", (512,))},
    "gptq, 8 bits": {"w.qweight": ("I32", (128, 256)), "w.qzeros": ("I32", (4, 64)),
                     "w.scales": ("F16", (4, 256)), "w.g_idx": ("I32", (512,))},
    "awq": {"w.qweight": ("I32", (512, 32)), "w.qzeros": ("I32", (4, 32)), "w.scales": ("F16", (4, 256))},
    "bitsandbytes": {"w.weight": ("U8", (65536, 1)), "w.weight.absmax": ("U8", (2048,)),
                     "w.weight.quant_map": ("F32", (16,)), "w.weight.nested_absmax": ("F32", (8,)),
                     "w.weight.nested_quant_map": ("F32", (256,)),
                     "w.weight.quant_state.bitsandbytes__nf4": ("U8", (180,))},
    "llm.int8": {"w.weight": ("I8", (256, 512)), "w.SCB": ("F32", (256,)), "w.weight_format": ("U8", ())},
    "compressed-tensors": {"w.weight_packed": ("I32", (256, 64)), "w.weight_scale": ("BF16", (256, 4)),
                           "w.weight_shape": ("I64", (2,)), "w.weight_g_idx": ("I32", (512,))},
    "nvfp4": {"w.weight_packed": ("U8", (256, 256)), "w.weight_scale": ("F8_E4M3", (256, 32)),
              "w.weight_global_scale": ("F32", (1,)), "w.input_global_scale": ("F32", (1,))},
    "modelopt": {"w.weight": ("U8", (256, 256)), "w.weight_scale": ("F8_E4M3", (256, 32)),
                 "w.weight_scale_2": ("F32", ()), "w.input_scale": ("F32", ())},
    "mxfp4": {"w_blocks": ("U8", (256, 16, 16)), "w_scales": ("U8", (256, 16))},
    "fp8": {"w.weight": ("F8_E4M3", (256, 512)), "w.weight_scale_inv": ("F32", (2, 4))},
    "mxfp8": {"w.weight": ("F8_E4M3", (256, 512)), "w.scale": ("F8_E8M0", (256, 16))},
    "mlx": {"w.weight": ("U32", (256, 64)), "w.scales": ("F16", (256, 8)), "w.biases": ("F16", (256, 8))},
}  # fmt: skip


@pytest.mark.parametrize("library", PACKED)
def test_packed_weights_count_as_what_they_stand_for(tmp_path: Path, library: str) -> None:
    plain: dict[str, tuple[str, tuple[int, ...]]] = {
        "norm.weight": ("BF16", (512,)),
        "w.bias": ("F16", (256,)),
    }
    found = safetensors.read(write(tmp_path / "a.safetensors", {**PACKED[library], **plain}))
    counted = {tensor.name: tensor.elements for tensor in found.tensors if tensor.elements}
    assert sum(counted.values()) == 256 * 512 + 512 + 256
    assert set(counted) > {"norm.weight", "w.bias"}


def test_a_large_header_takes_less_than_five_times_its_size(tmp_path: Path) -> None:
    tensors = {
        f"model.layers.{i // 400}.mlp.experts.{i % 400}.gate_proj.weight": ("BF16", (2048, 4096 + i % 3))
        for i in range(20_000)
    }
    content, data = header(tensors)
    path = write_raw(tmp_path / "a.safetensors", content, data)
    safetensors.read(path)
    tracemalloc.start()
    try:
        found = safetensors.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.tensors) == 20_000
    assert peak < 5 * len(content)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=20).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(sorted(BITS)), st.lists(st.sampled_from([0, 1, 8, 24, 4096]), max_size=4)),
        max_size=8,
    )
)
def test_what_was_written_is_read(tensors: dict[str, tuple[str, list[int]]]) -> None:
    wanted = {name: (kind, (*shape, 8)) for name, (kind, shape) in tensors.items()}
    content, data = header(wanted)
    part = safetensors.parse(content, 8 + len(content) + data)
    read = {
        name: (layout.format, layout.shape) for name, layout in zip(part.names, part.layouts, strict=True)
    }
    assert read == wanted
    assert (part.bytes, part.absent) == (8 + len(content) + data, 0)

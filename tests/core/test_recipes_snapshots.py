"""llama.cpp's own record of the type of each tensor: 12 released models, 33 file types.

A record names the tensors that do not take the file type's base format; a tensor that is in none of a model's
sections always takes it.
"""

import re
from pathlib import Path

import pytest

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.recipes.file_types import FILE_TYPES
from llmplanner.core.recipes.llamacpp import Architecture, quantized
from tests.reference import REFERENCE, needs_reference

SNAPSHOTS = REFERENCE / "corpus" / "quant_recipe_snapshots"
FILES = sorted(SNAPSHOTS.glob("*.schema"))

# What a record leaves out: weights in a row, where that is not the model's own width.
ROWS = {
    "deepseek-v3.1": {
        "attn_k_b": 128, "attn_q_b": 1536, "attn_output": 16384,
        "ffn_down": 18432, "ffn_down_exps": 2048, "ffn_down_shexp": 2048,
    },
    "gemma-3-4b-it": {"attn_output": 2048, "ffn_down": 10240},
    "glm-4.6v": {"attn_output": 12288, "ffn_down": 10944, "ffn_down_exps": 1408, "ffn_down_shexp": 1408},
    "gpt-oss-120b": {"attn_output": 4096},
    "meta-llama-3.1-70b-instruct": {"ffn_down": 28672},
    "nvidia-nemotron-3-nano-30b-a3b": {
        "attn_output": 4096, "ssm_out": 4096, "ffn_down_exps": 1856, "ffn_down_shexp": 3712,
    },
    "qwen3-0.6b": {"attn_output": 2048, "ffn_down": 3072},
    "qwen3-14b": {"ffn_down": 17408},
    "qwen3-coder-next": {
        "attn_output": 4096, "ssm_out": 4096, "ffn_down_exps": 512, "ffn_down_shexp": 512,
    },
    "qwen3.5-397b-a17b": {
        "attn_output": 8192, "ssm_out": 8192, "ffn_down_exps": 1024, "ffn_down_shexp": 1024,
    },
    "qwen3.6-27b": {"attn_output": 6144, "ssm_out": 6144, "ffn_down": 17408},
    "step-3.5-flash": {
        "attn_output": 8192, "ffn_down": 11264, "ffn_down_exps": 1280, "ffn_down_shexp": 1280,
    },
}  # fmt: skip
THREE_DIMENSIONS = ("_exps", "attn_k_b")


@needs_reference
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_tensor_takes_the_type_onread_record(file: Path) -> None:
    sizes, sections = read_record(file.read_text(encoding="utf-8"))
    names = {name for overrides in sections.values() for name in overrides}
    tensors = [_tensor(name, sizes, ROWS[file.stem]) for name in names]
    architecture = Architecture(
        "llama" if "llama" in file.stem else "other",
        sizes["n_layer"],
        sizes["n_head"],
        sizes["n_head_kv"],
        sizes.get("n_expert", 0),
    )
    assert len(sections) == 33
    for key, overrides in sections.items():
        kind = FILE_TYPES[key]
        made = {tensor.name: tensor.format for tensor in quantized(tensors, architecture, kind)}
        assert made == {name: overrides.get(name, kind.base) for name in names}, key


def read_record(text: str) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """The sizes in the heading, and by file type the tensors with a type other than its base."""
    sizes = {name: int(value) for name, value in re.findall(r"(n_\w+)=(\d+)", text)}
    sections: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            key, _, base = line[1:].partition("] ")
            assert FILE_TYPES[key].base == base.upper()
            sections[key] = {}
        elif line and not line.startswith("#"):
            name, _, kind = line.rpartition(" ")
            sections[key][name] = kind.upper()
    return sizes, sections


def _tensor(name: str, sizes: dict[str, int], rows: dict[str, int]) -> StoredTensor:
    tail = name.removesuffix(".weight").rpartition(".")[2]
    shape = (64, rows.get(tail, sizes["n_embd"]))
    shape3 = (16, *shape) if tail.endswith(THREE_DIMENSIONS) else shape
    return StoredTensor(name, shape3, "F16", 0, 0)

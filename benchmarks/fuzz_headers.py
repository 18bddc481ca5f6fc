"""Feeds mutated files to the readers of models: python -m benchmarks.fuzz_headers [COUNT [SEED]].

A finding is an exception that is no BadInput, an input that takes over a second, or one for which memory
grows by over 100 MB. It is written to the folder `findings`, and the run goes on; the exit code is 1 then.
"""

import json
import random
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.fuzzing import run, tried
from llmplanner.core.errors import BadInput
from llmplanner.models.checkpoints import safetensors
from llmplanner.models.files import open_path

WORDS = (
    *(
        b'"dtype":"F32"',
        b'"dtype":"F4"',
        b'"shape":[]',
        b'"shape":[0]',
        b'"data_offsets":[0,0]',
        b"null",
        b"NaN",
    ),
    *(
        b"-1",
        b"0",
        b"18446744073709551615",
        b"1e400",
        b'"__metadata__":{}',
        b"{}",
        b"[]",
        b'"a":',
        b"\\u0061",
    ),
    *(b"[" * 2000, b"9" * 5000, b"\xff", b"\x00", b" ", b",", b'"', b"{", b"}", b"\\"),
)
"""Pieces that turn up in headers, and some that should not."""


def seed_headers() -> Iterator[tuple[bytes, int]]:
    """True headers, and the bytes of the data that they state."""
    shapes = (
        {"a": ("BF16", [4, 4]), "b.qweight": ("I32", [2, 8]), "b.scales": ("F16", [1, 8]), "c": ("F4", [16])},
        {
            "x": ("F64", []),
            "y": ("BOOL", [0, 3]),
            "z.weight": ("U8", [8, 1]),
            "z.weight.absmax": ("F32", [1]),
        },
        {
            "model.embed_tokens.weight": ("F16", [9, 64]),
            "model.norm.weight": ("F16", [64]),
            **{f"model.layers.0.self_attn.{name}_proj.weight": ("F16", [64, 64]) for name in "qkvo"},
            **{
                f"model.layers.0.mlp.{name}_proj.weight": ("F16", [64, 64]) for name in ("gate", "up", "down")
            },
            "model.layers.0.input_layernorm.weight": ("F16", [64]),
            "model.layers.0.post_attention_layernorm.weight": ("F16", [64]),
        },
    )
    for tensors in shapes:
        table: dict[str, object] = {"__metadata__": {"format": "pt", "k": 'q"\\'}}
        end = 0
        for name, (kind, shape) in tensors.items():
            begin, count = end, 1
            for size in shape:
                count *= size
            end = begin + count * safetensors.BITS[kind] // 8
            table[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        yield json.dumps(table, separators=(",", ":")).encode(), end


HEADERS = tuple(seed_headers())
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}
WEIGHTS = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": True}
TABLES: tuple[dict[str, object], ...] = (
    {"quant_method": "gptq", "bits": 4, "group_size": 32, "modules_in_block_to_quantize": [["mlp.up_proj"]]},
    {"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemv", "modules_to_not_convert": ["up"]},
    {
        "quant_method": "fp8",
        "weight_block_size": [128, 128],
        "modules_to_not_convert": ["model.layers.0.mlp"],
    },
    {"quant_method": "mlx", "bits": 4, "group_size": 64, "lm_head": False, "model.norm": {"bits": 8}},
    {"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": ["lm_head", "*.mlp*"]},
    {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {}}}},
    {"quant_method": "auto-round", "packing_format": "auto_round:auto_awq"},
    {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
    {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "ignore": ["lm_head", "re:.*mlp.(gate|up)_proj$"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": WEIGHTS}},
    },
)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The same with one to five changes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[place : place + 1] = bytes((chance.randrange(256),))
            case 1:
                data[place:place] = chance.choice(WORDS)
            case 2:
                del data[place : place + chance.randint(1, 30)]
            case 3:
                other = chance.randrange(len(data) + 1)
                data[place:place] = data[other : other + chance.randint(1, 80)]
            case 4:
                data[place : place + 4] = chance.choice(WORDS)
            case _:
                numbers = [at for at, letter in enumerate(data) if 48 <= letter <= 57]  # noqa: PLR2004 - digits
                if numbers:
                    data[chance.choice(numbers)] = chance.randrange(48, 58)
    return bytes(data)


def write_pickles(path: Path) -> bytes:
    """A PyTorch archive in small."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", b"\x80\x02.")
        file.writestr("model/data/0", bytes(64))
    return path.read_bytes()


def case(number: int, chance: random.Random, folder: Path, archive: bytes) -> tuple[bytes, str | None]:
    """One input and what is wrong with how it went: most are headers in memory, one in twenty is a file."""
    if number % 20:
        content, data = chance.choice(HEADERS)
        content = mutated(content, chance)
        allowed = (ValueError, RecursionError)
        return content, tried(lambda: safetensors.parse(content, 8 + len(content) + data), allowed)
    kind = chance.choice(("safetensors", "json", "index", "bin"))
    if kind == "safetensors":
        content, data = chance.choice(HEADERS)
        content = mutated(content, chance)
        content = len(content).to_bytes(8, "little") + content + bytes(data)
    elif kind == "json":
        content = mutated(
            json.dumps({**CONFIG, "quantization_config": chance.choice(TABLES)}).encode(), chance
        )
    elif kind == "index":
        content = mutated(b'{"metadata":{"total_size":1},"weight_map":{"a":"a.safetensors"}}', chance)
    else:
        content = mutated(archive, chance)
    path = folder / {"index": "model.safetensors.index.json"}.get(kind, f"a.{kind}")
    path.write_bytes(content)
    return content, tried(lambda: open_path(path), (BadInput,))


def main() -> int:
    """Runs so many inputs."""
    with tempfile.TemporaryDirectory() as name:
        archive = write_pickles(Path(name) / "seed.bin")
        return run(lambda number, chance: case(number, chance, Path(name), archive), "header")


if __name__ == "__main__":
    sys.exit(main())

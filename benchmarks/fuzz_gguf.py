"""Feeds mutated GGUF files to their reader and to what makes models of them.

python -m benchmarks.fuzz_gguf [COUNT [SEED]]: findings as in fuzz_headers.
"""

import io
import random
import struct
import sys
from collections.abc import Callable

from benchmarks.fuzzing import run, tried
from llmplanner.core.errors import BadInput
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.gguf import reader as gguf

NUMBERS = (
    0,
    1,
    3,
    8,
    9,
    12,
    13,
    31,
    32,
    255,
    2**16,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**62,
    2**63,
    2**64 - 1,
)
U32, BOOL, STRING, ARRAY = 4, 7, 8, 9


def text(name: str) -> bytes:
    """A text with its length before it."""
    return struct.pack("<Q", len(name)) + name.encode()


def seed(
    architecture: str, keys: dict[str, int | tuple[int, ...]], tensors: dict[str, tuple[int, ...]]
) -> bytes:
    """A whole header in F16."""
    pairs = [text("general.architecture") + struct.pack("<I", STRING) + text(architecture)]
    for name, value in keys.items():
        key = text(f"{architecture}.{name}")
        if isinstance(value, int):
            pairs.append(key + struct.pack("<II", U32, value))
        else:
            pairs.append(key + struct.pack(f"<IIQ{len(value)}I", ARRAY, U32, len(value), *value))
    words = b"".join(text("a" * (number % 5)) for number in range(20))
    pairs.append(text("tokenizer.ggml.tokens") + struct.pack("<IIQ", ARRAY, STRING, 20) + words)
    infos, offset = [], 0
    for name, shape in tensors.items():
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 1, offset))
        size = 2
        for one in shape:
            size *= one
        offset += size + -size % 32
    return struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(pairs)) + b"".join(pairs + infos)


def layers(parts: dict[str, tuple[int, ...]], count: int = 2) -> dict[str, tuple[int, ...]]:
    """The tensors of a small model whose layers have these parts."""
    inside = {f"blk.{index}.{part}.weight": shape for index in range(count) for part, shape in parts.items()}
    return {"token_embd.weight": (20, 16), **inside, "output_norm.weight": (16,)}


ATTENTION = {
    "attn_norm": (16,),
    "attn_q": (16, 16),
    "attn_k": (8, 16),
    "attn_v": (8, 16),
    "attn_output": (16, 16),
    "ffn_norm": (16,),
}
DENSE = {"ffn_gate": (32, 16), "ffn_up": (32, 16), "ffn_down": (16, 32)}
MIXTURE = {
    "ffn_gate_inp": (4, 16),
    "ffn_gate_exps": (4, 8, 16),
    "ffn_up_exps": (4, 8, 16),
    "ffn_down_exps": (4, 16, 8),
}
RECURRENT = {
    "attn_norm": (16,),
    "ssm_in": (64, 16),
    "ssm_conv1d": (40, 4),
    "ssm_out": (16, 32),
    "ssm_d": (4,),
}
SIZES: dict[str, int | tuple[int, ...]] = {
    "block_count": 2,
    "embedding_length": 16,
    "attention.head_count": 2,
    "attention.head_count_kv": (1, 1),
    "feed_forward_length": 32,
    "context_length": 64,
    "expert_count": 4,
    "expert_used_count": 2,
    "expert_feed_forward_length": 8,
    "attention.sliding_window": 8,
    "attention.sliding_window_pattern": (1, 0),
    "ssm.inner_size": 32,
    "ssm.state_size": 4,
    "ssm.conv_kernel": 4,
    "ssm.group_count": 1,
    "ssm.time_step_rank": 4,
}
NAMES = (
    "llama",
    "qwen3moe",
    "gemma3",
    "gemma4",
    "mamba2",
    "jamba",
    "nemotron_h",
    "granitehybrid",
    "lfm2",
    "other",
)
PARTS: tuple[dict[str, tuple[int, ...]], ...] = (
    {**ATTENTION, **DENSE},
    {**ATTENTION, **MIXTURE},
    {**ATTENTION, **DENSE, **RECURRENT},
    RECURRENT,
)
SEEDS = tuple(seed(name, SIZES, layers(parts)) for name in NAMES for parts in PARTS)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The same with one to five changes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(data))
        match chance.randrange(6):
            case 0:
                data[place] = chance.randrange(256)
            case 1:
                number = chance.choice(NUMBERS)
                data[place : place + 8] = number.to_bytes(8, "little")
            case 2:
                data[place : place + 4] = (chance.choice(NUMBERS) % 2**32).to_bytes(4, "little")
            case 3:
                del data[place : place + chance.randint(1, 30)]
            case 4:
                data[place:place] = data[chance.randrange(len(data)) :][: chance.randint(1, 80)]
            case _:
                near = data.find(b"\x04\0\0\0", place)  # the value of a key that is a number
                if near >= 0:
                    data[near + 4 : near + 8] = (chance.choice(NUMBERS) % 2**32).to_bytes(4, "little")
    return bytes(data)


def invented(chance: random.Random) -> bytes:
    """A header without a fault in its form, of sizes and shapes that need not fit together."""
    parts = dict(chance.choice(PARTS))
    for name in chance.sample(sorted(parts), 2):
        parts[name] = tuple(chance.choice((1, 2, 8, 16, 32, 64)) for _ in range(chance.randint(1, 3)))
    sizes = dict(SIZES)
    for name in chance.sample(sorted(sizes), chance.randint(1, 4)):
        number = chance.choice(NUMBERS) % 2**32
        listed = tuple(chance.choice((0, 1, 2, number)) for _ in range(chance.randint(0, 3)))
        sizes[name] = number if chance.random() < 0.5 else listed  # noqa: PLR2004 - one in two
    return seed(chance.choice(NAMES), sizes, layers(parts, chance.randint(0, 3)))


def opened(content: bytes) -> Callable[[], object]:
    """Reads the header and makes its model; the data is still to come."""

    def work() -> object:
        header = gguf.read_from(io.BytesIO(content + bytes(32)), len(content) + 32, "a.gguf")
        return gguf_models.opened(header, "a", "a.gguf")

    return work


def case(number: int, chance: random.Random) -> tuple[bytes, str | None]:
    """One input, every other one from scratch, and what is wrong with how it was read."""
    content = invented(chance) if number % 2 else mutated(chance.choice(SEEDS), chance)
    return content, tried(opened(content), (BadInput,))


if __name__ == "__main__":
    sys.exit(run(case, "gguf"))

"""Quantized linears: bits per weight as the libraries state them, and what published files hold."""

import pytest

from llmplanner.core.model import Linear
from llmplanner.core.recipes import linear as layouts
from llmplanner.core.recipes.linear import Parts
from tests.reference import needs_reference, rows

BIG = Linear("q_proj", 1 << 14, 1 << 16)  # so large that what is stored once a matrix or a row vanishes
BPW = {
    **{f"GPTQ {b}-bit group {g}": layouts.gptq(BIG, b, g) for b in (2, 3, 4, 8) for g in (32, 64, 128)},
    "AWQ 4-bit group 128 (GEMM)": layouts.awq(BIG, 4, 128),
    "AWQ 4-bit group 64": layouts.awq(BIG, 4, 64),
    "bitsandbytes NF4/FP4, blocksize 64": layouts.bnb_4bit(BIG),
    "bitsandbytes NF4 + double quant": layouts.bnb_4bit(BIG, double=True),
    "bitsandbytes NF4, blocksize 128": layouts.bnb_4bit(BIG, block=128),
    "bitsandbytes LLM.int8()": layouts.bnb_int8(BIG),
    "FP8 block 128x128 (DeepSeek-V3, Qwen3-FP8)": layouts.fp8_blocks(BIG),
    "FP8 per-channel (compressed-tensors float-quantized, FBGEMM)": layouts.fp8_channel(BIG),
    "FP8 per-tensor (static)": layouts.fp8_tensor(BIG, inputs=True),
    "MXFP4 (gpt-oss checkpoints)": layouts.mxfp4(BIG),
    "NVFP4 (compressed-tensors nvfp4-pack-quantized, ModelOpt)": layouts.nvfp4(BIG),
    "compressed-tensors pack-quantized W4 group 128 symmetric": layouts.packed(BIG, 4, 128),
    "compressed-tensors pack-quantized W4 group 32 symmetric": layouts.packed(BIG, 4, 32),
    "compressed-tensors pack-quantized W8 group 128 symmetric": layouts.packed(BIG, 8, 128),
    "compressed-tensors int-quantized W8A8 per-channel": layouts.int8_channel(BIG),
}

LLAMA_8B = [  # linears of one of the 32 layers of Llama 3.1 8B
    Linear("self_attn.q_proj", 4096, 4096),
    Linear("self_attn.k_proj", 4096, 1024),
    Linear("self_attn.v_proj", 4096, 1024),
    Linear("self_attn.o_proj", 4096, 4096),
    Linear("mlp.gate_proj", 4096, 14336),
    Linear("mlp.up_proj", 4096, 14336),
    Linear("mlp.down_proj", 14336, 4096),
]


@needs_reference
@pytest.mark.parametrize("name", BPW)
def test_bits_per_weight_are_those_of_the_library(name: str) -> None:
    row = next(row for row in rows("quant_bpw.csv") if row["format"] == name)
    parts = BPW[name]
    bits = 8 * sum(part.bytes for part in parts) / (BIG.inputs * BIG.outputs)
    assert bits == pytest.approx(float(row["bits_per_weight"]), abs=0.0025)
    assert sum(part.elements for part in parts) == BIG.inputs * BIG.outputs


def _counted(parts: Parts) -> dict[str, int]:
    """Numbers in a linear's stored tensors by type, as a reader of the header counts them."""
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.format] = sums.get(part.format, 0) + part.bytes * 8 // layouts.BITS[part.format]
    return sums


def test_nf4_with_double_quantization_holds_what_a_published_8b_holds() -> None:
    # unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit at f15c379fb32b: the hub once counted 8,248,929,342 numbers,
    # each U8 twice; 1,050,939,392 of them are in BF16 (huggingface.js, parse-safetensors-metadata.spec.ts).
    naive = 1_050_939_392
    for linear in LLAMA_8B:
        counted = _counted(layouts.bnb_4bit(linear, double=True))
        naive += 32 * (2 * counted["U8"] + counted["F32"])
    assert abs(naive - 8_248_929_342) <= 2 * 2 * 32 * len(LLAMA_8B)  # two bytes of text a tensor


def test_gpt_oss_experts_are_stored_as_published() -> None:
    # openai/gpt-oss-20b at bbf09307421d: 9,555,148,800 bytes of blocks, and 597,196,800 of scales.
    up, down = Linear("gate_up_proj", 2880, 5760), Linear("down_proj", 2880, 2880)
    blocks, scales = (
        sum(24 * 32 * layouts.mxfp4(linear)[part].bytes for linear in (up, down)) for part in (0, 1)
    )
    assert 2 * blocks == 19_110_297_600
    assert scales == 21_511_953_984 - 20_914_757_184


def test_groups_that_are_begun_are_stored_whole() -> None:
    odd = Linear("o_proj", 200, 130)
    assert layouts.gptq(odd, 4, 128)[2].shape == (2, 130)
    assert layouts.gptq(odd, 4, -1)[2].shape == (1, 130)
    assert layouts.fp8_blocks(odd)[1].shape == (2, 2)
    assert layouts.gptq(odd, 3, 128)[0].shape == (19, 130)  # 600 bits

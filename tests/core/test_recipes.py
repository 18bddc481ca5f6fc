"""Quantized sizes from a model alone: published files, the engine's dry runs, properties."""

import json
import time
from dataclasses import replace

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Model
from llmplanner.core.recipes import LLAMA_CPP, RECIPES, WITH_MATRIX, stored_as
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types
from llmplanner.models.gguf.opening import load
from llmplanner.models.quantized.quantization import checkpoint_of
from tests.core.test_recipes_llamacpp import SHAPES
from tests.reference import REFERENCE, needs_reference, rows

CONFIGS = REFERENCE / "configs"
MIB, GIB = 2**20, 2**30
SIZES = [row for row in rows("llamacpp_quant_sizes.csv") if row["ftype"].lower() in RECIPES]
PUBLISHED = [
    row
    for row in rows("published_quant_sizes.csv")
    if row["agrees"] == "yes"
    and row["ftype"].lower() in RECIPES
    and ((CONFIGS / f"{row['model']}.json").exists() or (SHAPES / f"{row['model']}.gguf").exists())
]
ROPE_FREQUENCIES = 256  # bytes at most: a vector that some files hold and no config states


def _model(name: str) -> Model:
    if not (CONFIGS / f"{name}.json").exists():
        return load(SHAPES / f"{name}.gguf")[0]
    table = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    if table["model_type"] not in model_types():
        pytest.skip(f"{table['model_type']} is not read")
    return from_config(table, name, name)


def _key(row: dict[str, str], imatrix: bool) -> str:
    key = row["ftype"].lower()
    return key + WITH_MATRIX if imatrix and key + WITH_MATRIX in RECIPES else key


@needs_reference
@pytest.mark.parametrize("name", sorted({row["model"] for row in SIZES}))
def test_sizes_are_those_of_the_dry_runs(name: str) -> None:
    model, _, _ = load(SHAPES / f"{name}.gguf")
    for row in (row for row in SIZES if row["model"] == name):
        if row["ftype"] == "IQ3_XXS" and row["imatrix"] == "0":
            continue  # a dry run goes through; the file cannot be made
        key = _key(row, row["imatrix"] == "1")
        if not row["size_MiB"]:
            with pytest.raises(BadInput):
                stored_as(model, key)
            continue
        stored = stored_as(model, key)
        assert abs(stored.bytes / MIB - float(row["size_MiB"])) < 0.0051 + ROPE_FREQUENCIES / MIB, key
        assert stored.exact
        assert stored.elements == parameters(model).total


@needs_reference
@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['model']}-{row['ftype']}-{row['imatrix']}")
def test_published_files_are_as_large(row: dict[str, str]) -> None:
    stored = stored_as(_model(row["model"]), _key(row, row["imatrix"] == "yes"))
    assert stored.bytes / GIB == pytest.approx(float(row["published_GiB"]), rel=0.005)


@needs_reference
def test_a_published_gpt_oss_is_as_large() -> None:
    # openai/gpt-oss-20b: 12.82 GiB in MXFP4 and BF16 (quant_bpw.csv)
    stored = stored_as(_model("gpt-oss-20b"), "mxfp4")
    assert round(stored.bytes / GIB, 2) == 12.82
    assert stored.exact


@needs_reference
def test_a_published_nf4_file_counts_as_many_parameters() -> None:
    # unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit at f15c379fb32b: 6,979,321,856 packed, 1,050,939,392 in BF16
    amounts = {amount.format: amount for amount in stored_as(_model("llama-3.1-8b"), "nf4-double").amounts}
    assert amounts["U8"].elements == 6_979_321_856
    assert amounts["BF16"].elements == 1_050_939_392


@needs_reference
@pytest.mark.parametrize("key", RECIPES)
@pytest.mark.parametrize("name", ["llama-3.1-8b", "mixtral-8x7b", "bert-base-uncased", "gpt2", "t5-small"])
def test_every_recipe_stores_every_parameter_in_fewer_bytes(name: str, key: str) -> None:
    model = _model(name)
    stored = stored_as(model, key)
    assert 0 < stored.bytes < 2.2 * parameters(model).total
    if RECIPES[key].group != LLAMA_CPP:
        assert stored.elements == parameters(model).total


@needs_reference
@pytest.mark.parametrize("name", ["deepseek-v3", "qwen3-30b-a3b", "llama-3.1-70b"])
def test_an_answer_takes_no_time_to_speak_of(name: str) -> None:
    model = _model(name)
    stored_as(model, "q4_k_m")  # loads what it needs
    for key in ("q4_k_m", "iq3_xs", "gptq-4bit-g128"):
        assert min(_seconds(model, key) for _ in range(3)) < 0.05


def _seconds(model: Model, key: str) -> float:
    start = time.process_time()
    stored_as(model, key)
    return time.process_time() - start


@needs_reference
def test_what_is_no_recipe_is_refused() -> None:
    with pytest.raises(BadInput, match="not a quantization") as refused:
        stored_as(_model("gpt2"), "q4_k_xl")
    assert refused.value.field == "weights"


STATED: dict[str, dict[str, object]] = {
    "gptq-4bit-g128": {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True},
    "gptq-4bit-g32": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True},
    "gptq-8bit-g128": {"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True},
    "awq-4bit-g128": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
    "nf4": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "nf4-double": {
        "quant_method": "bitsandbytes",
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
    },
    "int8-bnb": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "fp8-block": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}


@needs_reference
@pytest.mark.parametrize("key", STATED)
@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3", "gpt2", "t5-small"])
def test_what_a_library_would_make_is_what_its_config_states(name: str, key: str) -> None:
    model = replace(_model(name), dtype="fp16")  # as such files say, whatever they were made of
    stated = checkpoint_of(model, STATED[key])
    assert stated is not None
    assert stored_as(model, key).amounts == stated.amounts


@needs_reference
@pytest.mark.parametrize(  # GB (10^9) of model files, as TheBloke's cards of 2023 state them
    ("name", "key", "published"),
    [
        ("llama-2-7b", "gptq-4bit-g128", 3.90),  # Llama-2-7b-Chat-GPTQ
        ("llama-2-7b", "gptq-4bit-g32", 4.28),
        ("llama-2-13b", "gptq-4bit-g128", 7.26),  # MythoMax-L2-13B-GPTQ
        ("llama-2-13b", "gptq-4bit-g32", 8.00),  # LLaMA2-13B-Tiefighter-GPTQ
        ("mistral-7b-v0.1", "gptq-4bit-g128", 4.16),  # Mistral-7B-Instruct-v0.1-GPTQ
        ("mistral-7b-v0.1", "gptq-4bit-g32", 4.57),
        ("mixtral-8x7b", "gptq-4bit-g128", 24.70),  # dolphin-2.5-mixtral-8x7b-GPTQ
        ("mixtral-8x7b", "gptq-4bit-g32", 27.42),
        ("falcon-180b", "gptq-4bit-g128", 94.25),  # Falcon-180B-Chat-GPTQ
        ("mistral-7b-v0.1", "gptq-8bit-g128", 7.68),
        ("mistral-7b-v0.1", "awq-4bit-g128", 4.15),  # Mistral-7B-Instruct-v0.1-AWQ
    ],
)
def test_published_files_of_gptq_and_awq_are_as_large(name: str, key: str, published: float) -> None:
    assert stored_as(_model(name), key).bytes / 1e9 == pytest.approx(published, rel=0.002)

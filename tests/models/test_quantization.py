"""Quantized checkpoints from their config alone, against what published files hold."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from llmplanner.core.checkpoint import Checkpoint, checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Model
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.checkpoints import safetensors
from llmplanner.models.config import from_config
from llmplanner.models.quantized.module_names import exact_names, glob_matches, names_of
from llmplanner.models.quantized.quantization import bits_of, checkpoint_of, stored_tensors
from tests.models.safetensors_files import header, write_raw
from tests.reference import REFERENCE, needs_reference, rows

LLAMA = catalogue.model("llama-3.1-8b")
LAYERS = 6_979_321_856  # parameters in the matrices of its layers
OTHERS = 8_030_261_248 - LAYERS
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": True}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True}
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
FP8: dict[str, object] = {
    "quant_method": "fp8",
    "weight_block_size": [128, 128],
    "activation_scheme": "dynamic",
}


def stored(table: dict[str, object], model: Model = LLAMA) -> Checkpoint:
    found = checkpoint_of(model, table)
    assert found is not None
    return found


def bytes_by_format(checkpoint: Checkpoint) -> dict[str, int]:
    return {amount.format: amount.bytes for amount in checkpoint.amounts}


def compressed(form: str, ignore: tuple[str, ...] = ("lm_head",), **weights: object) -> dict[str, object]:
    group = {"targets": ["Linear"], "weights": weights, "input_activations": None}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "ignore": list(ignore),
        "config_groups": {"group_0": group},
    }


TABLES: dict[str, dict[str, object]] = {
    "gptq": GPTQ,
    "gptq, 3 bits": {**GPTQ, "bits": 3, "group_size": -1},
    "gptq with its head": {**GPTQ, "lm_head": True},
    "awq": AWQ,
    "awq gemv": {**AWQ, "version": "gemv"},
    "awq gemv_fast": {**AWQ, "version": "gemv_fast"},
    "nf4": NF4,
    "nf4, doubly": {**NF4, "bnb_4bit_use_double_quant": True},
    "llm.int8": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "fp8 blocks": FP8,
    "fp8": {"quant_method": "fp8", "activation_scheme": "static"},
    "fbgemm": {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["lm_head", "model.layers.0.mlp"]},
    "mxfp4": {"quant_method": "mxfp4"},
    "modelopt nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
    "modelopt fp8": {"quant_method": "modelopt", "quant_algo": "FP8", "exclude_modules": ["lm_head"]},
    "packed": compressed("pack-quantized", num_bits=4, type="int", strategy="group", group_size=128),
    "packed, 8 bits": compressed("pack-quantized", num_bits=8, type="int", strategy="channel"),
    "packed, 2 bits": compressed("pack-quantized", num_bits=2, type="int", strategy="group", group_size=32),
    "int8": compressed("int-quantized", num_bits=8, type="int", strategy="channel", symmetric=False),
    "float8": compressed("float-quantized", num_bits=8, type="float", strategy="tensor"),
    "float8 blocks": compressed(
        "float-quantized", num_bits=8, type="float", strategy="block", block_structure=[128, 128]
    ),
    "nvfp4": compressed("nvfp4-pack-quantized", num_bits=4, type="float", strategy="tensor_group"),
    "mxfp4 packed": compressed(
        "mxfp4-pack-quantized", num_bits=4, type="float", strategy="group", group_size=32
    ),
    "auto-round": {"quant_method": "auto-round", "bits": 4, "group_size": 128},
    "torchao int8": {"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig"}}},
    "mlx": {"quant_method": "mlx", "bits": 4, "group_size": 64, "lm_head": False},
    "eetq": {"quant_method": "eetq"},
    "bitnet": {"quant_method": "bitnet", "quantization_mode": "offline"},
    "fp8 with fp4 experts": {**FP8, "expert_dtype": "fp4", "scale_fmt": "ue8m0"},
    "fp8 by default": {"quant_method": "fp8"},
    "torchao int4": {"quant_method": "torchao", "quant_type": "int4_weight_only"},
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("model", ["llama-3.1-8b", "mixtral-8x7b", "gpt2", "bert-base-uncased", "t5-large"])
def test_no_parameter_is_lost_and_none_is_counted_twice(name: str, model: str) -> None:
    which = catalogue.model(model)
    found = stored(TABLES[name], which)
    assert found.elements == parameters(which).total
    assert found.bytes < 4 * found.elements


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("model", ["qwen2.5-0.5b", "mixtral-8x7b", "gpt2"])
def test_a_header_of_such_tensors_is_read_as_the_config_says(tmp_path: Path, name: str, model: str) -> None:
    which = catalogue.model(model)
    tensors = stored_tensors(which, TABLES[name])
    content, data = header({tensor.name: (tensor.format, tensor.shape) for tensor in tensors})
    path = write_raw(tmp_path / "a.safetensors", content, data)
    read = safetensors.join([safetensors.read_part(path)], bits_of(TABLES[name]))
    derived = stored(TABLES[name], which)
    assert checkpoint("", read.tensors, "").amounts == derived.amounts


@needs_reference
def test_nf4_holds_what_a_published_8b_holds() -> None:
    row = next(r for r in rows("corpus/hf_param_counts.csv") if r["repo"].startswith("unsloth/"))
    by_kind = dict(part.split(":") for part in row["per_dtype"].split(";"))
    found = stored({**NF4, "bnb_4bit_use_double_quant": True, "llm_int8_skip_modules": None})
    elements = {amount.format: amount.elements for amount in found.amounts}
    assert elements == {"U8": int(by_kind["U8"]), "BF16": int(by_kind["BF16"]), "F32": 0}
    numbers = {"U8": 2, "BF16": 1 / 2, "F32": 1 / 4}  # that the hub once counted to a byte: 8,248,929,342
    naive = sum(numbers[amount.format] * amount.bytes for amount in found.amounts)
    assert naive == pytest.approx(8_248_929_342, abs=2 * 2 * 224)  # the texts of 224 tensors, a byte or two


@needs_reference
def test_a_packed_70b_holds_what_the_published_one_holds() -> None:
    row = next(r for r in rows("corpus/hf_param_counts.csv") if "70B" in r["repo"])
    by_kind = dict(part.split(":") for part in row["per_dtype"].split(";"))
    table = compressed(
        "pack-quantized", num_bits=4, type="int", strategy="group", group_size=128, actorder="group"
    )
    found = stored(table, catalogue.model("llama-3.1-70b"))
    elements = {amount.format: amount.elements for amount in found.amounts}
    assert (elements["I32"], elements["BF16"]) == (int(by_kind["I32"]), int(by_kind["BF16"]))
    words = bytes_by_format(found)["I32"] // 4 - int(by_kind["I32"]) // 8
    assert words == 6_225_920  # the order of its inputs, as the hub's note says


@needs_reference
@pytest.mark.parametrize(("name", "layers", "experts"), [("gpt-oss-20b", 24, 32), ("gpt-oss-120b", 36, 128)])
def test_gpt_oss_is_stored_as_published(name: str, layers: int, experts: int) -> None:
    config = json.loads((REFERENCE / "configs" / "gpt-oss-20b.json").read_text(encoding="utf-8"))
    config |= {"num_hidden_layers": layers, "num_local_experts": experts}
    config.pop("layer_types", None)
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": kept}
    found = from_config(config, name, name).checkpoint
    assert found is not None
    row = next(r for r in rows("corpus/hf_param_counts.csv") if r["repo"] == f"openai/{name}")
    by_kind = dict(part.split(":") for part in row["per_dtype"].split(";"))
    assert found.elements == int(row["total"])
    # 4 bits a weight and 8 bits for each 32; all else in BF16
    assert bytes_by_format(found) == {
        "U8": int(by_kind["U8"]) * 17 // 32,
        "BF16": 2 * int(by_kind["BF16"]),
    }


@needs_reference
def test_a_trillion_parameters_in_4_bits_are_as_large_as_published() -> None:
    # moonshotai/Kimi-K2-Thinking: 594 GB, its experts in groups of 32
    config = json.loads((REFERENCE / "configs" / "deepseek-v3.json").read_text(encoding="utf-8"))
    config |= {"n_routed_experts": 384, "num_attention_heads": 64, "num_key_value_heads": 64}
    config |= {"vocab_size": 163_840, "first_k_dense_replace": 1, "num_nextn_predict_layers": 0}
    kept = (
        "lm_head",
        "re:.*self_attn.*",
        "re:.*shared_experts.*",
        r"re:.*mlp\.(gate|up|gate_up|down)_proj.*",
    )
    config["quantization_config"] = compressed(
        "pack-quantized", kept, num_bits=4, type="int", strategy="group", group_size=32
    )
    found = from_config(config, "kimi-k2", "kimi-k2").checkpoint
    assert found is not None
    assert found.bytes == pytest.approx(594e9, rel=0.002)


@pytest.mark.parametrize(
    ("table", "model", "dtype", "published"),
    [  # bytes of the files, rounded, as their pages state them
        (GPTQ, "llama-2-7b", "fp16", 3.90e9),  # TheBloke/Llama-2-7B-GPTQ
        (AWQ, "llama-3.1-8b", "fp16", 5.73e9),  # hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4
        ({**AWQ, "modules_to_not_convert": ["gate"]}, "mixtral-8x7b", "fp16", 24.65e9),  # TheBloke's AWQ
        ({**NF4, "bnb_4bit_use_double_quant": True}, "llama-3.1-8b", "bf16", 5.70e9),  # unsloth's bnb-4bit
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "llama-3.1-8b", "bf16", 9.09e9),
        (
            {"quant_method": "mlx", "bits": 4, "group_size": 64},
            "llama-3.1-8b",
            "bf16",
            4.52e9,
        ),  # mlx-community
    ],
)
def test_bytes_are_those_of_published_files(
    table: dict[str, object], model: str, dtype: str, published: float
) -> None:
    found = stored(table, replace(catalogue.model(model), dtype=dtype))
    assert found.bytes == pytest.approx(published, rel=0.002)


def test_the_lists_of_names_decide() -> None:
    kept = [f"model.layers.{layer}.mlp" for layer in range(8)]
    whole, part = stored(FP8), stored({**FP8, "modules_to_not_convert": ["lm_head", *kept]})
    dense = 8 * 3 * 4096 * 14336
    assert bytes_by_format(whole)["F8_E4M3"] - bytes_by_format(part)["F8_E4M3"] == dense
    assert bytes_by_format(part)["BF16"] - bytes_by_format(whole)["BF16"] == 2 * dense
    table = compressed("float-quantized", ("lm_head", "re:.*self_attn.*"), num_bits=8, type="float")
    assert bytes_by_format(stored(table))["F8_E4M3"] == 32 * 3 * 4096 * 14336
    attention = {**GPTQ, "modules_in_block_to_quantize": [["self_attn.q_proj"], ["self_attn.o_proj"]]}
    assert {a.format: a.elements for a in stored(attention).amounts}["I32"] == 32 * 2 * 4096 * 4096


def test_gptqs_single_modules_have_their_own() -> None:
    down = 32 * 4096 * 14336
    table = {**GPTQ, "dynamic": {r"-:.*\.down_proj": {}, r"+:.*\.o_proj": {"bits": 8}}}
    found = {amount.format: amount for amount in stored(table).amounts}
    assert found["I32"].elements == LAYERS - down
    eight = stored({**GPTQ, "bits": 8, "modules_in_block_to_quantize": [["self_attn.o_proj"]]})
    four = stored({**GPTQ, "modules_in_block_to_quantize": [["self_attn.o_proj"]]})
    plain = stored({**GPTQ, "dynamic": {r"-:.*\.down_proj": {}}})
    more = bytes_by_format(eight)["I32"] - bytes_by_format(four)["I32"]
    assert found["I32"].bytes - bytes_by_format(plain)["I32"] == more


def test_experts_can_be_told_apart() -> None:
    mixtral = catalogue.model("mixtral-8x7b")
    table = compressed("float-quantized", ("re:.*experts.[0-9]+.w2$",), num_bits=8, type="float")
    one = compressed(
        "float-quantized", ("model.layers.0.block_sparse_moe.experts.3.w2",), num_bits=8, type="float"
    )
    none = compressed("float-quantized", (), num_bits=8, type="float")
    fp8 = [bytes_by_format(stored(each, mixtral))["F8_E4M3"] for each in (none, one, table)]
    assert fp8[0] - fp8[1] == 4096 * 14336
    assert fp8[0] - fp8[2] == 32 * 8 * 4096 * 14336


def test_a_name_means_a_module_and_not_its_beginning() -> None:
    modules = ("model.layers.0.mlp.gate", "model.layers.0.mlp.gate_proj", "vision_tower.fc")
    names = names_of(["mlp.gate", "vision"], modules)
    assert [names.mean(module) for module in modules] == [True, False, True]


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("re:.*lm_head", "model.lm_head", True),
        ("re:.*mlp.gate$", "model.layers.0.mlp.gate", True),
        ("re:.*mlp.gate$", "model.layers.0.mlp.gate_proj", False),
        (r"re:.*self_attn\.(q|k)_proj$", "model.layers.3.self_attn.k_proj", True),
        (r"re:.*self_attn\.(q|k)_proj$", "model.layers.3.self_attn.v_proj", False),
        (r"re:^model\.layers\.\d+\.mlp.*", "model.layers.11.mlp.up_proj", True),
        ("lm_head", "model.lm_head", False),
        ("re:(a+)+$", "a" * 200, False),
        ("re:" + "(a|a)" * 60, "a" * 60, False),
        ("re:" + "a*" * 3000 + "b", "a" * 4000, False),
    ],
)
def test_patterns_are_globs_and_never_run(pattern: str, name: str, meant: bool) -> None:
    assert exact_names([pattern]).mean(name) is meant


def test_very_many_patterns_are_refused_and_many_take_little_time() -> None:
    mixture = catalogue.model("deepseek-v3")
    many = [f"re:.*{number}a.*b.*experts.c" for number in range(1900)]
    began = time.process_time()
    stored(compressed("float-quantized", tuple(many), num_bits=8, type="float"), mixture)
    stored({**FP8, "modules_to_not_convert": ["", *(f"visual.{number}" for number in range(1900))]}, mixture)
    assert time.process_time() - began < 3
    with pytest.raises(BadInput, match="more patterns"):
        checkpoint_of(LLAMA, {**FP8, "modules_to_not_convert": [f"*{number}" for number in range(3000)]})


@pytest.mark.parametrize(
    "listed",
    [
        "model.language_model.layers.5.self_attn*",  # Gemma 4, Qwen3.5
        "language_model.model.layers.5.self_attn*",  # Kimi K2.5
        "language_model.model.layers.5.self_attn.q_proj",
        r"re:^model\.language_model\.layers\.5\.self_attn.*",
    ],
)
def test_a_list_may_name_what_a_wrapping_model_holds(listed: str) -> None:
    modules = ["model.layers.5.self_attn.q_proj", "model.layers.5.mlp.up_proj"]
    names = names_of([listed, "language_model.lm_head"], [*modules, "lm_head"])
    assert [names.mean(module) for module in (*modules, "lm_head")] == [True, False, True]


def test_modelopt_may_mix_formats() -> None:
    """As the NVFP4 file of Qwen3.6 does: FP8 attention, 4-bit feed-forward and head, the rest in BF16."""
    config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 4, "vocab_size": 32, "num_key_value_heads": 4}
    layers = {f"model.layers.0.self_attn.{each}_proj": {"quant_algo": "FP8"} for each in "qkvo"}
    four = {"quant_algo": "W4A16_NVFP4", "group_size": 16}
    listed = {**layers, "model.layers.0.mlp": four, "lm_head": four}
    table = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": listed}
    stored = from_config({**config, "quantization_config": table}, "a", "a.json").checkpoint
    assert stored is not None
    attention = 4 * (64 * 64 + 2 * 4)  # with a scale of the weight and one of what enters
    packed = 3 * 64 * 128 + 32 * 64
    assert stored.bytes == attention + packed * 9 // 16 + 4 * 4 + 2 * (32 * 64 + 3 * 64)
    unknown = {**table, "quantized_layers": {"lm_head": {"quant_algo": "of my own"}}}
    assert from_config({**config, "quantization_config": unknown}, "a", "a.json").checkpoint is None


def test_compressed_tensors_may_name_what_a_wrapping_model_holds() -> None:
    names = exact_names(["language_model.model.layers.5.self_attn.q_proj"])
    assert names.mean("model.layers.5.self_attn.q_proj")


def test_a_glob_of_one_layer_leaves_the_tenth() -> None:
    """As ModelOpt lists the dense layers of GLM-5.1."""
    names = names_of(["model.layers.1.*"], ["model.layers.1.mlp.up_proj", "model.layers.10.mlp.up_proj"])
    assert names.mean("model.layers.1.mlp.up_proj")
    assert not names.mean("model.layers.10.mlp.up_proj")


def test_a_glob_ends_where_the_name_does() -> None:
    assert glob_matches("a*b", "ab")
    assert not glob_matches("ab*ba", "aba")
    assert glob_matches("*", "")


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({**GPTQ, "bits": 5}, "bits"),
        ({**GPTQ, "group_size": 0}, "group_size"),
        ({**GPTQ, "group_size": 10**30}, "group_size"),
        ({**GPTQ, "bits": True}, "bits"),
        ({**AWQ, "version": "new"}, "version"),
        ({**AWQ, "modules_to_not_convert": "lm_head"}, "modules_to_not_convert"),
        ({**NF4, "bnb_4bit_quant_type": "nf5"}, "nf5"),
        ({"quant_method": "bitsandbytes"}, "load_in_4bit"),
        ({**FP8, "weight_block_size": [128]}, "block"),
        ({**FP8, "weight_block_size": [128, -1]}, "block"),
        ({**GPTQ, "modules_in_block_to_quantize": [[1]]}, "modules_in_block"),
        ({**GPTQ, "modules_in_block_to_quantize": {"a": 1}}, "modules_in_block"),
    ],
)
def test_what_cannot_be_is_refused(table: dict[str, object], word: str) -> None:
    with pytest.raises(BadInput, match=word) as caught:
        checkpoint_of(LLAMA, table)
    assert caught.value.field == "quantization_config"


@pytest.mark.parametrize("method", ["aqlm", "new", None, 7, ["gptq"], {}])
def test_a_method_that_is_not_known_is_told(method: object) -> None:
    config = dict(catalogue.entry("llama-3.1-8b").config)
    model = from_config({**config, "quantization_config": {"quant_method": method}}, "a", "a.json")
    assert model.checkpoint is None
    assert "does not read" in model.note


def test_bits_are_stated_or_not() -> None:
    assert (bits_of(GPTQ), bits_of(NF4), bits_of(None), bits_of({"bits": "4"})) == (4, None, None, None)


def test_what_mlx_says_twice_is_read_once() -> None:
    said = {"group_size": 64, "bits": 8, "model.embed_tokens": False}
    config = {**catalogue.entry("llama-3.1-8b").config, "quantization": said, "quantization_config": said}
    found = from_config(config, "a", "a.json").checkpoint
    assert found is not None
    assert found.label == "MLX 8-bit, groups of 64"
    table = 128_256 * 4096
    assert {amount.format: amount.elements for amount in found.amounts}[
        "U32"
    ] == 8_030_261_248 - table - 65 * 4096

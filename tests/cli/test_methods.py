"""Fine-tuning by every method, from the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Run = Callable[..., Answer]
MEMORY = (
    "memory",
    "llama-3.1-8b",
    "--task",
    "finetune",
    "--gpu",
    "h100-sxm",
    "--precision",
    "bf16",
    "--json",
)
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True}


def terms(answer: Answer) -> dict[str, int]:
    """Bytes of each term in the step of the optimizer, which has all gradients."""
    assert answer.code == 0, answer
    phases = answer.json["devices"][0]["phases"]
    step = next(phase for phase in phases if phase["phase"] == "step")
    return {term["name"]: term["bytes"] for term in step["terms"]}


def test_adapters_alone_have_gradients(run: Run) -> None:
    """LoRA of rank 16 on the seven linears of Llama 3.1 8B: 41,943,040 parameters, as PEFT prints them."""
    held = terms(run(*MEMORY, "--method", "lora", "--rank", 16))
    assert held["gradients"] == 4 * 41_943_040
    assert held["optimizer"] == 8 * 41_943_040
    attention = terms(run(*MEMORY, "--method", "lora", "--set", "lora_targets=attention"))
    named = terms(run(*MEMORY, "--method", "lora", "--set", "lora_targets=q_proj,k_proj, v_proj,o_proj"))
    assert attention == named
    assert named["gradients"] < held["gradients"]


def test_qlora_takes_nf4_unless_told_otherwise(run: Run) -> None:
    plain = terms(run(*MEMORY, "--method", "lora"))
    packed = terms(run(*MEMORY, "--method", "qlora"))
    int8 = terms(run(*MEMORY, "--method", "qlora", "--weights", "int8-bnb"))
    assert packed["gradients"] == int8["gradients"] == plain["gradients"]
    assert packed["weights"] < int8["weights"] < plain["weights"]
    # bitsandbytes: 0.516 bytes of each of the 6.98e9 parameters of the layers' matrices, 2 of the others
    base = packed["weights"] - packed["gradients"]
    assert base == pytest.approx(0.516 * 6.979e9 + 2 * 1.051e9, rel=0.001)


def test_a_file_in_few_bits_is_the_base_as_it_is(run: Run, tmp_path: Path) -> None:
    config = {
        "model_type": "llama",
        "num_hidden_layers": 4,
        "hidden_size": 512,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "intermediate_size": 1408,
        "vocab_size": 4096,
        "max_position_embeddings": 4096,
        "quantization_config": GPTQ,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    options = ("--task", "finetune", "--gpu", "h100-sxm", "--precision", "bf16", "--json")
    lora, qlora, full = (
        terms(run("memory", path, *options, "--method", method)) for method in ("lora", "qlora", "full")
    )
    assert lora == qlora
    assert lora["weights"] < full["weights"]


@pytest.mark.parametrize(
    ("options", "title"),
    [
        (("--method", "lora"), "fine-tuned by LoRA of rank 16 in bf16"),
        (("--method", "dora", "--rank", "8"), "fine-tuned by DoRA of rank 8 in bf16"),
        (("--method", "qlora"), "by QLoRA of rank 16 on NF4, double quantization in"),
        (("--method", "adapters", "--set", "adapter_width=128"), "by adapters of width 128 in"),
        (("--method", "full", "--set", "frozen_layers=30"), "fine-tuned, 30 layers frozen, in bf16"),
    ],
)
def test_the_method_is_named_and_decides(run: Run, options: tuple[str, ...], title: str) -> None:
    said = run(*MEMORY[:-1], *options)
    assert said.code == 0
    assert title in " ".join(said.out.split())
    fits = run("fit", *MEMORY[1:], "--checkpointing", "full", *options)
    assert fits.code == 0, fits


def test_training_in_full_does_not_fit_where_adapters_do(run: Run) -> None:
    card = ("fit", "llama-3.1-8b", "--task", "finetune", "--gpu", "rtx-4090", "--precision", "bf16")
    options = ("--checkpointing", "full", "--sequence", "1024", "--json")
    assert run(*card, *options).code == 1
    assert run(*card, *options, "--method", "qlora").code == 0

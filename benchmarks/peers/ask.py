"""Asks other planners, through their own functions: python ask.py QUESTIONS.jsonl FOLDER PEER...

Runs in an environment that holds the peers and needs nothing of this repository. The answers of those that
are named take the place of their earlier ones in FOLDER/answers.csv; what a peer cannot answer is left out.
Where a peer would first ask the hub for a config, it gets the same config from the question.
"""

import contextlib
import csv
import datetime as dt
import functools
import importlib
import importlib.metadata
import io
import json
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Question = Mapping[str, Any]
MIB = 2**20
ANSWERS = ("peer", "table", "row", "column", "answer")
ASKED = ("peer", "version", "date", "answers", "refused")
CACHES = {"bytes", "kv_total_MiB", "context_MiB"}
FILES = {"size_MiB", "published_GiB"}


# hf-mem


def hf_mem(question: Question) -> float | None:
    """Its experimental estimate of the KV cache; its weights are those of a file's own header, as ours."""
    if question["column"] not in CACHES or question.get("kind") not in {None, "decoder"}:
        return None
    kv_cache = importlib.import_module("hf_mem.safetensors.kv_cache")
    size = kv_cache.compute_safetensors_kv_cache_size(
        question["config"], "BF16", question["tokens"], question["batch"]
    )
    return float(size)


# accelerate


def accelerate(question: Question) -> float | None:
    """`accelerate estimate-memory`: the model's size, and "Training using Adam" for a batch of one."""
    column = question["column"]
    if column == "total":
        return _accelerate_size(json.dumps(question["config"])) / 4  # bytes in FP32
    if column not in {"total_peak_bytes", "peak_mem_per_gpu"} or question.get("rank") is not None:
        return None
    estimate = importlib.import_module("accelerate.commands.estimate")
    precision = "float32" if question["precision"] == "fp32" else "bfloat16"
    sizes = estimate.estimate_training_usage(_accelerate_size(json.dumps(question["config"])), precision)
    return float(max(sizes.values()))


@functools.lru_cache(maxsize=4096)
def _accelerate_size(config: str) -> float:
    """The model without weights as its command builds it, in FP32.

    On PyTorch's meta device: init_empty_weights, which the command takes, makes every tensor for a moment.
    """
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    table = {key: value for key, value in json.loads(config).items() if "dtype" not in key}
    built = transformers.AutoConfig.for_model(**table)
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(built, dtype=torch.float32)
    total, _ = importlib.import_module("accelerate.utils").calculate_maximum_sizes(model)
    return float(total)


# fitcheck-llm


def fitcheck(question: Question) -> float | None:
    """Its dense decoders: parameters, KV cache, and training as its command estimates it."""
    parser = importlib.import_module("fitcheck.config_parser")
    raw = question["config"]
    if raw is None:
        return None
    parser._reject_unsupported(raw, "model")  # noqa: SLF001 - what its reader does with a config of the hub
    fields = parser._parse_fields(raw)  # noqa: SLF001 - as above
    names = ("hidden_size", "num_layers", "num_attention_heads", "num_kv_heads", "intermediate_size")
    more = ("vocab_size", "head_dim", "tie_word_embeddings")
    counted = parser._count_params(fields)  # noqa: SLF001 - as above
    stated = {name: getattr(fields, name) for name in (*names, *more)}
    if question["column"] == "total":
        return float(counted)
    model = parser.ModelConfig(name="model", num_params=question.get("parameters") or counted, **stated)
    if question["column"] in CACHES:
        inference = importlib.import_module("fitcheck.memory.inference")
        found = inference.estimate_inference_memory(model, "bf16", question["tokens"], question["batch"])
        return float(found.kv_cache_mib) * MIB
    return _fitcheck_training(model, question)


def _fitcheck_training(model: Any, question: Question) -> float | None:  # noqa: ANN401 - a peer's own type
    estimator = importlib.import_module("fitcheck.estimator")
    optimizers = {"adamw": "adamw", "adamw_fused": "adamw", "adamw_loop": "adamw", "adamw_8bit": "adam8bit"}
    optimizer = optimizers.get(question.get("optimizer") or "")
    if optimizer is None or "precision" not in question:
        return None
    training = estimator.TrainingConfig(
        precision={"fp32": "fp32"}.get(question["precision"], "bf16"),
        quantization=question.get("quantization") or "none",
        optimizer=optimizer,
        batch_size=question["batch"],
        seq_len=question["sequence"],
        lora_rank=question.get("rank"),
        lora_targets=question.get("targets") or ["q_proj", "v_proj"],
        grad_checkpoint=question["checkpointing"] == "full",
        flash_attn=question["fused"],
    )
    parts = estimator._compute_components(model, training)  # noqa: SLF001 - the sums of its report
    if question["column"] == "activations_live_bytes":
        return float(parts.activation_mib) * MIB
    beside = parts.overhead_mib if question.get("tensors_only") else 0.0
    return float(parts.total_mib - beside) * MIB


# whichllm


def whichllm(question: Question) -> float | None:
    """Bytes per parameter for a file type, and its KV cache per parameter and thousand tokens."""
    types = importlib.import_module("whichllm.models.types")
    count, active = question.get("parameters"), question.get("active")
    if question["column"] in FILES:
        bits = importlib.import_module("whichllm.data.quantization").QUANT_BYTES_PER_WEIGHT
        each = bits.get(question["file_type"])
        return None if each is None or not count else float(count * each)
    if question["column"] not in CACHES or not count or question.get("kind") not in {None, "decoder"}:
        return None
    windows = importlib.import_module("whichllm.models.sliding_window")
    window, ratio = windows._resolve_sliding_window(question.get("config") or {}, "m")  # noqa: SLF001 - as its fetcher
    model = types.ModelInfo(
        id="m",
        family_id="m",
        name="m",
        parameter_count=count,
        parameter_count_active=active,
        is_moe=active is not None and active != count,
        sliding_window=window,
        sliding_window_global_ratio=ratio,
    )
    vram = importlib.import_module("whichllm.engine.vram")
    return float(vram.estimate_kv_cache(model, question["tokens"]) * question["batch"])


# DeepSpeed


def deepspeed(question: Question) -> float | None:
    """estimate_zero2_model_states_mem_needs: weights, gradients and Adam's state, no activations."""
    if question["column"] not in {"total_peak_bytes", "peak_mem_per_gpu"} or question.get("rank") is not None:
        return None
    stage = importlib.import_module("deepspeed.runtime.zero.stage_1_and_2")
    _, on_gpu = stage.estimate_zero2_model_states_mem_needs(
        question["parameters"], num_gpus_per_node=question.get("devices") or 1, cpu_offload=False
    )
    return float(on_gpu)


# llm-analysis


def llm_analysis(question: Question) -> float | None:
    """Parameters, KV cache, activations and the training total of its analysis on one GPU."""
    if question.get("kind") not in {None, "decoder"} or question.get("rank") is not None:
        return None
    if question["column"] in FILES or not question.get("heads"):
        return None
    config = importlib.import_module("llm_analysis.config")
    analysis = importlib.import_module("llm_analysis.analysis")
    model = config.ModelConfig(
        name="model",
        num_layers=question["layers"],
        n_head=question["heads"],
        hidden_dim=question["hidden_size"],
        vocab_size=question.get("vocab_size") or 1,
        max_seq_len=10**9,
        num_key_value_heads=question.get("kv_heads"),
        ffn_embed_dim=question.get("feed_forward"),
        expansion_ratio=(question.get("feed_forward") or 0) / question["hidden_size"] or 4,
        moe_num_experts=question.get("experts") or 1,
        moe_top_k=question.get("experts_per_token") or 1,
    )
    card = config.GPUConfig("card", 1e9, 2000, 300, 0.0, 312)
    bits = 32 if question.get("precision") == "fp32" else 16
    dtype = config.DtypeConfig("bits", bits, bits, bits)
    one = analysis.LLMAnalysis(model, card, dtype, flops_efficiency=0.5, hbm_memory_efficiency=0.6)
    if question["column"] == "total":
        return float(one.get_num_params_total())
    if question["column"] in CACHES:
        return float(
            model.num_layers * one.get_memory_kv_cache_per_layer(question["batch"], question["tokens"])
        )
    full = question["checkpointing"] == "full"
    kinds = analysis.ActivationRecomputation
    found = one.training(
        batch_size_per_gpu=question["batch"],
        seq_len=question["sequence"],
        activation_recomputation=kinds.FULL if full else kinds.NONE,
        flash_attn=question["fused"],
        mlp_gated_linear_units=question["gated"],
        total_num_tokens=1,
    )
    whole = "(weight+op_state+grad+act)_memory_per_gpu"
    activations = question["column"] == "activations_live_bytes"
    return float(found["activation_memory_per_gpu" if activations else whole])


PEERS: dict[str, Callable[[Question], float | None]] = {
    "hf-mem": hf_mem,
    "accelerate": accelerate,
    "fitcheck-llm": fitcheck,
    "whichllm": whichllm,
    "deepspeed": deepspeed,
    "llm-analysis": llm_analysis,
}


def asked(peer: str, questions: list[Question]) -> tuple[list[tuple[str, ...]], int]:
    """The peer's answers as rows of the file, and how many questions it refused."""
    found: list[tuple[str, ...]] = []
    refused = 0
    for question in questions:
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                amount = PEERS[peer](question)
        except Exception:  # noqa: BLE001 - whatever a peer raises, it has no answer
            refused += 1
            continue
        if amount is not None:
            place = (question["table"], str(question["row"]), question["column"])
            found.append((peer, *place, f"{amount / (question.get('unit') or 1):.10g}"))
    return found, refused


def renewed(path: Path, heading: tuple[str, ...], names: list[str], rows: list[tuple[str, ...]]) -> None:
    """Puts the rows of the peers that are named in the place of their earlier ones."""
    kept: list[tuple[str, ...]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            kept = [tuple(row) for row in list(csv.reader(file))[1:] if row[0] not in names]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([heading, *kept, *rows])


def main() -> None:
    """Asks the peers that are named; writes their answers, and beside them who was asked and when."""
    source, folder, *names = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    questions = [json.loads(line) for line in Path(source).read_text("utf-8").splitlines()]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    answers: list[tuple[str, ...]] = []
    who: list[tuple[str, ...]] = []
    for name in names:
        found, refused = asked(name, questions)
        answers += found
        who.append((name, importlib.metadata.version(name), today, str(len(found)), str(refused)))
        print(*who[-1])
    renewed(Path(folder) / "answers.csv", ANSWERS, names, answers)
    renewed(Path(folder) / "asked.csv", ASKED, names, who)


if __name__ == "__main__":
    main()

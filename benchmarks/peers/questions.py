"""Writes the rows of the tables as questions that other planners can be asked, one JSON object a line.

A question states a model's sizes in common words beside its config, so that no peer is measured by which keys
of a config it knows; those that read configs themselves get the config.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.reference import REFERENCE
from llmplanner.check import published_training
from llmplanner.check.answer import Row
from llmplanner.check.cells import count, float_of, switched
from llmplanner.check.lookup import Lookup
from llmplanner.check.row_model import config_of, model
from llmplanner.check.table import read
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Experts, FeedForward, Model
from llmplanner.core.plan import FULL, Lora, Optimizer, Precision
from llmplanner.core.tensors import parameters
from llmplanner.models import config as configs
from llmplanner.models.whatif import sizes

MIB, GIB = 2**20, 2**30
TARGETS = ["q_proj", "k_proj", "v_proj"]  # what the published scripts adapt
OPTIMIZERS = {Optimizer.ADAMW: "adamw", Optimizer.ADAMW_FUSED: "adamw", Optimizer.ADAMW_8BIT: "adamw_8bit"}
Question = dict[str, object]


def described(built: Model, config: dict[str, object] | None) -> Question:
    """A model in common words."""
    blocks = [group.layer.feed_forward for stack in built.stacks for group in stack.groups]
    dense = [block for block in blocks if isinstance(block, FeedForward)]
    experts = [block.expert for block in blocks if isinstance(block, Experts)]
    counted = parameters(built)
    return {
        "config": config,
        "type": built.model_type,
        "kind": built.kind.value,
        "parameters": counted.total,
        "active": counted.active,
        "tied": built.head.tied,
        "gated": any(block.gated for block in (*dense, *experts)),
        "positions": built.context_length,
        **sizes(built),
    }


def of_params(row: Row, models: Lookup) -> Iterator[Question]:
    """The parameters."""
    yield {"column": "total", **named(row["name"], models)}


def of_kv(row: Row, models: Lookup) -> Iterator[Question]:
    """The cache of Transformers in 16 bits."""
    asked = {"tokens": count(row, "tokens"), "batch": count(row, "batch")}
    yield {"column": "bytes", **asked, **named(row["name"], models)}


def of_training(row: Row, _: Lookup) -> Iterator[Question]:
    """Activations and peak of a step."""
    built = replace(model(row), note="")
    step = {
        "batch": count(row, "batch"),
        "sequence": count(row, "seq"),
        "precision": row["precision"],
        "optimizer": row["optimizer"],
        "checkpointing": row["checkpointing"],
        "fused": row["attention"] != "eager",
        "rank": int(row["lora_r"]) if row["lora_r"] else None,
        "targets": row["lora_targets"].split(),
        "tensors_only": True,
    }
    for column in ("activations_live_bytes", "total_peak_bytes"):
        if row[column]:
            yield {"column": column, **step, **described(built, config_of(row))}


def of_quant_sizes(row: Row, models: Lookup) -> Iterator[Question]:
    """The size of a file type in MiB."""
    asked = {"column": "size_MiB", "unit": MIB, "file_type": row["ftype"]}
    yield {**asked, **described(models.model(row["model"]), None)}


def of_published_sizes(row: Row, models: Lookup) -> Iterator[Question]:
    """The size of a published file in GiB."""
    asked = {"column": "published_GiB", "unit": GIB, "file_type": row["ftype"]}
    yield {**asked, **described(models.model(row["model"]), None)}


def of_inference(row: Row, _: Lookup) -> Iterator[Question]:
    """The keys and values that an engine logged in 16 bits, from the sizes that the row states."""
    if row["kv_type_k"] not in {"f16", "bf16", ""} or row["arch"] == "deepseek2":
        return
    heads, width = count(row, "n_head"), count(row, "head_k")
    config = {
        "num_hidden_layers": count(row, "n_layer"),
        "hidden_size": count(row, "n_embd"),
        "num_attention_heads": heads,
        "num_key_value_heads": count(row, "n_head_kv"),
        "head_dim": width,
        "sliding_window": int(row["n_swa"] or 0) or None,
        "intermediate_size": int(row["n_ff"] or 0) or None,
        "vocab_size": int(row["n_vocab"] or 0) or None,
    }
    yield {
        "column": "kv_total_MiB",
        "unit": MIB,
        "config": config,
        "tokens": count(row, "n_ctx"),
        "batch": 1,
        "layers": count(row, "n_layer"),
        "hidden_size": count(row, "n_embd"),
        "heads": heads,
        "kv_heads": count(row, "n_head_kv"),
        "head_dim": width,
        "parameters": round((float_of(row["params_B"]) or 0) * 1e9) or None,
    }


def of_memory(row: Row, models: Lookup) -> Iterator[Question]:
    """llama.cpp's cache in F16."""
    if row["kv_type"] != "f16" or not row["context_MiB"] or switched(row, "swa_full"):
        return
    asked = {"column": "context_MiB", "unit": MIB, "tokens": count(row, "n_ctx"), "batch": 1}
    yield {**asked, **named(row["model"], models)}


def named(name: str, models: Lookup) -> Question:
    """A model that is found by name."""
    path = models.path(name, ".json")
    return described(models.model(name), None if path is None else configs.read(path))


def of_published_training(row: Row, models: Lookup) -> Iterator[Question]:
    """The peak of a published run, in the row's unit."""
    built = published_training.model_of(row, models)
    run = published_training.run_of(row, built)
    step, method = run.train, run.train.method
    lora = method if isinstance(method, Lora) else None
    if lora is None and method != FULL:
        return
    yield {
        "column": "peak_mem_per_gpu",
        "unit": 1 / published_training.unit_of(row, run.split.devices),
        "batch": step.micro_batch,
        "sequence": step.sequence,
        "precision": "fp32" if step.precision is Precision.FP32 else "bf16",
        "optimizer": OPTIMIZERS.get(step.optimizer, ""),
        "checkpointing": step.checkpointing.value,
        "fused": step.attention is not AttentionKernel.EAGER,
        "rank": None if lora is None else lora.rank,
        "targets": None if lora is None else TARGETS,
        "quantization": _quantization(run.weights.name),
        "devices": run.split.devices,
        **described(built, models_config(row, models)),
    }


def _quantization(stored: str) -> str:
    """A base's format in common words."""
    name = stored.lower()
    return "nf4" if name.startswith("nf4") else "other" if "gptq" in name or "int" in name else "none"


def models_config(row: Row, models: Lookup) -> dict[str, object] | None:
    """The config that a row names."""
    path = models.path(row["config"], ".json")
    return None if path is None else configs.read(path)


TABLES: dict[str, Callable[[Row, Lookup], Iterator[Question]]] = {
    "params": of_params,
    "kv": of_kv,
    "training": of_training,
    "llamacpp_quant_sizes": of_quant_sizes,
    "published_quant_sizes": of_published_sizes,
    "measured_inference": of_inference,
    "llamacpp_memory_cpu": of_memory,
    "measured_training": of_published_training,
}


def questions() -> Iterator[Question]:
    """All questions. A row that states too little is left out."""
    models = Lookup(REFERENCE)
    for name, ask in TABLES.items():
        for number, row in enumerate(read(REFERENCE / f"{name}.csv").rows(), 1):
            try:
                found = list(ask(row, models))
            except BadInput:
                continue
            for question in found:
                yield {"table": name, "row": number, **question}


def main() -> None:
    """Writes the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    with parser.parse_args().file.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(question) + "\n" for question in questions())


if __name__ == "__main__":
    main()

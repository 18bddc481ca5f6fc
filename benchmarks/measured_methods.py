"""Counts the bytes of live tensors in a training step by method: frozen layers, LoRA, DoRA, adapters.

Writes tests/data/training_methods.csv, whose README tells the method. It computes nothing and needs no GPU,
but an environment of its own, never the product's: that of measured_serving.py, and peft==0.21.2.

    ../torchenv/bin/python benchmarks/measured_methods.py OUT.csv
"""

# ruff: noqa: ANN401 - the libraries measured are not installed where this is checked
# mypy: disable-error-code="import-not-found,misc"

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from measured_serving import Live, attention, ids
from torch import nn
from torch.nn import functional
from transformers import masking_utils
from transformers.initialization import no_init_weights

Row = dict[str, object]

SIZES: dict[str, dict[str, object]] = {
    "llama": {
        "hidden_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "intermediate_size": 1408,
        "vocab_size": 2048,
    },
    "qwen2": {
        "hidden_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "intermediate_size": 1024,
        "vocab_size": 3000,
        "tie_word_embeddings": True,
    },
    "gpt2": {
        "n_embd": 512,
        "n_layer": 3,
        "n_head": 8,
        "vocab_size": 2048,
        "n_positions": 1024,
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.0,
    },
}
METHODS: tuple[dict[str, object], ...] = (
    {"method": "full"},
    {"method": "full", "frozen_layers": 1},
    {"method": "full", "frozen_layers": 2},
    {"method": "full", "frozen_layers": 3},
    {"method": "lora", "rank": 8, "targets": "all-linear"},
    {"method": "lora", "rank": 8, "targets": "all-linear", "embeddings": True},
    {"method": "dora", "rank": 8, "targets": "all-linear"},
    {"method": "dora", "rank": 16, "targets": "all-linear", "dropout": 0.1},
    {"method": "adapters", "width": 32},
)
WHOLE = 3  # layers of two of the models
RUNS = (("eager", 256, 2), ("sdpa", 256, 2), ("sdpa", 768, 1))
COLUMNS = (
    *("model_type", "config", "method", "frozen_layers", "rank", "dropout", "embeddings", "width"),
    *("attention", "checkpointing", "sequence", "batch", "trained", "weights_bytes", "gradients_bytes"),
    *("kept_bytes", "forward_peak_bytes", "backward_peak_bytes"),
)


class Bottleneck(nn.Module):
    """An adapter as Houlsby et al. 2019 draw it."""

    def __init__(self, width: int, inner: int, dtype: Any) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner, dtype=dtype)
        self.up = nn.Linear(inner, width, dtype=dtype)

    def forward(self, x: Any) -> Any:
        """What it makes of x, added to x."""
        return x + self.up(functional.gelu(self.down(x)))


def build(kind: str, kernel: str, method: dict[str, object], *, again: bool) -> Any:
    """The model in training, on the meta device in BF16, with what the method adds and freezes."""
    config = transformers.AutoConfig.for_model(kind, **SIZES[kind])
    make = transformers.AutoModelForCausalLM.from_config
    with no_init_weights(), torch.device("meta"):
        model = make(config, dtype=torch.bfloat16, attn_implementation=kernel)
        model.tie_weights()
        if again:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if method["method"] in {"lora", "dora"}:
            saved = ["embed_tokens", "wte", "lm_head"] if method.get("embeddings") else None
            model = peft.get_peft_model(
                model,
                peft.LoraConfig(
                    r=method["rank"],
                    target_modules=method["targets"],
                    lora_dropout=method.get("dropout", 0.0),
                    use_dora=method["method"] == "dora",
                    modules_to_save=saved,
                    task_type="CAUSAL_LM",
                ),
            )
        elif method["method"] == "adapters":
            _bottlenecks(model, int(str(method["width"])))
        else:
            _freeze(model, int(str(method.get("frozen_layers", 0))))
    return model.train()


def _layers(model: Any) -> Any:
    return model.transformer.h if hasattr(model, "transformer") else model.model.layers


def _freeze(model: Any, count: int) -> None:
    frozen = [*_layers(model)[:count]]
    if count:
        frozen.append(model.get_input_embeddings())
        frozen.extend([model.transformer.wpe] if hasattr(model, "transformer") else [])
    for module in frozen:
        module.requires_grad_(False)


def _bottlenecks(model: Any, width: int) -> None:
    model.requires_grad_(False)
    for layer in _layers(model):
        ends = (
            (layer.attn.resid_dropout, layer.mlp.dropout)
            if hasattr(layer, "attn")
            else (layer.self_attn.o_proj, layer.mlp.down_proj)
        )
        for end in ends:
            added = Bottleneck(model.config.hidden_size, width, torch.bfloat16)
            layer.register_module(f"adapter_{id(end)}", added)
            end.register_forward_hook(lambda _, __, out, added=added: added(out))


def measure(kind: str, method: dict[str, object], run: tuple[str, int, int], *, again: bool) -> Row:
    """One row."""
    kernel, tokens, batch = run
    model = build(kind, kernel, method, again=again)
    model.config.use_cache = False
    entering = ids(batch, tokens)
    parameters = [*model.parameters()]
    with Live([*parameters, *model.buffers(), entering]) as live:
        loss = model(input_ids=entering, labels=entering).loss
        kept, forward = live.live, live.peak
        live.restart()
        loss.backward()
        backward = live.peak
    gradients = [each.grad for each in parameters if each.grad is not None]
    weights = {id(each.untyped_storage()): each.untyped_storage().nbytes() for each in parameters}
    told = {name: value for name, value in method.items() if name != "targets"}
    return {
        "model_type": kind,
        "config": json.dumps(SIZES[kind]),
        **told,
        "attention": kernel,
        "checkpointing": "full" if again else "none",
        "sequence": tokens,
        "batch": batch,
        "trained": sum(each.numel() for each in gradients),
        "weights_bytes": sum(weights.values()),
        "gradients_bytes": sum(each.untyped_storage().nbytes() for each in gradients),
        "kept_bytes": kept,
        "forward_peak_bytes": forward,
        "backward_peak_bytes": backward,
    }


def dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """As on a GPU: with a mask of bools."""
    del inplace
    return torch.native_dropout(x, p, training)[0] if p else x


def rows() -> Iterator[Row]:
    """All of them."""
    for kind in SIZES:
        for method in METHODS:
            for run in RUNS:
                yield measure(kind, method, run, again=False)
            if method.get("frozen_layers") != WHOLE:  # then nothing is computed again
                yield measure(kind, method, RUNS[1], again=True)


def main() -> None:
    """Measures into the file named on the command line."""
    functional.scaled_dot_product_attention = attention
    functional.dropout = dropout
    masking_utils.find_packed_sequence_indices = lambda _: None  # one text a sequence
    masking_utils.fast_all = lambda _: True  # no token is padding
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows())


if __name__ == "__main__":
    main()

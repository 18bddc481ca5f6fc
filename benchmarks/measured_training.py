"""Counts the bytes that autograd keeps of Transformers' forward passes; computes nothing and needs no GPU.

Writes the rows of tests/data/training_kept.csv, whose README tells the method. It needs an environment of its
own, never the product's: that of measured_serving.py.

    ../torchenv/bin/python benchmarks/measured_training.py OUT.csv CONFIG.json [CONFIG.json ...]
"""

# ruff: noqa: ANN401 - the libraries measured are not installed where this is checked
# mypy: disable-error-code="import-not-found"

import csv
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from measured_serving import attention, cut, ids
from torch.autograd import graph
from torch.nn import functional
from transformers import masking_utils
from transformers.initialization import no_init_weights
from transformers.integrations import moe

Row = dict[str, object]

COLUMNS = ("model", "layers", "attention", "sequence", "batch", "kept_bytes")
SIZES = ((256, 2), (1024, 1))  # tokens, sequences


def build(config: dict[str, Any], kernel: str) -> Any:
    """The model that a config names, in training, on the meta device in BF16."""
    kind = config.pop("model_type")
    read = transformers.AutoConfig.for_model(kind, **config)
    make = transformers.AutoModelForCausalLM.from_config
    with no_init_weights(), torch.device("meta"):
        return make(read, dtype=torch.bfloat16, attn_implementation=kernel).train()


def kept(model: Any, tokens: int, batch: int) -> int:
    """Bytes of the storages that the forward pass saves: no parameters, no buffers, no token numbers."""
    entering = ids(batch, tokens)
    known = {id(each.untyped_storage()) for each in (*model.parameters(), *model.buffers(), entering)}
    saved = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if id(storage) not in known:
            saved[id(storage)] = storage
        return tensor

    more = {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}
    with graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = model(input_ids=entering, **more)
    assert out.logits is not None  # noqa: S101 - what is saved lives as long as this
    return sum(storage.nbytes() for storage in saved.values())


def measure(path: Path) -> Iterator[Row]:
    """The rows of one config, by each kernel that its class has."""
    config = cut(json.loads(path.read_text(encoding="utf-8")))
    for kernel in ("eager", "sdpa"):
        try:
            model = build(dict(config), kernel)
        except ValueError:  # the class has no fused attention
            continue
        for tokens, batch in SIZES:
            shape = {"attention": kernel, "sequence": tokens, "batch": batch}
            layers = model.config.num_hidden_layers
            yield {"model": path.stem, "layers": layers, **shape, "kept_bytes": kept(model, tokens, batch)}


def main() -> None:
    """Measures the configs named on the command line."""
    functional.scaled_dot_product_attention = attention
    masking_utils.find_packed_sequence_indices = lambda _: None  # one text a sequence
    masking_utils.fast_all = lambda _: True  # no token is padding
    moe._can_use_grouped_mm = lambda *_: True  # noqa: SLF001 - as on a GPU
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        for name in sys.argv[2:]:
            table.writerows(measure(Path(name)))


if __name__ == "__main__":
    main()

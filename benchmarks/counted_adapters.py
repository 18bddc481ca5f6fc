"""Counts what PEFT trains of Transformers' models by LoRA on every linear, on the meta device.

Writes tests/data/lora_trained.csv, whose README tells the method. It needs the environment of
measured_methods.py.

    ../torchenv/bin/python benchmarks/counted_adapters.py OUT.csv CONFIG.json [CONFIG.json ...]
"""

# mypy: disable-error-code="import-not-found"

import csv
import json
import sys
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from transformers.initialization import no_init_weights

RANK = 8
MOST_LAYERS = 8
DEPTHS = (
    *("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers", "encoder_layers"),
    "decoder_layers",
)
KINDS = (  # the first that knows a type
    *("AutoModelForSpeechSeq2Seq", "AutoModelForSeq2SeqLM", "AutoModelForCausalLM"),
    *("AutoModelForMaskedLM", "AutoModel"),
)


def build(config: dict[str, Any]) -> Any:  # noqa: ANN401 - the libraries are not installed where this is checked
    """The class that a config names, of no more than eight layers."""
    for name in DEPTHS:
        if isinstance(config.get(name), int):
            config[name] = min(config[name], MOST_LAYERS)
    if isinstance(config.get("layer_types"), list):
        config["layer_types"] = config["layer_types"][:MOST_LAYERS]
    kind, named = config.pop("model_type"), config.get("architectures")
    config.pop("quantization_config", None)
    read = transformers.AutoConfig.for_model(kind, **config)
    with no_init_weights(), torch.device("meta"):
        if named:
            return getattr(transformers, named[0])(read)
        for name in KINDS:
            try:
                return getattr(transformers, name).from_config(read)
            except ValueError:
                continue
    raise ValueError(kind)


def main() -> None:
    """Counts the configs named on the command line."""
    with Path(sys.argv[1]).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("name", "model_type", "trained"))
        for path in sorted(map(Path, sys.argv[2:])):
            config = json.loads(path.read_text(encoding="utf-8"))
            kind, model = config["model_type"], build(config)
            model.tie_weights()
            try:
                with torch.device("meta"):
                    adapted = peft.get_peft_model(model, peft.LoraConfig(r=RANK, target_modules="all-linear"))
            except ValueError:  # PEFT adapts no Mamba in this way
                continue
            trained = sum(each.numel() for each in adapted.parameters() if each.requires_grad)
            table.writerow((path.stem, kind, trained))


if __name__ == "__main__":
    main()

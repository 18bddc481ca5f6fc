"""Starts another planner's own command from cold: python cold.py PEER CONFIG.json.

Runs in an environment that holds the peer. What the peer would ask the hub is answered from memory, so it is
timed without the network: as fast as it can be.
"""

import importlib
import json
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NAME = "owner/model"
CONTEXT = 32_768


class Response:
    """What the hub would send."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def raise_for_status(self) -> None:
        """It is always there."""

    def json(self) -> Any:  # noqa: ANN401 - whatever the file holds
        """The file as a table."""
        return json.loads(self._content)

    def read(self) -> bytes:
        """The file."""
        return self._content


def hf_mem(path: Path) -> None:
    """`hf-mem --model-id owner/model --experimental --max-model-len 32768`."""
    client = importlib.import_module("httpx2").AsyncClient
    config = json.loads(path.read_text("utf-8"))
    files = [{"path": name, "type": "file"} for name in ("config.json", "model.safetensors")]
    header = json.dumps(_tensors(config)).encode()
    kept = {
        "tree": json.dumps(files).encode(),
        "config.json": json.dumps(config).encode(),
        "model.safetensors": struct.pack("<Q", len(header)) + header,
    }

    async def get(_: object, url: str, **__: object) -> Response:
        return Response(next(content for name, content in kept.items() if name in url))

    client.get = get
    sys.argv = ["hf-mem", "--model-id", NAME, "--experimental", "--max-model-len", str(CONTEXT)]
    importlib.import_module("hf_mem.cli").main()


def _tensors(config: dict[str, Any]) -> dict[str, object]:
    """The header of the model's one file, as large as a published one's."""
    hidden, width = config["hidden_size"], config["intermediate_size"]
    narrow = hidden * config["num_key_value_heads"] // config["num_attention_heads"]
    parts = {
        "self_attn.q_proj": [hidden, hidden],
        "self_attn.k_proj": [narrow, hidden],
        "self_attn.v_proj": [narrow, hidden],
        "self_attn.o_proj": [hidden, hidden],
        "mlp.gate_proj": [width, hidden],
        "mlp.up_proj": [width, hidden],
        "mlp.down_proj": [hidden, width],
        "input_layernorm": [hidden],
        "post_attention_layernorm": [hidden],
    }
    shapes = {
        f"model.layers.{layer}.{name}.weight": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in parts.items()
    }
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        shapes[name] = [config["vocab_size"], hidden]
    return {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}


def accelerate(path: Path) -> None:
    """`accelerate estimate-memory owner/model`, in BF16."""
    estimate = importlib.import_module("accelerate.commands.estimate")
    config = json.loads(path.read_text("utf-8"))
    known = importlib.import_module("transformers").AutoConfig.for_model(**config)
    vars(estimate).update(
        verify_on_hub=lambda *_: SimpleNamespace(config=config, library_name="transformers"),
        AutoConfig=SimpleNamespace(from_pretrained=lambda *_, **__: known),
    )
    sys.argv = ["accelerate-estimate", NAME, "--dtypes", "float16"]
    estimate.main()


def llm_analysis(path: Path) -> None:
    """`python -m llm_analysis.analysis infer --model_name FILE --seq_len 32768`."""
    analysis = importlib.import_module("llm_analysis.analysis")
    config = json.loads(path.read_text("utf-8"))
    stated = {
        "name": "model",
        "num_layers": config["num_hidden_layers"],
        "n_head": config["num_attention_heads"],
        "hidden_dim": config["hidden_size"],
        "vocab_size": config["vocab_size"],
        "num_key_value_heads": config["num_key_value_heads"],
        "ffn_embed_dim": config["intermediate_size"],
        "expansion_ratio": config["intermediate_size"] / config["hidden_size"],
        "max_seq_len": 2 * CONTEXT,
    }
    configs = importlib.import_module("llm_analysis.config")
    configs.model_configs["model"] = configs.ModelConfig(**stated)
    analysis.infer(
        model_name="model", seq_len=CONTEXT, num_tokens_to_generate=1, gpu_name="a100-sxm-80gb",
        flops_efficiency=0.5, hbm_memory_efficiency=0.6,
    )  # fmt: skip


COMMANDS = {"hf-mem": hf_mem, "accelerate": accelerate, "llm-analysis": llm_analysis}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](Path(sys.argv[2]))

"""Counts the bytes of live tensors in Transformers' forward passes; computes nothing and needs no GPU.

Writes the rows of tests/data/serving_activations.csv, whose README tells the method. It needs an environment
of its own, never the product's:

    python3 -m venv ../torchenv
    ../torchenv/bin/pip install torch==2.13.0 transformers==5.23.0
    ../torchenv/bin/python benchmarks/measured_serving.py OUT.csv CONFIG.json [CONFIG.json ...]

With --eager attention is written out, with --static the cache is allocated whole: the rows of
serving_eager.csv and serving_static.csv.
"""

# ruff: noqa: ANN401, SLF001 - the libraries measured are not installed where this is checked, and are looked into
# mypy: disable-error-code="import-not-found,misc"

import argparse
import csv
import inspect
import json
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import DynamicCache, EncoderDecoderCache, StaticCache, masking_utils
from transformers.generation import logits_process
from transformers.initialization import no_init_weights
from transformers.integrations import moe

Row = dict[str, object]

SIZES = ((128, 1), (1024, 1), (1024, 4), (4096, 1), (4096, 4))  # tokens, batch
ENCODER_SIZES = ((128, 1), (256, 1), (512, 1), (512, 4))  # BERT's positions end at 512
DEPTHS = (
    "num_hidden_layers",
    "n_layer",
    "num_layers",
    "num_decoder_layers",
    "encoder_layers",
    "decoder_layers",
)
LAYERS = {  # enough for layers of every kind; two for the others
    "gemma2": 4,
    "gemma3_text": 8,
    "cohere2": 4,
    "olmo3": 4,
    "smollm3": 4,
}
ENCODERS, ENCODER_DECODERS = ("bert", "roberta"), ("t5", "bart")
COLUMNS = (
    "model",
    "model_type",
    "layers",
    "attention",
    "phase",
    "batch",
    "prompt_tokens",
    "context_tokens",
    "layers_peak_bytes",
    "kv_cache_bytes",
    "activations_bytes",
    "logits_bytes",
    "sampling_bytes",
    "peak_op",
)
HEADS = ("lm_head", "cls", "embed_out")
FLASH_WIDTH = 256  # the widest head that the flash kernel takes
ALIGNMENT = 16  # elements, of a mask's rows in the memory-efficient kernel


def attention(  # noqa: PLR0913, PLR0917 - PyTorch's own signature
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """The kernel that PyTorch takes on a GPU: flash, or memory-efficient where a mask or widths ask it."""
    if attn_mask is None and query.shape[-1] == value.shape[-1] <= FLASH_WIDTH:
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        return flash(query, key, value, dropout_p, is_causal, scale=scale)[0]
    if enable_gqa:
        raise NotImplementedError("The memory-efficient kernel takes no grouped queries.")
    efficient = torch.ops.aten._scaled_dot_product_efficient_attention
    mask = None if attn_mask is None else additive(attn_mask, query, key)
    return efficient(query, key, value, mask, False, dropout_p, is_causal, scale=scale)[0]


def additive(mask: Any, query: Any, key: Any) -> Any:
    """A mask as the kernel reads it: in the queries' format, its rows aligned, for every head."""
    if mask.dtype == torch.bool:
        empty = torch.full((), -torch.inf, dtype=query.dtype, device=query.device)
        mask = torch.where(mask, torch.zeros((), dtype=query.dtype, device=query.device), empty)
    tokens = mask.shape[-1]
    if tokens % ALIGNMENT:
        mask = functional.pad(mask, (0, ALIGNMENT - tokens % ALIGNMENT))[..., :tokens]
    return mask.expand(*query.shape[:3], key.shape[2])


class Live(TorchDispatchMode):
    """Counts every storage that an operation creates until it is freed."""

    def __init__(self, known: Iterable[Any]) -> None:
        super().__init__()
        self.live, self.peak, self.at = 0, 0, ""
        self._held: dict[int, object] = {id(each.untyped_storage()): each.untyped_storage() for each in known}

    def restart(self) -> None:
        """The peak begins anew from what is live."""
        self.peak, self.at = self.live, ""

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "meta":
                self._count(tensor.untyped_storage())
        if self.live > self.peak:
            self.peak, self.at = self.live, str(func)
        return out

    def _count(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._held:
            return

        def freed(_: object) -> None:
            self.live -= size
            del self._held[key]

        self._held[key] = weakref.ref(storage, freed)
        self.live += size


class Measured:
    """One model and what its passes hold."""

    def __init__(self, model: Any, live: Live) -> None:
        self._model, self._live = model, live
        for name, module in model.named_children():
            if name in HEADS:
                module.register_forward_pre_hook(lambda *_: self._layers_done())
        self._layers: tuple[int, str] | None = None
        self._at_head = 0

    def __call__(self, **inputs: Any) -> Row:
        """One pass: its peak before the output head, and what the logits took."""
        self._layers = None
        self._live.restart()
        out = self._model(**inputs)
        peak, at = self._layers or (self._live.peak, self._live.at)
        row: Row = {"layers_peak_bytes": peak, "peak_op": at}
        if "past_key_values" in inputs:
            tokens = next(each for name, each in inputs.items() if name.endswith("input_ids"))
            row |= self._answered(out, tokens)
        return row

    def _layers_done(self) -> None:
        self._layers = (self._live.peak, self._live.at)
        self._live.restart()
        self._at_head = self._live.live

    def _answered(self, out: Any, tokens: Any) -> Row:
        """The logits' copy as `generate` makes it, then a token sampled from it."""
        scores = out.logits[:, -1].to(copy=True, dtype=torch.float32)
        row: Row = {"logits_bytes": self._live.peak - self._at_head}
        self._live.restart()
        chosen = scores
        for warper in (
            logits_process.TemperatureLogitsWarper(0.7),
            logits_process.TopKLogitsWarper(50),
            logits_process.TopPLogitsWarper(0.9),
        ):
            chosen = warper(tokens, chosen)
        torch.multinomial(functional.softmax(chosen, -1), 1)
        return row | {"sampling_bytes": self._live.peak - self._at_head}


def cut(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with few layers."""
    layers = LAYERS.get(config["model_type"], 2)
    shallow = dict(config) | {key: layers for key in DEPTHS if key in config}
    if config["model_type"] == "deepseek_v3":
        shallow["first_k_dense_replace"] = 1
    if "layer_types" in config:
        shallow["layer_types"] = config["layer_types"][:layers]
    return shallow


def build(config: dict[str, Any], kernel: str | None) -> Any:
    """The model that a config names, on the meta device in BF16. `kernel`: its attention; None: free."""
    kind = config.pop("model_type")
    read = transformers.AutoConfig.for_model(kind, **config)
    auto = transformers.AutoModelForCausalLM
    if kind in ENCODERS:
        auto = transformers.AutoModelForMaskedLM
    if kind in ENCODER_DECODERS:
        auto = transformers.AutoModelForSeq2SeqLM
    named = (config.get("architectures") or [None])[0]
    make = getattr(transformers, named)._from_config if named else auto.from_config
    with no_init_weights(), torch.device("meta"):
        return make(read, dtype=torch.bfloat16, attn_implementation=kernel).eval()


def cache_bytes(cache: Any) -> int:
    """Bytes of a cache's tensors."""
    if isinstance(cache, EncoderDecoderCache):
        return cache_bytes(cache.self_attention_cache) + cache_bytes(cache.cross_attention_cache)
    return sum(
        tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values) if tensor is not None
    )


def ids(batch: int, tokens: int) -> Any:
    """Token numbers, of which only the shape counts."""
    return torch.zeros((batch, tokens), dtype=torch.long, device="meta")


def decoder(model: Any, live: Live, tokens: int, batch: int) -> Iterator[Row]:
    """The prompt in one pass; then, after another prompt, the second token of the answer."""
    more: dict[str, object] = {"use_cache": True}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        more["logits_to_keep"] = 1
    step = Measured(model, live)
    for phase, steps in (("prefill", (tokens,)), ("decode", (tokens - 2, 1, 1))):
        static = getattr(model, "static", False)
        cache: Any = StaticCache(model.config, tokens) if static else DynamicCache(config=model.config)
        row: Row = {}
        for new in steps:
            row = step(input_ids=ids(batch, new), past_key_values=cache, **more)
        if phase == "prefill":
            row |= {"logits_bytes": "", "sampling_bytes": ""}
        held = cache_bytes(cache)
        yield {"phase": phase, "context_tokens": tokens, "kv_cache_bytes": held, **row}


def encoder_decoder(model: Any, live: Live, tokens: int, batch: int) -> Iterator[Row]:
    """The encoder's pass; then the fourth token of the answer."""
    live.restart()
    encoded = model.get_encoder()(input_ids=ids(batch, tokens))
    peak = {"layers_peak_bytes": live.peak, "peak_op": live.at}
    yield {"phase": "prefill", "context_tokens": tokens, "kv_cache_bytes": 0, **peak}
    cache = EncoderDecoderCache(DynamicCache(config=model.config), DynamicCache(config=model.config))
    step, row = Measured(model, live), {}
    for _ in range(4):
        row = step(decoder_input_ids=ids(batch, 1), encoder_outputs=encoded, past_key_values=cache)
    yield {"phase": "decode", "context_tokens": 4, "kv_cache_bytes": cache_bytes(cache), **row}


def encoder(model: Any, live: Live, tokens: int, batch: int) -> Iterator[Row]:
    """One pass of an encoder."""
    row = Measured(model, live)(input_ids=ids(batch, tokens))
    yield {"phase": "forward", "context_tokens": tokens, "kv_cache_bytes": 0, **row}


def measure(path: Path, kernel: str | None, *, static: bool) -> Iterator[Row]:
    """The rows of one config."""
    config = cut(json.loads(path.read_text(encoding="utf-8")))
    kind = config["model_type"]
    passes = encoder if kind in ENCODERS else encoder_decoder if kind in ENCODER_DECODERS else decoder
    for tokens, batch in ENCODER_SIZES if kind in ENCODERS else SIZES:
        model = build(dict(config), kernel)
        model.static = static
        live = Live([*model.parameters(), *model.buffers()])
        built = {"layers": model.config.num_hidden_layers, "attention": model.config._attn_implementation}
        with torch.no_grad(), live:
            for row in passes(model, live, tokens, batch):
                held = int(str(row["layers_peak_bytes"])) - int(str(row["kv_cache_bytes"]))
                shape = {"batch": batch, "prompt_tokens": tokens, "activations_bytes": held}
                yield {"model": path.stem, "model_type": kind, **built, **shape, **row}


def main() -> None:
    """Measures the configs named on the command line."""
    functional.scaled_dot_product_attention = attention
    masking_utils.fast_all = lambda _: True  # no token is padding
    moe._can_use_grouped_mm = lambda *_: True
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("configs", type=Path, nargs="+")
    parser.add_argument("--eager", action="store_true")
    parser.add_argument("--static", action="store_true")
    asked = parser.parse_args()
    with asked.out.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        for path in asked.configs:
            table.writerows(measure(path, "eager" if asked.eager else None, static=asked.static))


if __name__ == "__main__":
    main()

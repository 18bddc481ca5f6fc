"""The compute buffers that llama.cpp or its fork ik_llama.cpp logged on CUDA devices.

A row is one of measured_inference.csv. Columns of their own may say what the log does not fit in those: the
fork's options mla, amb and fmoe, who computes the experts that lie on the host (experts: host, card) and the
date of the release. Without them what has latent attention or experts on the host is not answered.
Source: ikawrakow/ik_llama.cpp, src/llama.cpp and ggml/src/ggml-cuda.cu (offload_op).
"""

import re
from dataclasses import dataclass, replace
from functools import cache

from llmplanner.check.answer import Row
from llmplanner.check.cells import count, float_of, whole
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device
from llmplanner.core.model import Experts, LatentAttention, Model
from llmplanner.core.plan import Weights
from llmplanner.core.recipes import RECIPES, stored_as
from llmplanner.core.serving.llamacpp import cells, compute, weights
from llmplanner.core.serving.llamacpp.batch import Fork
from llmplanner.core.serving.llamacpp.placement import HOST, Placement, placed
from llmplanner.models import catalogue
from llmplanner.models.config import from_config

MIB = 2**20
CARD = Device("a card", 24 * 2**30, 24 * 2**30)
FLASH = {"1": True, "on": True, "auto": True, "0": False, "off": False}
NAMES = {  # what rows call models of the catalogue
    "models": "qwen3-235b-a22b",
    "qwen3-235b-a22b-128k": "qwen3-235b-a22b",
    "meta_llama_3.1_8b_it": "llama-3.1-8b",
    "gemma-3-27b-it-qat": "gemma-3-27b-text",
    "gemma-3-27b-it": "gemma-3-27b-text",
    "deepseek-v3-0324": "deepseek-v3",
    "command-r-35b-(no-gqa)": "command-r-35b",
}
LIKE: dict[tuple[object, ...], str] = {  # by architecture and sizes, whatever the row calls it
    ("deepseek2", 61, 7168, 256, 129280): "deepseek-v3",
    ("llama", 40, 5120, 0, 32000): "llama-2-13b",
}  # layers, width, experts, vocabulary
DENSE = {  # the model_type of architectures whose sizes say all
    "command-r": "cohere", "glm4": "glm4", "granite": "granite", "internlm2": "internlm2", "llama": "llama",
    "olmo2": "olmo2", "qwen2": "qwen2", "qwen3": "qwen3", "seed_oss": "seed_oss", "smollm3": "smollm3",
}  # fmt: skip
SIZES = {
    "n_layer": "num_hidden_layers", "n_embd": "hidden_size", "n_head": "num_attention_heads",
    "n_head_kv": "num_key_value_heads", "head_k": "head_dim", "n_vocab": "vocab_size",
    "n_ff": "intermediate_size",
}  # fmt: skip
OFTEN = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")  # file types that people take
NEWER = 5800  # llama.cpp's build of the end of June 2025
SLICED = "2025-03-17"  # from when on the fork expands the latent in slices
OUTPUT_FIRST = 7000  # from about this build on, -ngl counts the output first
BATCH = 2048  # tokens of a logical batch, unless said


@dataclass(frozen=True, slots=True)
class Buffered:
    """What one card's buffer is predicted to be, in bytes."""

    low: int
    bytes: int
    high: int


def compute_buffers(row: Row) -> dict[str, Buffered]:
    """By the CUDA devices that the row names. Raises BadInput where what decides is not stated."""
    named = _cards(row)
    if "llama.cpp" not in row["engine"]:
        raise BadInput("Only llama.cpp's buffers are told by device.", "engine")
    model = _model(row)
    if row.get("experts") == "moved":
        raise BadInput("The row does not state which tensors -ot put on which card.", "experts")
    layers, experts = _offloaded(row), _experts_on_host(row, model)
    fork = _fork(row, model, experts=bool(experts))
    if fork is not None and layers is not None and experts:
        raise BadInput("What the fork copies of layers on the host is not known.", "offloaded")
    engine = LlamaCpp(
        ubatch=count(row, "n_ubatch"),
        flash_attention=FLASH.get(row["flash_attn"].lower(), False),
        swa_full=True,  # none had caches for windows yet
        gpu_layers=layers,
        cpu_experts=experts,
        tensor_split=_shares(row, named),
    )
    held = weights.stored(model, _stored(row, model))
    keys = cache_format_named(row["kv_type_k"] or "f16")
    values = cache_format_named(row.get("kv_type_v", "") or row["kv_type_k"] or "f16")
    sizes = cells.of_options(count(row, "n_ctx"), 1, engine, whole(row, "n_batch", least=1) or BATCH)
    expanded = fork is not None and fork.latent == 0
    where = _placed(row, len(held.layers), engine, len(named))
    run = compute.Runs(
        model, sizes, engine, keys, values, expanded, _older(row), fork, _by_name(row, model, held, where)
    )
    found = {}
    for place, name in enumerate(named):
        if name in logged(row):
            one = compute.on_device(run, held, where, place, cards=len(named))
            found[name] = Buffered(int(one.low), int(one.bytes), int(one.high))
    return found


def _cards(row: Row) -> tuple[str, ...]:
    """The devices that keep keys and values or compute, in order."""
    names = {*logged(row), *_cuda(row.get("kv_buffers_MiB", ""))}
    return tuple(sorted(names, key=lambda name: int(name.removeprefix("CUDA"))))


def logged(row: Row) -> dict[str, float]:
    """MiB of the CUDA devices that the row names, such as CUDA0=522.62; CUDA_Host=138.51."""
    return _cuda(row.get("compute_buffers_MiB", ""))


def _fork(row: Row, model: Model, *, experts: bool) -> Fork | None:
    """The fork's options; None for llama.cpp itself. Raises BadInput."""
    if not row["engine"].startswith("ik") and not whole(row, "mla"):
        return None
    latent = any(isinstance(g.layer.attention, LatentAttention) for s in model.stacks for g in s.groups)
    stated = row.get("amb", "") != "" and row.get("fmoe", "") != ""
    if latent and not stated:
        raise BadInput("The row does not state -amb, which bounds what latent attention expands.", "amb")
    if experts and not row.get("experts"):
        raise BadInput(
            "The row does not state whether experts were repacked (-rtr), so that the host computes them.",
            "experts",
        )
    return Fork(
        whole(row, "mla") or 0,
        (row.get("date") or SLICED) < SLICED,
        whole(row, "amb") or 0,
        fused_experts=row.get("fmoe") == "1",
        repacked=row.get("experts") == "host",
    )


def _older(row: Row) -> bool:
    """Whether the release is of the first half of 2025 or before, as all are but those numbered higher."""
    return _build(row) < NEWER


def _build(row: Row) -> int:
    """The number of the release; 0 for those that have none, all from 2025 or before."""
    build = re.match(r"b(\d+)", row["engine_ver"])
    return int(build.group(1)) if build else 0


def _stored(row: Row, model: Model) -> Weights:
    """How the row's file holds the weights: as it says, else the file type whose size is nearest."""
    kind = (row.get("file") or row["quant"].split(" ")[0]).lower()
    if kind in {"f16", "bf16"}:
        return FP16
    if kind in RECIPES:
        return stored_as(model, kind)
    stated = (float_of(row["model_size"].split(" ")[0]) or 0.0) * 2**10
    size = (stated or sum(_sizes(row["model_buffers_MiB"]).values())) * MIB
    return min((stored_as(model, name) for name in OFTEN), key=lambda one: abs(one.bytes - size))


def _model(row: Row) -> Model:
    """The model that a row names. Raises BadInput."""
    name = row["model"].lower().replace(" ", "-")
    sizes = (whole(row, column) or 0 for column in ("n_layer", "n_embd", "n_expert", "n_vocab"))
    name = LIKE.get((row.get("arch", ""), *sizes)) or NAMES.get(name, name)
    return _of_catalogue(name) if catalogue.knows(name) else _of_sizes(row)


def _of_sizes(row: Row) -> Model:
    """A dense model of which the row states all sizes. Raises BadInput."""
    kind, mixture = DENSE.get(row.get("arch", "")), whole(row, "n_expert")
    if kind is None or mixture or not all(row.get(column) for column in SIZES):
        raise BadInput("The catalogue has no such model, and the row does not state all its sizes.", "model")
    sizes = {key: count(row, column) for column, key in SIZES.items()}
    return from_config({"model_type": kind, **sizes}, row["model"], "the row")


@cache
def _of_catalogue(name: str) -> Model:
    return catalogue.model(name)


def _shares(row: Row, named: tuple[str, ...]) -> tuple[float, ...] | None:
    """How the cards share the layers, by the keys and values that lie on each."""
    kept = _cuda(row.get("kv_buffers_MiB", ""))
    shares = tuple(kept.get(name, 0.0) for name in named)
    return shares if len(shares) > 1 and all(shares) else None


def _placed(row: Row, layers: int, engine: LlamaCpp, cards: int) -> Placement:
    """Where layers and output go. In 2025 and before, the output went to a card after all layers."""
    taken = engine.gpu_layers
    if taken is None or _build(row) >= OUTPUT_FIRST:
        return placed(layers, engine, (CARD,) * cards)
    beside = placed(layers, replace(engine, gpu_layers=taken + 1), (CARD,) * cards)
    return replace(beside, output=HOST) if taken <= layers else beside


def _offloaded(row: Row) -> int | None:
    """Layers on the GPU; None for all."""
    stated = re.match(r"(\d+) layers|(\d+)/(\d+)$", row["offloaded"])
    if stated is None or (stated.group(2) and stated.group(2) == stated.group(3)):
        return None
    return int(stated.group(1) or stated.group(2))


def _experts_on_host(row: Row, model: Model) -> int:
    """The layers that the row names, else all of a mixture that lies on the host for the most part."""
    stated = re.search(r"(\d+) with experts on CPU", row["offloaded"])
    if stated:
        return int(stated.group(1))
    on_gpu, everywhere = _cuda(row["model_buffers_MiB"]), _sizes(row["model_buffers_MiB"])
    mixture = any(isinstance(g.layer.feed_forward, Experts) for s in model.stacks for g in s.groups)
    return model.layers if mixture and sum(on_gpu.values()) < sum(everywhere.values()) / 2 else 0


def _by_name(row: Row, model: Model, held: weights.Stored, where: Placement) -> frozenset[int] | None:
    """The layers whose experts are left on the host where the cards hold those of some: of each, the first.

    A card holds as many as there is room for in what it holds beyond its layers' other weights at 8.5 bits.
    """
    if "experts on CPU" in row["offloaded"] or not _experts_on_host(row, model) or HOST in where.layers:
        return None
    other = weights.stored(model, stored_as(model, "q8_0"))
    on_cards = re.findall(r"CUDA(\d+)=([\d.]+)", row["model_buffers_MiB"])
    room = {int(card): float(size) * MIB for card, size in on_cards}  # of several logs in a row, the last
    bare = set(range(len(where.layers)))
    for card, size in room.items():
        own = where.on(card)
        left = (
            size - sum(other.layers[layer] for layer in own) - (other.output if where.output == card else 0)
        )
        for layer in own:
            left -= held.experts[layer]
            if left < 0:
                break
            bare.discard(layer)
    return frozenset(bare)


def _cuda(cell: str) -> dict[str, float]:
    """MiB of the CUDA devices of a cell."""
    return {name: size for name, size in _sizes(cell).items() if re.fullmatch(r"CUDA\d+", name)}


def _sizes(cell: str) -> dict[str, float]:
    """MiB by name; what one name has several of is added up."""
    found: dict[str, float] = {}
    for part in cell.split(";"):
        name, _, size = part.strip().partition("=")
        found[name] = found.get(name, 0.0) + (float_of(size) or 0.0)
    return found

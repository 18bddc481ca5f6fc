"""Compute buffers of llama.cpp on GPUs: those that it logged, and those that its scheduler reserved for us.

A logged row (measured_inference.csv) is answered where its model is in the catalogue. The logs are of
releases before 2026, and of the fork ik_llama.cpp, which stands for llama.cpp where its graph is the same:
neither its latent attention (-mla) nor what it does for what lies on the host is.
"""

import re
from collections.abc import Iterator

from benchmarks.accuracy.scores import Entry
from llmplanner.check.answer import Row
from llmplanner.check.cells import count, float_of, whole
from llmplanner.check.lookup import Lookup
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device
from llmplanner.core.model import Experts, LatentAttention, Model
from llmplanner.core.plan import Weights
from llmplanner.core.recipes import RECIPES, stored_as
from llmplanner.core.serving.llamacpp import cells, compute, weights
from llmplanner.core.serving.llamacpp.placement import placed
from llmplanner.models import catalogue, files

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
OFTEN = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")  # file types that people take
NEWER = 5800  # llama.cpp's build of the end of June 2025
BATCH = 2048  # tokens of a logical batch, unless said


def logged(number: int, label: str, row: Row) -> Iterator[Entry]:
    """The row's buffers on its CUDA devices."""
    buffers = _cuda(row.get("compute_buffers_MiB", ""))
    if not buffers or "llama.cpp" not in row["engine"]:
        return
    try:
        found = [_device(row, place, cards=len(buffers)) for place in range(len(buffers))]
    except BadInput as error:
        for name, size in buffers.items():
            yield Entry(number, f"{label} · {name}", size, None, note=str(error))
        return
    for (name, size), (low, amount, high) in zip(buffers.items(), found, strict=True):
        yield Entry(number, f"{label} · {name}", size, amount / MIB, low / MIB, high / MIB)


def reserved(number: int, label: str, row: Row, models: Lookup) -> Iterator[Entry]:
    """The buffers that llama.cpp's scheduler reserved on devices that only count."""
    path = models.path(row["model"], ".gguf")
    if path is None:
        return
    model, cards = files.open_path(path).model, int(row["gpus"])
    engine = LlamaCpp(
        ubatch=int(row["n_ubatch"]),
        flash_attention=row["flash_attn"] == "on",
        gpu_layers=int(row["gpu_layers"]) if row["gpu_layers"] else None,
        cpu_experts=model.layers if row["cpu_experts"] == "1" else 0,
    )
    form = cache_format_named(row["kv_type"])
    run = compute.Runs(model, cells.of_options(int(row["n_ctx"]), 1, engine), engine, form, form)
    held = weights.stored(model, model.checkpoint or FP16)
    where = placed(len(held.layers), engine, (CARD,) * cards)
    for place in range(cards):
        if row[f"CUDA{place}"]:
            one = compute.on_device(run, held, where, place, cards=cards)
            bounds = (int(one.low) / MIB, int(one.high) / MIB)
            name, size = f"{label} · CUDA{place}", float(row[f"CUDA{place}"])
            yield Entry(number, name, size, int(one.bytes) / MIB, *bounds)


def _device(row: Row, place: int, *, cards: int) -> tuple[int, int, int]:
    """Low, predicted and high bytes of one card's buffer. Raises BadInput."""
    model = _model(row)
    fork = row["engine"].startswith("ik")
    latent = any(isinstance(g.layer.attention, LatentAttention) for s in model.stacks for g in s.groups)
    if fork and latent:
        raise BadInput("The fork's latent attention has a graph of its own.")
    layers, experts = _offloaded(row), _experts_on_host(row, model)
    if fork and (layers is not None or (experts and cards > 1)):
        raise BadInput("What the fork copies of what lies on the host is not known.")
    engine = LlamaCpp(
        ubatch=count(row, "n_ubatch"),
        flash_attention=FLASH.get(row["flash_attn"].lower(), False),
        swa_full=True,  # none had caches for windows yet
        gpu_layers=layers,
        cpu_experts=0 if fork else experts,
    )
    held = weights.stored(model, _stored(row, model))
    form = cache_format_named(row["kv_type_k"] or "f16")
    sizes = cells.of_options(count(row, "n_ctx"), 1, engine, whole(row, "n_batch", least=1) or BATCH)
    run = compute.Runs(model, sizes, engine, form, form, older=_older(row))
    where = placed(len(held.layers), engine, (CARD,) * cards)
    found = compute.on_device(run, held, where, place, cards=cards)
    return int(found.low), int(found.bytes), int(found.high)


def _older(row: Row) -> bool:
    """Whether the release is of the first half of 2025 or before, as all are but those numbered higher."""
    build = re.match(r"b(\d+)", row["engine_ver"])
    return build is None or int(build.group(1)) < NEWER


def _stored(row: Row, model: Model) -> Weights:
    """How the row's file holds the weights: as it says, else the file type whose size is nearest."""
    kind = row["quant"].split(" ")[0].lower()
    if kind in {"f16", "bf16"}:
        return FP16
    if kind in RECIPES:
        return stored_as(model, kind)
    size = sum(_sizes(row["model_buffers_MiB"]).values()) * MIB
    return min((stored_as(model, name) for name in OFTEN), key=lambda one: abs(one.bytes - size))


def _model(row: Row) -> Model:
    """The model that a row names. Raises BadInput."""
    name = row["model"].lower().replace(" ", "-")
    if not catalogue.knows(NAMES.get(name, name)):
        raise BadInput("The catalogue has no such model.")
    return catalogue.model(NAMES.get(name, name))


def _offloaded(row: Row) -> int | None:
    """Layers on the GPU; None for all."""
    done, _, every = row["offloaded"].partition("/")
    return int(done) if done.isdecimal() and every.isdecimal() and done != every else None


def _experts_on_host(row: Row, model: Model) -> int:
    """The layers that the row names, else all of a mixture that lies on the host for the most part."""
    stated = re.search(r"(\d+) with experts on CPU", row["offloaded"])
    if stated:
        return int(stated.group(1))
    on_gpu, everywhere = _cuda(row["model_buffers_MiB"]), _sizes(row["model_buffers_MiB"])
    mixture = any(isinstance(g.layer.feed_forward, Experts) for s in model.stacks for g in s.groups)
    return model.layers if mixture and sum(on_gpu.values()) < sum(everywhere.values()) / 2 else 0


def _cuda(cell: str) -> dict[str, float]:
    """MiB of the CUDA devices, in a cell such as CUDA0=522.62; CUDA_Host=138.51."""
    return {name: size for name, size in _sizes(cell).items() if re.fullmatch(r"CUDA\d+", name)}


def _sizes(cell: str) -> dict[str, float]:
    """MiB by name; what one name has several of is added up."""
    found: dict[str, float] = {}
    for part in cell.split(";"):
        name, _, size = part.strip().partition("=")
        found[name] = found.get(name, 0.0) + (float_of(size) or 0.0)
    return found

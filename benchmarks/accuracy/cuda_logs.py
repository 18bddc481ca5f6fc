"""Compute buffers that llama.cpp and its fork ik_llama.cpp logged on one CUDA device.

A row of measured_inference.csv is answered where its model is in the catalogue and its graph is llama.cpp's:
the fork's latent attention (-mla) is another, and so is what it does for layers that are not offloaded.
"""

import re

from benchmarks.accuracy.scores import Entry
from llmplanner.check.answer import Row
from llmplanner.check.cells import count, float_of
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Experts, LatentAttention, Model
from llmplanner.core.plan import Plan, Serve, Split
from llmplanner.core.recipes import RECIPES, stored_as
from llmplanner.models import catalogue

MIB = 2**20
DEVICE = Device("GPU", 2**40, 2**40)
FLASH = {"1": True, "on": True, "auto": True, "0": False, "off": False}
NAMES = {  # what rows call models of the catalogue
    "models": "qwen3-235b-a22b",
    "qwen3-235b-a22b-128k": "qwen3-235b-a22b",
    "meta_llama_3.1_8b_it": "llama-3.1-8b",
    "deepseek-v3-0324": "deepseek-v3",
    "command-r-35b-(no-gqa)": "command-r-35b",
}
OTHERWISE = "q4_k_m"  # a file type where the row names one of the fork's own


def entry(number: int, label: str, row: Row) -> Entry | None:
    """The row's buffer on its CUDA device; None where it logged none, or several."""
    buffers = _buffers(row.get("compute_buffers_MiB", ""))
    cards = [name for name in buffers if name.startswith("CUDA") and name[4:].isdecimal()]
    if len(cards) != 1 or "llama.cpp" not in row["engine"]:
        return None
    try:
        low, amount, high = (size / MIB for size in _predicted(row))
    except BadInput as error:
        return Entry(number, label, buffers[cards[0]], None, note=str(error))
    return Entry(number, label, buffers[cards[0]], amount, low, high)


def _predicted(row: Row) -> tuple[int, int, int]:
    """Low, predicted and high bytes of the compute buffer. Raises BadInput."""
    name = row["model"].lower().replace(" ", "-")
    if not catalogue.knows(NAMES.get(name, name)):
        raise BadInput("The catalogue has no such model.")
    model = catalogue.model(NAMES.get(name, name))
    fork = row["engine"].startswith("ik")
    latent = any(isinstance(g.layer.attention, LatentAttention) for s in model.stacks for g in s.groups)
    if fork and latent:
        raise BadInput("The fork's latent attention has a graph of its own.")
    layers = _offloaded(row)
    if fork and layers == 0:
        raise BadInput("What the fork copies of layers on the host is not known.")
    engine = LlamaCpp(
        ubatch=count(row, "n_ubatch"),
        flash_attention=FLASH.get(row["flash_attn"].lower(), False),
        gpu_layers=layers,
        cpu_experts=0 if fork else _experts_on_host(row, model),
    )
    kind = row["quant"].split(" ")[0].lower()
    held = stored_as(model, kind if kind in RECIPES else OTHERWISE)
    form = cache_format_named(row["kv_type_k"] or "f16")
    workload = Serve(count(row, "n_ctx"), kv_format=form)
    phases = estimate(Plan(model, workload, Machine((DEVICE,)), Split(), held, engine)).devices[0].phases
    terms = [term for phase in phases for term in phase.terms if term.name == "activations"]
    fullest = max(terms, key=lambda term: int(term.bytes))
    return int(fullest.low), int(fullest.bytes), int(fullest.high)


def _offloaded(row: Row) -> int | None:
    """Layers on the GPU; None for all."""
    done, _, whole = row["offloaded"].partition("/")
    return int(done) if done.isdecimal() and whole.isdecimal() and done != whole else None


def _experts_on_host(row: Row, model: Model) -> int:
    """The layers that the row names, else all of a mixture that lies on the host for the most part."""
    stated = re.search(r"(\d+) with experts on CPU", row["offloaded"])
    if stated:
        return int(stated.group(1))
    held = _buffers(row.get("model_buffers_MiB", ""))
    on_gpu = sum(size for name, size in held.items() if name.startswith("CUDA") and name[4:].isdecimal())
    mixture = any(isinstance(g.layer.feed_forward, Experts) for s in model.stacks for g in s.groups)
    return model.layers if mixture and on_gpu < sum(held.values()) / 2 else 0


def _buffers(cell: str) -> dict[str, float]:
    """MiB by name, of a cell such as CUDA0=522.62; CUDA_Host=138.51."""
    pairs = (part.strip().partition("=")[::2] for part in cell.split(";"))
    return {name: size for name, text in pairs if (size := float_of(text)) is not None}

"""llamacpp_memory_cpu.csv: the buffers that llama.cpp's CPU build reports for a model and its options."""

from functools import lru_cache
from pathlib import Path

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import chosen, count, switched, text, whole
from llmplanner.check.lookup import Lookup
from llmplanner.core.blocks import CacheFormat, cache_format_named, of_llamacpp
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.model import Model
from llmplanner.core.serving.llamacpp import cache, cells, compute, process
from llmplanner.models import files

MIB = 2**20
UBATCH = 512  # tokens of a physical batch, unless said
FLASH = {"on": "on", "1": "on", "auto": "on", "off": "off", "0": "off"}


def answer(row: Row, models: Lookup) -> Answers:
    """Cache, compute buffer and output buffer in MiB, of the CPU build. Raises BadInput."""
    model, sequences = model_of(row, models), whole(row, "n_parallel", least=1) or 1
    flash = not row.get("flash_attn", "").strip() or chosen(row, "flash_attn", FLASH) == "on"
    engine = LlamaCpp(
        ubatch=whole(row, "n_ubatch", least=1) or UBATCH,
        flash_attention=flash,
        swa_full=switched(row, "swa_full"),
        gpu_layers=0,
    )
    sizes = cells.of_options(count(row, "n_ctx"), sequences, engine)
    form = format_of(row, "kv_type")
    expanded = model.checkpoint is not None and model.checkpoint.expanded
    kept = cache.kept(model, transposed=not flash, expanded=expanded)
    layers = frozenset(range(model.layers))
    cache.check_formats(kept, form, form, flash=flash)
    held = cache.cache(kept, sizes, form, form, layers).bytes
    held += cache.states(cache.recurring(model), sizes, layers).bytes
    buffer = compute.on_cpu(compute.Runs(model, sizes, engine, form, form, expanded))
    return {
        "context_MiB": Answer(int(held) // MIB),  # the column is cut to whole MiB
        "compute_MiB(CPU)": Answer(buffer.bytes / MIB, buffer.low / MIB, buffer.high / MIB),
        "output_MiB": Answer(round(int(process.output_buffer(model, sizes).bytes) / MIB, 2)),
    }


def model_of(row: Row, models: Lookup) -> Model:
    """The model of a row: of its GGUF header, which is what llama.cpp read; else as any other."""
    name = text(row, "model")
    header = models.path(name, ".gguf")
    return models.model(name) if header is None else _of_header(header)


@lru_cache(maxsize=64)
def _of_header(path: Path) -> Model:
    return files.open_path(path).model


def format_of(row: Row, column: str) -> CacheFormat:
    """The format of a column; F16, llama.cpp's own, where the cell is empty. Raises BadInput."""
    if not row.get(column, "").strip():
        return cache_format_named("f16")
    return of_llamacpp(cache_format_named(text(row, column), column), column)


KIND = Kind(
    "llamacpp_memory_cpu",
    ("model", "n_ctx"),
    ("context_MiB", "compute_MiB(CPU)", "output_MiB"),
    answer,
    estimates=True,
)

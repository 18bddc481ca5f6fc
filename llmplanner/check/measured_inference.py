"""measured_inference.csv: keys and values that engines logged, from the sizes that the row states.

llama.cpp and ik_llama.cpp print what they allocate for their options; vLLM and SGLang fill what is left of
the card, so that their total follows from the tokens that they then report.
Sources: ggml-org/llama.cpp v0.5.0, src/llama-kv-cache.cpp; ikawrakow/ik_llama.cpp, src/llama.cpp
(llama_kv_cache_init); vLLM 0.10, vllm/v1/core/kv_cache_utils.py.
"""

from dataclasses import dataclass, replace

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import count, float_of, text, whole
from llmplanner.check.lookup import Lookup
from llmplanner.core.blocks import BlockFormat, CacheFormat, cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.formats import BF16, FP16
from llmplanner.core.model import Model
from llmplanner.core.serving.llamacpp import cache, cells
from llmplanner.gpus.catalogue import by_name

MIB = 2**20
LATENT = {"deepseek2": 512}  # kv_lora_rank of DeepSeek-V2, V3 and Kimi K2 (arXiv:2405.04434, 2412.19437)
OF_IK = {"q6_0": BlockFormat("Q6_0", 32, 26)}  # a format that ik_llama.cpp has beside llama.cpp's
TURNS = {  # architectures whose layers take turns: the last of so many has no window
    "cohere2": 4, "exaone4": 4, "gemma2": 2, "gemma3": 6, "gpt-oss": 2, "llama4": 4, "olmo2": 4,
}  # fmt: skip
ATTENDING = {"qwen35": 4, "qwen35moe": 4, "qwen3next": 4}  # one in so many attends, the others have a state
MIXED = frozenset(  # which of their layers attend is in the file alone
    {"granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "plamo2"}
)
LATENT_ALONE = 2  # from this -mla on
UBATCH = 512  # tokens of a physical batch, unless said
LATENT_WITHOUT_VALUES = 2026  # the year from which llama.cpp keeps no values of latent attention
PADDED_ALIKE = 2026  # the year from which llama.cpp pads the context alike (PR 17046, November 2025)
LESS_PADDED = 32  # cells, llama_kv_cache_unified::get_padding
POOLED = ("vllm", "sglang")


@dataclass(frozen=True, slots=True)
class Sizes:
    """What one layer keeps of a token, in elements, and of how many layers."""

    layers: int
    keys: int
    values: int


def answer(row: Row, models: Lookup) -> Answers:
    """All keys and values in MiB; of several GPUs that share heads, those of one. Raises BadInput."""
    engine = text(row, "engine").lower()
    if "llama.cpp" in engine:
        return {"kv_total_MiB": Answer(_of_llamacpp(row, models, engine) / MIB)}
    if engine.startswith(POOLED):
        return {"kv_total_MiB": Answer(_of_tokens(row, models) / MIB, note="From the tokens that it logged.")}
    raise BadInput(
        f"What {quoted(engine)} keeps of keys and values is not known; only totals are told.", "engine"
    )


def _of_llamacpp(row: Row, models: Lookup, engine: str) -> int:
    keys, values = _format(row, "kv_type_k", FP16), _format(row, "kv_type_v", FP16)
    sequences = whole(row, "n_seq", least=1) or 1
    options = LlamaCpp(ubatch=whole(row, "n_ubatch", least=1) or UBATCH, unified=True)
    room = cells.of_options(count(row, "n_ctx"), sequences, options)
    of_ik = engine.startswith("ik") or bool(whole(row, "mla_mode"))
    if not row.get("n_layer", "").strip():
        return _of_model(row, _named(row, models), room, (keys, values), of_ik=of_ik)
    kept = _latent(row, _stated(row), keys, values, of_ik=of_ik)
    full, sliding = _turns(row, kept.layers, of_ik=of_ik)
    window = int(room.sliding(whole(row, "n_swa") or 0))
    return (full * _cells(row, of_ik=of_ik) + sliding * window) * _row(kept, keys, values)


def _cells(row: Row, *, of_ik: bool) -> int:
    """Cells of the whole context: padded to 256, in older releases without flash attention to 32."""
    older = of_ik or (_year(row) or 0) < PADDED_ALIKE
    step = LESS_PADDED if older and row.get("flash_attn", "") == "0" else cells.ALIGNED
    return -(-count(row, "n_ctx") // step) * step


def _of_model(
    row: Row, model: Model, room: cells.Cells, formats: tuple[CacheFormat, CacheFormat], *, of_ik: bool
) -> int:
    """Of a row that names its model and states no sizes. Raises BadInput."""
    kept = cache.kept(model, transposed=False)
    if of_ik:
        if any(one.values == 0 for one in kept) and (whole(row, "mla_mode") or 0) < LATENT_ALONE:
            raise BadInput("The row states neither its sizes nor -mla 2 or 3; fill in n_layer.", "n_layer")
        kept = tuple(replace(one, window=None) for one in kept)
    layers = frozenset(range(model.layers))
    return int(cache.cache(kept, room, *formats, layers).bytes)


def _named(row: Row, models: Lookup) -> Model:
    """The model of a row, also by its name without the date of its release. Raises BadInput."""
    name = text(row, "model").lower().replace(" ", "-")
    shorter, _, last = name.rpartition("-")
    try:
        return models.model(name)
    except BadInput:
        if shorter and last.isdecimal():
            return models.model(shorter)
        raise


def _stated(row: Row) -> Sizes:
    heads = count(row, "n_head_kv")
    return Sizes(count(row, "n_layer"), heads * count(row, "head_k"), heads * count(row, "head_v"))


def _row(kept: Sizes, keys: CacheFormat, values: CacheFormat) -> int:
    """Bytes of a cell of one layer."""
    return keys.bytes_for(kept.keys) + values.bytes_for(kept.values)


def _latent(row: Row, stated: Sizes, keys: CacheFormat, values: CacheFormat, *, of_ik: bool) -> Sizes:
    """What latent attention keeps: by ik_llama.cpp's -mla, or by the release of llama.cpp.

    -mla 0 keeps expanded keys and values, 1 the latent and, without flash attention, the latent again as
    transposed values, 2 and 3 the latent alone. A file without attn_kv_b is run with 1 for 0, which the log's
    settings do not show: so it was where the cards would have had no room for expanded ones.
    """
    rank = LATENT.get(row.get("arch", ""))
    if rank is None:
        return stated
    head = stated.keys // count(row, "n_head_kv")
    if not of_ik:
        newer = (_year(row) or 0) >= LATENT_WITHOUT_VALUES
        return Sizes(stated.layers, stated.keys, 0) if head > rank and newer else stated
    latent = rank + head - count(row, "head_v")  # keys have the rotated part beside what values have
    mode = whole(row, "mla_mode") or 0
    flash = row.get("flash_attn", "") == "1"
    if mode == 0 and flash and _no_room(row, stated, keys, values):
        mode = 1
    if mode == 0:
        return stated
    return Sizes(stated.layers, latent, 0 if mode >= LATENT_ALONE or flash else rank)


def _year(row: Row) -> int | None:
    """The year that the release is dated by; None where it has a number of its own."""
    year = row.get("engine_ver", "").strip()[:4]
    return int(year) if year.isdecimal() else None


def _no_room(row: Row, stated: Sizes, keys: CacheFormat, values: CacheFormat) -> bool:
    """Whether the named cards could not hold the cache beside the weights that the log puts on them."""
    cards = [name for name in row.get("gpus", "").split(" + ") if name]
    buffers = dict(part.partition("=")[::2] for part in row.get("model_buffers_MiB", "").split("; "))
    on_cards = [
        float_of(size) for name, size in buffers.items() if name.startswith("CUDA") and name[4:].isdecimal()
    ]
    if not cards or not on_cards or None in on_cards:
        return False
    try:
        room = sum(by_name(card).memory_bytes for card in cards)
    except BadInput:
        return False
    held = sum(size for size in on_cards if size is not None) * MIB
    return held + stated.layers * count(row, "n_ctx") * _row(stated, keys, values) > room


def _turns(row: Row, layers: int, *, of_ik: bool) -> tuple[int, int]:
    """Layers that keep the whole context, and those that keep a window. Raises BadInput.

    Layers with a state of fixed size keep neither. ik_llama.cpp keeps the whole context in every layer.
    """
    arch = row.get("arch", "")
    if arch in MIXED:
        raise BadInput(f"Which layers of {quoted(arch)} keep keys and values is not stated.", "n_layer")
    if arch in ATTENDING:
        return layers // ATTENDING[arch], 0
    if of_ik or not whole(row, "n_swa"):
        return layers, 0
    if arch not in TURNS:
        raise BadInput(f"Which layers of {quoted(arch)} have a window is not stated.", "n_swa")
    return layers // TURNS[arch], layers - layers // TURNS[arch]


def _of_tokens(row: Row, models: Lookup) -> int:
    """Keys and values of the tokens that the log names, on one of the GPUs that share the heads."""
    tokens = _logged_tokens(row)
    form = _format(row, "kv_type_k", BF16)
    shared = _after(row.get("offloaded", ""), "TP=") or 1
    if not row.get("n_layer", "").strip():
        model = _named(row, models)
        if model.recurs or shared > 1:
            raise BadInput(
                "Its layers do not all keep the same of a token; state n_layer and the heads.", "n_layer"
            )
        kept = cache.kept(model, transposed=False)
        return tokens * sum(len(one.layers) * form.bytes_for(one.keys + one.values) for one in kept)
    heads = -(-count(row, "n_head_kv") // shared)
    width = heads * (count(row, "head_k") + count(row, "head_v"))
    return tokens * count(row, "n_layer") * form.bytes_for(width)


def _logged_tokens(row: Row) -> int:
    found = row.get("kv_buffers_MiB", "").partition(" tokens")
    if not found[1] or not found[0].strip().isdecimal():
        raise BadInput("The row does not say how many tokens the engine had room for.", "kv_buffers_MiB")
    return int(found[0])


def _after(cell: str, mark: str) -> int | None:
    """The whole number behind a mark."""
    digits = cell.partition(mark)[2].split(" ")[0]
    return int(digits) if digits.isdecimal() else None


def _format(row: Row, column: str, otherwise: CacheFormat) -> CacheFormat:
    name = row.get(column, "").strip().lower()
    if not name:
        return otherwise
    return OF_IK.get(name) or cache_format_named(name, column)


KIND = Kind(
    "measured_inference",
    ("engine", "model", "n_ctx"),
    ("kv_total_MiB",),
    answer,
)

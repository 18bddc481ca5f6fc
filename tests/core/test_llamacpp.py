"""llama.cpp's buffers against what the program allocated, and against its logs from GPUs."""

import re
from dataclasses import replace
from functools import cache as cached
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner import plans
from llmplanner.compose import model_named
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.checkpoint import Place, place_of
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import FP16, format_named
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import Plan, Serve, Split
from llmplanner.core.recipes import RECIPES, stored_as
from llmplanner.core.serving.llamacpp import cache, cells, placement, process, weights
from llmplanner.models import files
from tests.reference import REFERENCE, needs_reference, rows

MIB = 2**20
GIB = 2**30
CARD = Device("RTX 4090", 24 * GIB, 23 * GIB)
HEADERS = REFERENCE / "corpus" / "gguf_shapes"
ALL_LAYERS = frozenset(range(200))


@cached
def header(name: str) -> Model:
    return files.open_path(HEADERS / f"{name}.gguf").model


def plan(name: str, stored: str, engine: LlamaCpp, workload: Serve | None = None, devices: int = 1) -> Plan:
    model = model_named(name).model
    held = stored_as(model, stored) if stored in RECIPES else format_named(stored)
    machine = Machine((CARD,) * devices)
    return Plan(model, workload or Serve(4096), machine, Split(tensor=devices), held, engine)


@needs_reference
def test_every_context_is_what_the_program_allocated() -> None:
    wrong = []
    for row in rows("llamacpp_memory_cpu.csv"):
        flash = row["flash_attn"] == "on"
        engine = LlamaCpp(ubatch=int(row["n_ubatch"]), flash_attention=flash, swa_full=row["swa_full"] == "1")
        sizes = cells.of_options(int(row["n_ctx"]), int(row["n_parallel"]), engine)
        form = cache_format_named(row["kv_type"])
        groups = cache.kept(header(row["model"]), transposed=not flash)
        found = int(cache.cache(groups, sizes, form, form, ALL_LAYERS).bytes) / MIB
        measured = sum(map(float, re.findall(r"([\d.]+) MiB", row["kv_detail"])))
        output = int(process.output_buffer(header(row["model"]), sizes).bytes) / MIB
        if abs(found - measured) > 0.011 or abs(output - float(row["output_MiB"])) > 0.006:
            wrong.append((row["model"], row["kv_detail"], found, row["output_MiB"], output))
    assert not wrong


@needs_reference
@pytest.mark.parametrize(
    ("identity", "devices"), [("I014", 3), ("I026", 2), ("I027", 2), ("I052", 2), ("I074", 2), ("I109", 2)]
)
def test_layers_are_cut_into_runs_as_in_logs(identity: str, devices: int) -> None:
    """Runs of equal cards; some logs name the cards in the other order."""
    row = next(row for row in rows("measured_inference.csv") if row["id"] == identity)
    buffers = [float(size) for size in re.findall(r"CUDA\d+=([\d.]+)", row["kv_buffers_MiB"])]
    layers = int(row["n_layer"])
    where = placement.placed(layers, LlamaCpp(), (CARD,) * devices)
    each = float(row["kv_total_MiB"]) / layers
    assert [len(where.on(device)) for device in range(devices)] == [round(size / each) for size in buffers]
    assert where.output == devices - 1


def test_the_first_layer_on_the_gpu_is_the_output() -> None:
    where = placement.placed(32, LlamaCpp(gpu_layers=20), (CARD,))
    assert where.on(0) == tuple(range(13, 32))
    assert where.output == 0
    assert not where.whole
    assert placement.placed(32, LlamaCpp(gpu_layers=0), (CARD,)).output == placement.HOST
    assert placement.placed(32, LlamaCpp(gpu_layers=99), (CARD,)).whole


def test_shares_decide_over_memory() -> None:
    large = replace(CARD, memory_free=70 * GIB)
    by_memory = placement.placed(31, LlamaCpp(), (CARD, large))
    assert len(by_memory.on(0)) < len(by_memory.on(1))
    stated = placement.placed(31, LlamaCpp(tensor_split=(3, 1)), (CARD, large))
    assert (len(stated.on(0)), len(stated.on(1))) == (24, 7)


@pytest.mark.parametrize(
    ("name", "device", "host"),
    [  # what the program prints for the published files: "CUDA0 model buffer size", "CPU_Mapped ..."
        ("llama-3.1-8b", 4403.49, 281.81),
    ],
)
def test_weights_lie_where_the_program_says(name: str, device: float, host: float) -> None:
    found = estimate(plan(name, "q4_k_m", LlamaCpp()))
    on_gpu = next(term for term in found.devices[0].peak.terms if term.name == "weights")
    assert int(on_gpu.bytes) / MIB == pytest.approx(device, abs=0.01)
    assert found.host is not None
    assert int(found.host.parts[0].bytes) / MIB == pytest.approx(host, abs=0.01)


@needs_reference
def test_experts_on_the_host_are_those_of_the_log() -> None:
    """All layers but not the output, which that release put on the GPU one -ngl later."""
    row = next(row for row in rows("measured_inference.csv") if row["id"] == "I123")
    held = weights.stored(model_named("qwen3-30b-a3b").model, FP16)
    term = weights.on_device(held, placement.placed(48, LlamaCpp(), (CARD,)), 0, LlamaCpp(cpu_experts=34))
    layers = sum(int(part.bytes) for part in term.parts if part.name != "output") / MIB
    measured = dict(part.split("=") for part in row["model_buffers_MiB"].split("; "))
    assert layers == pytest.approx(float(measured["CUDA0"]), abs=1)


def test_what_is_not_on_the_gpu_is_on_the_host() -> None:
    """Moving layers neither makes nor loses weights or cache."""
    whole = _held(plan("llama-3.1-8b", "q4_k_m", LlamaCpp()))
    for layers in (0, 1, 20, 33):
        assert _held(plan("llama-3.1-8b", "q4_k_m", LlamaCpp(gpu_layers=layers))) == whole


def _held(asked: Plan) -> int:
    found = estimate(asked)
    names = {"weights", "kv_cache"}
    terms = [term for device in found.devices for term in device.phases[-1].terms if term.name in names]
    assert found.host is not None
    host = [part for part in found.host.parts if not part.name.startswith(("output buffer", "compute"))]
    return sum(int(term.bytes) for term in terms) + sum(int(part.bytes) for part in host)


def test_a_tied_output_is_copied_to_the_gpu() -> None:
    whole = plan("gemma-2-2b", "q4_k_m", LlamaCpp())
    held = stored_as(whole.model, "q4_k_m")
    embedding = next(place.bytes for place in held.places if place.where == "tokens")
    assert _held(whole) - _held(plan("gemma-2-2b", "q4_k_m", LlamaCpp(gpu_layers=0))) == embedding


def test_the_cache_of_the_gpus_layers_can_stay_on_the_host() -> None:
    found = estimate(plan("llama-3.1-8b", "q4_k_m", LlamaCpp(kv_offload=False)))
    cached_there = next(term for term in found.devices[0].phases[-1].terms if term.name == "kv_cache")
    assert cached_there.bytes == 0
    assert found.host is not None
    assert any(part.bytes == 512 * MIB for part in found.host.parts)  # 32 layers, 4,096 cells, F16


QUANTIZED = cache_format_named("q8_0")


@pytest.mark.parametrize(
    ("engine", "workload", "field", "words"),
    [
        (LlamaCpp(tensor_split=(1, 1)), Serve(4096), "tensor_split", "2 shares"),
        (LlamaCpp(parallel=300), Serve(4096), "parallel", "at most 256"),
        (LlamaCpp(parallel=8), Serve(4), "parallel", "cannot share"),
        (LlamaCpp(flash_attention=False), Serve(4096, kv_format=QUANTIZED), "kv_values", "flash attention"),
        (LlamaCpp(), Serve(4096, kv_format=format_named("fp8")), "kv", "q8_0"),
    ],
)
def test_refuses_what_the_program_refuses(engine: LlamaCpp, workload: Serve, field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        estimate(plan("llama-3.1-8b", "q4_k_m", engine, workload))
    assert caught.value.field == field


def test_heads_that_blocks_do_not_divide_are_refused() -> None:
    with pytest.raises(BadInput, match="heads of 80") as caught:
        estimate(plan("pythia-2.8b", "fp16", LlamaCpp(), Serve(2048, kv_format=QUANTIZED)))
    assert caught.value.field == "kv"


@pytest.mark.parametrize("stored", ["int8", "nf4"])
def test_weights_that_no_gguf_file_holds_are_refused(stored: str) -> None:
    with pytest.raises(BadInput, match="GGUF") as caught:
        estimate(plan("llama-3.1-8b", stored, LlamaCpp()))
    assert caught.value.field == "weights"


@needs_reference
def test_a_log_of_weights_in_16_bits() -> None:
    row = next(row for row in rows("measured_inference.csv") if row["id"] == "I121")
    found = estimate(plan("pythia-2.8b", "fp16", LlamaCpp(), Serve(2048)))
    measured = dict(part.split("=") for part in row["model_buffers_MiB"].split("; "))
    on_gpu = next(term for term in found.devices[0].phases[-1].terms if term.name == "weights")
    assert int(on_gpu.bytes) / MIB == pytest.approx(float(measured["CUDA0"]), abs=0.1)
    assert found.host is not None
    assert int(found.host.parts[0].bytes) / MIB == pytest.approx(float(measured["CPU_Mapped"]), abs=0.1)
    assert any(part.bytes == 201216 for part in found.host.parts)  # 0.19 MiB of logits


@pytest.mark.parametrize(
    ("name", "sequences", "kept"),
    [  # sizes that llama.cpp derives from the keys of the models' files, in elements of a layer and sequence
        ("mamba-2.8b", 1, 3 * 5120 + 16 * 5120),
        ("qwen3-next-80b-a3b", 2, 3 * (4096 + 2 * 16 * 128) + 128 * 4096),
    ],
)
def test_states_are_fp32_and_a_column_shorter_than_the_kernel(name: str, sequences: int, kept: int) -> None:
    found = estimate(plan(name, "fp16", LlamaCpp(), Serve(4096, batch=sequences)))
    term = next(term for term in found.devices[0].phases[-1].terms if term.name == "recurrent_state")
    layers = sum(
        len(group.indices)
        for group in model_named(name).model.stacks[0].groups
        if group.layer.recurrent is not None
    )
    assert term.bytes == 4 * layers * sequences * kept


def test_a_window_of_all_layers_is_not_used() -> None:
    """Files of Mistral 7B are of the architecture llama, which keeps the whole context."""
    found = estimate(plan("mistral-7b-v0.1", "q4_k_m", LlamaCpp(), Serve(32_768)))
    term = next(term for term in found.devices[0].phases[-1].terms if term.name == "kv_cache")
    assert term.bytes == 4096 * MIB  # as measured of its header


def test_maps_of_plans_give_what_single_plans_give() -> None:
    contexts, batches = np.array([512, 4096, 30_000]), np.array([[1], [3]])
    for engine in (LlamaCpp(parallel=2), LlamaCpp(unified=True, parallel=2)):
        for name in ("gemma-3-1b", "mamba-2.8b"):
            whole = estimate(plan(name, "fp16", engine, Serve(contexts, contexts * 0 + batches)))
            for row, column in ((0, 0), (1, 2), (1, 1)):
                workload = Serve(int(contexts[column]), int(batches[row, 0]))
                one = estimate(plan(name, "fp16", engine, workload)).devices[0].bytes
                assert int(np.broadcast_to(whole.devices[0].bytes, (2, 3))[row, column]) == one


@pytest.mark.parametrize("context", [1, 10**9])
def test_extreme_contexts_give_numbers(context: int) -> None:
    found = estimate(plan("llama-3.1-8b", "q4_k_m", LlamaCpp(unified=True), Serve(context)))
    assert int(found.devices[0].bytes) > 4 * GIB


def test_old_files_of_latent_attention_keep_every_head() -> None:
    """Without attn_k_b and attn_v_b; the figure is a log's of DeepSeek-V3: 2,048 cells, F16, 9,760 MiB."""
    model = model_named("deepseek-v3").model
    held = stored_as(model, "q4_k_m")
    apart = [place for place in held.places if place.where != "k_b"]
    old = replace(held, places=(*apart, Place("kv_b", 0, 17_000_000)))
    machine = Machine((CARD,))
    both = replace(held, places=(*held.places, Place("kv_b", 0, 17_000_000)))
    for weights_of, size in ((held, 137.25), (both, 137.25), (old, 9760)):
        found = estimate(Plan(model, Serve(2048), machine, Split(), weights_of, LlamaCpp()))
        term = next(term for term in found.devices[0].phases[-1].terms if term.name == "kv_cache")
        assert int(term.bytes) / MIB == size


def test_more_layers_than_there_are_is_said() -> None:
    for engine, words in (
        (LlamaCpp(gpu_layers=99), "All 32 layers"),
        (LlamaCpp(cpu_experts=3), "No layer has"),
    ):
        found = estimate(plan("llama-3.1-8b", "q4_k_m", engine))
        assert any(words in term.note for term in found.devices[0].phases[-1].terms)


def test_a_plan_file_keeps_where_the_weights_lie(tmp_path: Path) -> None:
    held = stored_as(model_named("llama-3.1-8b").model, "q4_k_m")
    plans.write(tmp_path / "a.llmplan.json", plans.Draft(checkpoint=held))
    assert plans.read(tmp_path / "a.llmplan.json").checkpoint == held
    far = replace(held, places=(Place("layer", 10**9, 1),))
    plans.write(tmp_path / "a.llmplan.json", plans.Draft(checkpoint=far))
    with pytest.raises(BadInput, match="place"):
        plans.read(tmp_path / "a.llmplan.json")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("token_embd.weight", ("tokens", -1)),
        ("blk.12.ffn_down_exps.weight", ("experts_down", 12)),
        ("blk.12.ffn_gate_up_exps.bias", ("experts", 12)),
        ("blk.12.ffn_down_shexp.weight", ("layer", 12)),
        ("enc.blk.3.attn_q.weight", ("layer", 3)),
        ("blk.99999999999.attn_q.weight", ("output", -1)),
        ("blk.2.attn_k_b.weight", ("k_b", 2)),
        ("blk.2.attn_kv_b.weight", ("kv_b", 2)),
        ("blk.x.attn_q.weight", ("output", -1)),
        ("per_layer_token_embd.weight", ("input", -1)),
        ("output_norm.weight", ("output", -1)),
    ],
)
def test_tensors_belong_where_the_program_puts_them(name: str, place: tuple[str, int]) -> None:
    assert place_of(name) == place


@pytest.mark.parametrize("name", ["bart-large", "deepseek-v4-flash"])
def test_architectures_that_the_program_lacks_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="take transformers") as caught:
        estimate(plan(name, "bf16", LlamaCpp(), Serve(512)))
    assert caught.value.field == "engine"


def test_an_encoder_reads_a_text_in_one_batch() -> None:
    with pytest.raises(BadInput, match="one physical batch") as caught:
        estimate(plan("bge-m3", "fp16", LlamaCpp(), Serve(2048)))
    assert caught.value.field == "ubatch"
    found = estimate(plan("bert-base-uncased", "fp16", LlamaCpp(), Serve(512)))
    names = [term.name for term in found.devices[0].phases[-1].terms]
    assert names == ["weights", "runtime", "activations"]


def test_files_with_layers_that_predict_further_tokens() -> None:
    """They count as layers of the GPU and keep no cache."""
    model = model_named("qwen3-30b-a3b").model
    held = stored_as(model, "q4_k_m")
    more = replace(held, places=(*held.places, Place("layer", 48, 10**8), Place("experts", 48, 10**8)))
    for engine in (LlamaCpp(), LlamaCpp(gpu_layers=20), LlamaCpp(cpu_experts=60)):
        for devices in (1, 2):
            machine = Machine((CARD,) * devices)
            asked = Plan(model, Serve(4096), machine, Split(tensor=devices), more, engine)
            assert _held(asked) - _held(replace(asked, weights=held)) == 2 * 10**8


def test_an_encoder_deeper_than_its_decoder() -> None:
    found = estimate(plan("byt5-small", "fp16", LlamaCpp(), Serve(512)))
    term = next(term for term in found.devices[0].phases[-1].terms if term.name == "kv_cache")
    assert term.formula.startswith("4 layers")


@given(
    layers=st.integers(1, 130),
    taken=st.none() | st.integers(0, 140),
    shares=st.lists(st.integers(0, 100), min_size=1, max_size=16).filter(any),
)
def test_each_device_holds_one_run_of_layers_in_order(
    layers: int, taken: int | None, shares: list[int]
) -> None:
    engine = LlamaCpp(gpu_layers=taken, tensor_split=tuple(map(float, shares)))
    where = placement.placed(layers, engine, (CARD,) * len(shares))
    order = [*where.layers, where.output]
    assert order == sorted(order)
    assert len(where.layers) == layers
    assert order.count(placement.HOST) == max(layers + 1 - (layers + 1 if taken is None else taken), 0)
    assert all(shares[device] for device in set(order) - {placement.HOST})


@given(context=st.integers(1, 10**6), sequences=st.integers(1, 256), window=st.integers(1, 10**5))
def test_cells_hold_what_was_asked_for(context: int, sequences: int, window: int) -> None:
    for unified in (False, True):
        if context < sequences:
            continue
        sizes = cells.of_options(context, sequences, LlamaCpp(unified=unified))
        assert sizes.context >= context
        assert sizes.each % 256 == 0
        assert sizes.sliding(window) <= cells.padded(max(int(sizes.each), 1))
        assert replace(sizes, swa_full=True).sliding(window) == sizes.each


@pytest.mark.parametrize(("name", "layers"), [("glm-5", 78), ("deepseek-v3.2", 61)])
def test_an_indexers_keys_are_cached_beside_the_latents(name: str, layers: int) -> None:
    """As llama_kv_cache_dsa has them: a latent with its rotated key, and one key of 128 of the indexer."""
    kept = cache.kept(model_named(name).model, transposed=False)
    room = cells.of_options(4096, 1, LlamaCpp())
    assert cache.cache(kept, room, FP16, FP16, ALL_LAYERS).bytes == layers * 4096 * (512 + 64 + 128) * 2

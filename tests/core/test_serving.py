"""Serving: the cache to the byte, weights by hand, splits, maps of plans, what cannot be cut."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import Count, Plan, Serve, Split
from llmplanner.core.sharding import device_model
from llmplanner.core.tensors import parameters
from llmplanner.core.terms.kv_cache import kept, kv_cache
from llmplanner.core.terms.recurrent_state import recurrent_state, states
from llmplanner.models.config import from_config, load, model_types
from tests.reference import REFERENCE, needs_reference, rows

KV_ROWS = [row for row in rows("kv.csv") if row["model_type"] in model_types()]
DEVICE = Device("a card", 80 * 2**30)
LLAMA = from_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "Llama-3.1-8B",
    "config.json",
)
BERT = from_config({"model_type": "bert"}, "BERT", "config.json")
T5 = from_config({"model_type": "t5"}, "T5", "config.json")
BLOOM = from_config(
    {"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16, "vocab_size": 250880},
    "BLOOM",
    "config.json",
)


def serve(
    model: Model,
    context: Count,
    batch: Count = 1,
    *,
    tensor: int = 1,
    weights: str = "bf16",
    kv: str | None = None,
    prompt: Count | None = None,
) -> DeviceEstimate:
    workload = Serve(context, batch, prompt, FORMATS[kv] if kv else None)
    plan = Plan(model, workload, Machine((DEVICE,) * tensor), Split(tensor=tensor), FORMATS[weights])
    answer = estimate(plan)
    assert len(answer.devices) == tensor
    return answer.devices[0]


def term(device: DeviceEstimate, phase: str, name: str) -> Term:
    found = next(each for each in device.phases if each.name == phase)
    return next(each for each in found.terms if each.name == name)


@needs_reference
@pytest.mark.parametrize("name", sorted({row["name"] for row in KV_ROWS}))
def test_the_cache_is_what_transformers_allocates(name: str) -> None:
    model = load(REFERENCE / "configs" / f"{name}.json")
    groups, recurrent = kept(model), states(model)
    for row in KV_ROWS:
        if row["name"] == name:
            tokens, encoder = int(row["tokens"]), int(row["encoder_tokens"] or 0)
            cache = kv_cache(groups, FORMATS["bf16"], tokens, encoder, int(row["batch"]))
            state = recurrent_state(recurrent, FORMATS["bf16"], int(row["batch"]))
            assert cache.bytes + state.bytes == int(row["bytes"]), row


def test_llama_3_1_8b_keeps_one_gib_at_8192_tokens() -> None:
    # the model's engines log 1024.00 MiB of keys and values for 8,192 tokens in 16 bit
    device = serve(LLAMA, 8192)
    assert term(device, "decode", "kv_cache").bytes == 2**30
    assert term(serve(LLAMA, 8192, kv="fp8-e4m3"), "decode", "kv_cache").bytes == 2**29
    assert term(serve(LLAMA, 8192, batch=3), "decode", "kv_cache").bytes == 3 * 2**30


def test_weights_are_the_parameters_in_their_format() -> None:
    whole = term(serve(LLAMA, 1024), "load", "weights")
    assert whole.bytes == whole.low == whole.high == 16_060_522_496  # the published safetensors files
    quarter = term(serve(LLAMA, 1024, weights="int4"), "load", "weights")
    assert quarter.bytes == 16_060_522_496 // 4
    # the bitsandbytes 4-bit file of this model on the hub (unsloth) takes 5.70 GB
    assert quarter.bytes < 5.70e9 < quarter.high < 6.1e9


def test_the_phases_of_the_kinds() -> None:
    assert [phase.name for phase in serve(LLAMA, 1024).phases] == ["load", "prefill", "decode"]
    assert [phase.name for phase in serve(T5, 64, prompt=512).phases] == ["load", "prefill", "decode"]
    encoder = serve(BERT, 512)
    assert [phase.name for phase in encoder.phases] == ["load", "forward"]
    assert all(each.name != "kv_cache" for phase in encoder.phases for each in phase.terms)


def test_loading_holds_weights_and_runtime_alone() -> None:
    load_phase = serve(LLAMA, 1024).phases[0]
    assert [each.name for each in load_phase.terms] == ["weights", "runtime"]


@pytest.mark.parametrize("vendor", ["Google", "Apple", "AMD"])
def test_a_card_without_cuda_has_a_range_for_what_nobody_measured(vendor: str) -> None:
    machine = Machine((Device("another card", 80 * 2**30, vendor=vendor),) * 2)
    for count in (1, 2):
        plan = Plan(LLAMA, Serve(512), machine, Split(tensor=count), FORMATS["bf16"])
        runtime = term(estimate(plan).devices[0], "load", "runtime")
        assert runtime.low == 0 < runtime.bytes < runtime.high
        told = runtime.formula + runtime.source + runtime.note + "".join(part.name for part in runtime.parts)
        assert not any(word in told for word in ("CUDA", "cuBLAS", "NCCL"))
        assert "not measured" in runtime.note
        assert vendor in runtime.source


def test_a_shorter_prompt_needs_less_to_read() -> None:
    short, long = serve(LLAMA, 8192, prompt=512), serve(LLAMA, 8192)
    assert term(short, "prefill", "activations").bytes < term(long, "prefill", "activations").bytes
    assert term(short, "decode", "kv_cache").bytes == term(long, "decode", "kv_cache").bytes


def test_scores_without_a_fused_kernel_grow_with_the_square() -> None:
    one, two = (term(serve(BLOOM, n), "prefill", "activations").bytes for n in (4096, 8192))
    assert two > 3 * one
    assert "scores" in term(serve(BLOOM, 8192), "prefill", "activations").formula


def test_formulas_count_one_in_the_singular() -> None:
    assert "1 token ×" in term(serve(BLOOM, 8192), "decode", "activations").formula
    assert "8,192 tokens ×" in term(serve(BLOOM, 8192), "prefill", "activations").formula


@pytest.mark.parametrize("tensor", [2, 4, 8])
def test_a_split_shares_matrices_and_cache(tensor: int) -> None:
    device = serve(LLAMA, 8192, tensor=tensor)
    assert term(device, "decode", "kv_cache").bytes == 2**30 // tensor
    norms = 65 * 4096  # two for each layer and the last, whole on every device
    padding = 2 * (device_model(LLAMA, tensor).vocab_size * tensor - 128256) * 4096
    elements = (parameters(LLAMA).total - norms + padding) // tensor + norms
    assert term(device, "load", "weights").bytes == 2 * elements


def test_key_heads_are_copied_where_there_are_too_few() -> None:
    assert term(serve(LLAMA, 8192, tensor=16), "decode", "kv_cache").bytes == 2**30 // 8


@needs_reference
def test_the_latent_is_copied_on_every_device() -> None:
    model = load(REFERENCE / "configs" / "deepseek-v3.json")
    one, eight = (term(serve(model, 4096, tensor=n), "decode", "kv_cache").bytes for n in (1, 8))
    assert one == eight == 70_272 * 4096


@pytest.mark.parametrize("tensor", [3, 5, 64])
def test_what_does_not_divide_is_refused(tensor: int) -> None:
    with pytest.raises(BadInput, match="cannot be divided") as caught:
        serve(LLAMA, 1024, tensor=tensor)
    assert caught.value.field == "tp"


@needs_reference
@pytest.mark.parametrize(
    "name", ["gpt2", "mixtral-8x7b", "deepseek-v3", "t5-11b", "bart-large", "phi-3-mini-4k"]
)
def test_two_halves_hold_the_whole_and_little_twice(name: str) -> None:
    model = load(REFERENCE / "configs" / f"{name}.json")
    halves, whole = 2 * parameters(device_model(model, 2)).total, parameters(model).total
    assert whole <= halves < 1.06 * whole


@given(
    context=st.integers(1, 100_000),
    batch=st.integers(1, 64),
    model=st.sampled_from([LLAMA, BERT, T5, BLOOM]),
    weights=st.sampled_from(["fp32", "bf16", "int8", "int4"]),
)
def test_every_term_lies_in_its_band_and_grows(context: int, batch: int, model: Model, weights: str) -> None:
    device = serve(model, context, batch, weights=weights)
    for phase in device.phases:
        for each in phase.terms:
            assert 0 <= each.low <= each.bytes <= each.high
            assert each.formula
            assert each.source
            assert not each.parts or sum(part.bytes for part in each.parts) == each.bytes
    assert serve(model, context + 1, batch, weights=weights).bytes >= device.bytes
    assert serve(model, context, batch + 1, weights=weights).bytes >= device.bytes


@pytest.mark.parametrize("model", [LLAMA, BERT, T5, BLOOM], ids=lambda model: model.name)
def test_a_map_of_plans_equals_its_plans(model: Model) -> None:
    contexts, batches = np.array([[1], [77], [4096], [50_000]]), np.array([[1, 3, 32]])
    cells = serve(model, contexts, batches).bytes
    assert isinstance(cells, np.ndarray)
    for i, context in enumerate(contexts[:, 0].tolist()):
        for j, batch in enumerate(batches[0].tolist()):
            assert cells[i, j] == serve(model, context, batch).bytes


def test_a_map_of_a_million_plans_takes_under_two_seconds() -> None:
    steps = np.arange(1, 1001, dtype=np.int64)
    begin = time.process_time()
    cells = serve(LLAMA, 8 * steps[:, None], steps[None, :]).bytes
    assert time.process_time() - begin < 2
    assert np.shape(cells) == (1000, 1000)


def test_data_parallel_copies_share_the_sequences() -> None:
    plan = Plan(LLAMA, Serve(8192, 5), Machine((DEVICE,) * 2), Split(data=2), FORMATS["bf16"])
    assert term(estimate(plan).devices[1], "decode", "kv_cache").bytes == 3 * 2**30


def test_a_machine_with_too_few_devices_is_refused() -> None:
    plan = Plan(LLAMA, Serve(1024), Machine((DEVICE,)), Split(tensor=2), FORMATS["bf16"])
    with pytest.raises(BadInput, match="takes 2 devices"):
        estimate(plan)

"""Layers that recur, share their parameters or read an earlier layer's cache; weights as files hold them."""

from dataclasses import replace

import numpy as np
import pytest

from llmplanner.core.checkpoint import StoredTensor, checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Term
from llmplanner.core.estimating import estimate
from llmplanner.core.flops import sequence_flops
from llmplanner.core.formats import BF16, FORMATS, FP16, FP32
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import (
    Attention,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.core.plan import Count, FineTune, Plan, Serve, Split, Train, Weights, computed_in
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config

DEVICE = Device("a card", 80 * 2**30)
LLAMA = from_config({"model_type": "llama", "num_hidden_layers": 8}, "Llama", "config.json")

# Mamba-Codestral-7B: 64 layers of 128 heads of 64, 8 groups, states of 128, kernel 4 (its config.json).
CODESTRAL = Recurrent(
    kind="Mamba-2",
    inputs=(Linear("mixer.in_proj", 4096, 18_560),),
    inner=(),
    output=Linear("mixer.out_proj", 8192, 4096),
    parameters=(
        Parameter("mixer.conv1d.weight", (10_240, 1, 4)),
        Parameter("mixer.conv1d.bias", (10_240,)),
        *(Parameter(f"mixer.{name}", (128,)) for name in ("A_log", "D", "dt_bias")),
        Norm("mixer.norm", NormKind.RMS, 8192),
    ),
    conv_state=10_240 * 4,
    state=8192 * 128,
    heads=128,
)


def stacked(*groups: LayerGroup) -> Model:
    return replace(LLAMA, stacks=(replace(LLAMA.stacks[0], groups=groups),))


def mixing(mixer: Recurrent) -> Layer:
    return replace(LLAMA.stacks[0].groups[0].layer, attention=None, feed_forward=None, recurrent=mixer)


MAMBA = stacked(LayerGroup(mixing(CODESTRAL), tuple(range(64))))
HYBRID = stacked(LayerGroup(mixing(CODESTRAL), (0, 1, 2)), LayerGroup(LLAMA.stacks[0].groups[0].layer, (3,)))


def served(
    model: Model,
    context: Count = 64,
    batch: Count = 1,
    *,
    tensor: int = 1,
    weights: Weights = BF16,
    kv: str = "bf16",
) -> dict[str, Term]:
    """The terms of the answer's last token."""
    work = Serve(context, batch, kv_format=FORMATS[kv])
    plan = Plan(model, work, Machine((DEVICE,) * tensor), Split(tensor=tensor), weights)
    return {term.name: term for term in estimate(plan).devices[0].phases[-1].terms}


def trained(model: Model, phase: str) -> dict[str, Term]:
    plan = Plan(model, FineTune(Train(64)), Machine((DEVICE,)), Split(), BF16)
    found = next(each for each in estimate(plan).devices[0].phases if each.name == phase)
    return {term.name: term for term in found.terms}


def test_a_state_is_what_transformers_allocates_and_never_grows() -> None:
    # measured: 273,678,336 bytes for one sequence, from the first token on
    for context in (1, 64, 100_000):
        assert served(MAMBA, context)["recurrent_state"].bytes == 273_678_336
    assert served(MAMBA, 64, 3)["recurrent_state"].bytes == 3 * 273_678_336
    assert served(MAMBA)["kv_cache"].bytes == 0


def test_a_state_is_not_stored_in_the_format_of_the_cache() -> None:
    plain, narrow = served(HYBRID, 4096), served(HYBRID, 4096, kv="fp8-e4m3")
    assert narrow["kv_cache"].bytes == plain["kv_cache"].bytes // 2
    assert narrow["recurrent_state"] == plain["recurrent_state"]


def test_a_map_of_plans_with_states_equals_its_plans() -> None:
    contexts, batches = np.array([[1], [77], [4096]]), np.array([[1, 3, 32]])
    many = served(HYBRID, contexts, batches)
    for i, context in enumerate(contexts[:, 0].tolist()):
        for j, batch in enumerate(batches[0].tolist()):
            for name, term in served(HYBRID, context, batch).items():
                whole = np.broadcast_to(many[name].bytes, (3, 3))
                assert whole[i, j] == term.bytes, name


def test_two_devices_hold_half_of_the_heads() -> None:
    assert served(MAMBA, tensor=2)["recurrent_state"].bytes * 2 == 273_678_336
    whole, half = (served(MAMBA, tensor=n)["weights"].bytes for n in (1, 2))
    assert whole < 2 * half < 1.01 * whole
    with pytest.raises(BadInput, match=r"128 heads of the recurrent layers cannot be divided into 3"):
        served(MAMBA, tensor=3)
    single = stacked(LayerGroup(mixing(replace(CODESTRAL, heads=1)), (0,)))
    assert served(single, tensor=2)["recurrent_state"].bytes * 64 == 273_678_336  # whole on each


def test_recurrence_costs_as_much_for_every_token() -> None:
    short, long = sequence_flops(MAMBA, 1000), sequence_flops(MAMBA, 4000)
    assert long.forward == 4 * short.forward
    assert short.attention == 0
    # Mamba-2 itself: 6 N D within a fifth, the head and the scan with it (Dao and Gu 2024, section 9.2)
    assert short.training == pytest.approx(6 * parameters(MAMBA).total * 1000, rel=0.2)


def test_what_was_not_measured_has_a_wide_band() -> None:
    for term in (served(HYBRID)["activations"], trained(HYBRID, "forward")["activations"]):
        assert term.low * 2 <= term.bytes * 1.01
        assert term.high >= 2 * term.bytes
        assert "not measured" in term.note


def test_shared_layers_have_one_set_of_parameters_and_caches_of_their_own() -> None:
    (group,) = LLAMA.stacks[0].groups
    common = stacked(replace(group, shared=True))
    one = stacked(replace(group, indices=(0,)))
    for name in ("weights", "kv_cache"):
        bound = one if name == "weights" else LLAMA
        assert served(common)[name].bytes == served(bound)[name].bytes, name
    for name in ("weights", "gradients", "optimizer"):
        assert trained(common, "step")[name].bytes == trained(one, "step")[name].bytes, name
    kept, single, all_ = (trained(each, "forward")["activations"].bytes for each in (common, one, LLAMA))
    assert single < kept < all_  # autocast casts the parameters once
    assert trained(common, "backward")["gradients"].high <= trained(LLAMA, "backward")["gradients"].high


def test_a_layer_that_reads_an_earlier_cache_keeps_none() -> None:
    (group,) = LLAMA.stacks[0].groups
    assert isinstance(group.layer.attention, Attention)
    reader = replace(group.layer, attention=replace(group.layer.attention, shares_cache=True))
    sharing = stacked(LayerGroup(group.layer, (0, 1, 2)), LayerGroup(reader, (3, 4, 5, 6, 7)))
    assert served(sharing)["kv_cache"].bytes * 8 == served(LLAMA)["kv_cache"].bytes * 3


FILES = checkpoint(
    "Q4_K_M",
    [
        StoredTensor("token_embd.weight", (4096, 32_000), "Q6_K", 131_072_000, 107_520_000),
        StoredTensor("rest", (4096, 400_000), "Q4_K", 1_638_400_000, 921_600_000),
        StoredTensor("norms", (4096,), "F32", 4096, 16_384),
    ],
    "llama.gguf",
)


def test_weights_are_what_the_files_hold() -> None:
    weights = served(LLAMA, weights=FILES)["weights"]
    assert weights.bytes == weights.low == weights.high == 107_520_000 + 921_600_000 + 16_384
    assert weights.source == "llama.gguf"
    assert "Q4_K" in weights.formula
    assert "GiB" in weights.formula


def test_devices_share_the_files_bytes() -> None:
    weights = served(LLAMA, weights=FILES, tensor=2)["weights"]
    assert FILES.bytes / 2 <= weights.bytes < 0.51 * FILES.bytes
    assert weights.low < weights.bytes < weights.high


def test_files_are_unpacked_to_the_format_that_the_model_states() -> None:
    assert computed_in(FILES, LLAMA) is BF16
    assert computed_in(FILES, replace(LLAMA, dtype="float16")) is FP16
    assert computed_in(FILES, replace(LLAMA, dtype="float32")) is BF16
    full = checkpoint("F32", [StoredTensor("all", (10,), "F32", 10, 40)], "a file")
    assert computed_in(full, replace(LLAMA, dtype="float32")) is FP32


def test_training_says_that_it_unpacks_quantized_files() -> None:
    plan = Plan(LLAMA, FineTune(Train(64)), Machine((DEVICE,)), Split(), FILES)
    weights = estimate(plan).devices[0].phases[0].terms[0]
    assert weights.bytes == 4 * parameters(LLAMA).total
    assert "Q4_K_M" in weights.note

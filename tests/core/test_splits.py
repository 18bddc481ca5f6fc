"""Training split over devices: against the papers' formulas and figures, and what must hold of any split."""

from dataclasses import replace
from functools import cache
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.pipeline import passes, stages
from llmplanner.core.plan import (
    Adapters,
    Checkpointing,
    Full,
    Lora,
    Method,
    Offload,
    OffloadTo,
    Plan,
    Precision,
    Pretrain,
    Sharding,
    Split,
    Train,
)
from llmplanner.core.recipes import stored_as
from llmplanner.core.sharding import device_models
from llmplanner.core.step import one_step
from llmplanner.core.tensors import parameters
from llmplanner.core.terms import activations
from llmplanner.models.config import from_config

CARD = Device("a card", 80 * 2**30)
GIB = 2**30
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 24,
    "hidden_size": 1024,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 2816,
    "vocab_size": 32768,
}
MIXTRAL = {**LLAMA, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
# Korthikanti et al. 2022 (arXiv:2205.05198), table 3: heads, hidden size, layers; sequences of 2,048, t = 8
GPT_3 = (96, 12288, 96)
MT_NLG = (128, 20480, 105)


@cache
def llama(layers: int = 24, *, tied: bool = False) -> Model:
    config = LLAMA | {"num_hidden_layers": layers, "tie_word_embeddings": tied}
    return from_config(config, "a llama", "config.json")


@cache
def mixtral() -> Model:
    return from_config(MIXTRAL, "a mixtral", "config.json")


@cache
def gpt(heads: int, hidden: int, layers: int) -> Model:
    """GPT with a fused GELU and dropout, as in the paper."""
    sizes = {"n_head": heads, "n_embd": hidden, "n_layer": layers, "vocab_size": 51200, "n_positions": 2048}
    return from_config({"model_type": "gpt2", "activation_function": "gelu", **sizes}, "GPT", "config.json")


def plan(split: Split, train: Train | None = None, model: Model | None = None) -> Plan:
    machine = Machine((CARD,) * split.devices)
    return Plan(model or llama(), Pretrain(train or Train(512), 10**9), machine, split, FORMATS["bf16"])


def devices(
    split: Split, train: Train | None = None, model: Model | None = None
) -> tuple[DeviceEstimate, ...]:
    return estimate(plan(split, train, model)).devices


def named(phase: Phase) -> dict[str, Term]:
    return {term.name: term for term in phase.terms}


def tensors(device: DeviceEstimate) -> int:
    """The peak without what the process takes beside its tensors."""
    return max(
        sum(int(term.bytes) for term in phase.terms if term.name != "runtime") for phase in device.phases
    )


# Against the papers


@pytest.mark.parametrize("shape", [GPT_3, MT_NLG], ids=["GPT-3", "MT-NLG"])
@pytest.mark.parametrize("sequence_parallel", [False, True], ids=["tensor", "tensor and sequence"])
def test_a_layer_keeps_what_korthikanti_counts(
    shape: tuple[int, int, int], *, sequence_parallel: bool
) -> None:
    """Equations 1, 2 and 4, bytes of one layer for one sequence. The walk has statistics of norms besides."""
    heads, hidden, layers = shape
    s, t, scores = 2048, 8, 5 * heads * 2048 / hidden
    train = Train(s, 1, Precision.BF16, attention=AttentionKernel.EAGER)

    def kept(tensor: int) -> float:
        split = Split(tensor=tensor, sequence_parallel=sequence_parallel and tensor > 1)
        (share,) = device_models(gpt(*shape), split)
        step = one_step(share.model, train, split)
        return sum(int(part.bytes) for part in activations.by_cause(step.layers)) / layers

    assert kept(1) == pytest.approx(s * hidden * (34 + scores), rel=0.001)
    whole = s * hidden * (10 + 24 / t + scores / t)
    expected = s * hidden / t * (34 + scores) if sequence_parallel else whole
    assert kept(t) == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize("shape", [GPT_3, MT_NLG], ids=["GPT-3", "MT-NLG"])
@pytest.mark.parametrize(
    ("kept", "sequence_parallel", "expected"),
    [
        (Checkpointing.SELECTIVE, False, 10 + 24 / 8),
        (Checkpointing.SELECTIVE, True, 34 / 8),
        (Checkpointing.FULL, False, 2),
        (Checkpointing.FULL, True, 2 / 8),
    ],
)
def test_a_layer_computed_again_keeps_what_korthikanti_counts(
    shape: tuple[int, int, int], kept: Checkpointing, *, sequence_parallel: bool, expected: float
) -> None:
    """Table 2: bytes for each token and each element of the hidden size, over eight devices."""
    train = Train(2048, 1, Precision.BF16, attention=AttentionKernel.EAGER, checkpointing=kept)
    split = Split(tensor=8, sequence_parallel=sequence_parallel)
    (share,) = device_models(gpt(*shape), split)
    step = one_step(share.model, train, split)
    full = kept is Checkpointing.FULL
    parts = [activations.checkpoints(step)] if full else activations.by_cause(step.layers)
    found = sum(int(part.bytes) for part in parts) / shape[2] / 2048 / shape[1]
    assert found == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize(("stages_", "chunks"), [(4, 1), (8, 1), (4, 2), (4, 3), (8, 3), (2, 6)])
def test_the_first_stage_holds_what_korthikanti_counts(stages_: int, chunks: int) -> None:
    """Section 4.2.3: L layers of one micro-batch, interleaved 1 + (p - 1) / (p m) times as much."""
    split = Split(pipeline=stages_, chunks=chunks)
    layers_each = 24 / stages_ / chunks
    held = passes(split, 0, 1000) * layers_each
    factor = 1 + (stages_ - 1) / (stages_ * chunks) if chunks > 1 else 1
    assert held == pytest.approx(24 * factor)


def test_zero_with_master_weights_divides_as_its_paper_shows() -> None:
    """ZeRO (arXiv:1910.02054), figure 1: 16 bytes for each parameter, in the shares of its stages over 64."""
    whole = 16 * parameters(llama()).total
    for stage, paper in ((0, 120), (1, 31.4), (2, 16.6), (3, 1.9)):
        split = Split(data=64, zero=stage)
        update = named(devices(split, Train(512, precision=Precision.BF16_MASTER))[0].phases[2])
        kept = sum(
            int(update[name].bytes) for name in ("weights", "gradients", "optimizer", "master_weights")
        )
        assert kept / whole == pytest.approx(paper / 120, rel=0.02)


def test_longer_sequences_over_more_devices_need_as_much() -> None:
    """Torchtitan measured 83.9, 84.2 and 84.0 GiB at 32k, 64k and 128k tokens over 1, 2 and 4 devices."""
    found = [
        tensors(
            devices(
                Split(data=8 // ways, context=ways, zero=3),
                Train(32_768 * ways, checkpointing=Checkpointing.FULL),
            )[0]
        )
        for ways in (1, 2, 4)
    ]
    assert found[1:] == pytest.approx(found[:1] * 2, rel=0.02)


# What must hold of any split


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.booleans())
def test_the_stages_hold_the_model_together(layers: int, count: int, chunks: int, tied: bool) -> None:
    model = llama(layers, tied=tied)
    split = Split(pipeline=count, chunks=chunks)
    if count > 1 and (count * chunks > layers or (chunks > 1 and layers % (count * chunks))):
        with pytest.raises(BadInput) as caught:
            stages(model, split)
        assert caught.value.field == "pp"
        return
    found = stages(model, split)
    twice = 32768 * 1024 if tied and count > 1 else 0  # a tied matrix is on the first and on the last
    assert sum(parameters(stage.model).total for stage in found) == parameters(model).total + twice
    depths = [stage.model.stacks[0].depth for stage in found]
    assert sum(depths) == layers
    assert depths == sorted(depths, reverse=True)
    assert depths[0] - depths[-1] <= 1


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([*Precision]),
    st.sampled_from([AttentionKernel.EAGER, AttentionKernel.SDPA]),
    st.sampled_from([Checkpointing.NONE, Checkpointing.FULL]),
    st.integers(1, 4096),
    st.integers(1, 4),
)
def test_more_tensor_parallel_never_needs_more(
    precision: Precision, kernel: AttentionKernel, kept: Checkpointing, sequence: int, batch: int
) -> None:
    train = Train(sequence, batch, precision, attention=kernel, checkpointing=kept)
    for sliced in (False, True):
        sizes = [
            tensors(devices(Split(tensor=ways, sequence_parallel=sliced and ways > 1), train)[0])
            for ways in (1, 2, 4)
        ]
        more = 0 if not sliced else 8 * sequence * batch * 1024  # what is gathered for one product
        assert sizes[1] <= sizes[0] + more
        assert sizes[2] <= sizes[1]


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 1000), st.integers(1, 3))
def test_the_shares_of_zero_add_up_to_the_whole(count: int, stage: int) -> None:
    whole = named(devices(Split())[0].phases[2])
    share = named(devices(Split(data=count, zero=stage))[0].phases[2])
    divided = ("optimizer", "gradients", "weights")[:stage]
    for name in ("optimizer", "gradients", "weights"):
        times = count if name in divided else 1
        assert 0 <= times * share[name].bytes - whole[name].bytes < count


def _asked(one: Plan) -> tuple[Estimate | None, str | None]:
    """The estimate, or the field that is refused."""
    try:
        return estimate(one), None
    except BadInput as refusal:
        return None, refusal.field


SPLITS = st.builds(
    Split,
    data=st.sampled_from([1, 2, 3, 8]),
    tensor=st.sampled_from([1, 2, 4]),
    zero=st.integers(0, 3),
    pipeline=st.sampled_from([1, 2, 5]),
    context=st.sampled_from([1, 2]),
    expert=st.sampled_from([1, 2, 4]),
    sequence_parallel=st.booleans(),
    chunks=st.sampled_from([1, 2]),
    group=st.sampled_from([None, 2, 4]),
    sharding=st.sampled_from([*Sharding]),
    offload=st.sampled_from([*Offload]),
)
METHODS = [Full(), Full(frozen_layers=7), Lora(8), Lora(8, quantized=True), Adapters(32)]


@settings(deadline=None, max_examples=150)
@given(SPLITS, st.sampled_from(METHODS), st.sampled_from([*Precision]), st.sampled_from([1, 6]))
def test_any_split_gives_bounded_terms_or_one_sentence(
    split: Split, method: Method, precision: Precision, micro_batches: int
) -> None:
    train = Train(256, 2, precision, method=method, accumulation=micro_batches)
    asked = replace(plan(split, train, mixtral()), weights=stored_as(mixtral(), "nf4-double"))
    answer, field = _asked(asked)
    if answer is None:
        assert field in {"pp", "hybrid", "offload"}
        return
    assert len(answer.devices) == split.devices
    for device in answer.different:
        for phase in device.phases:
            for term in phase.terms:
                assert 0 <= term.low <= term.bytes <= term.high
                assert sum(int(part.bytes) for part in term.parts) == term.bytes


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_group_shares_as_if_it_were_alone(stage: int) -> None:
    alone, grouped = (
        devices(split)[0].phases[2]
        for split in (Split(data=4, zero=stage), Split(data=16, zero=stage, group=4))
    )
    for name in ("weights", "gradients", "optimizer"):
        assert named(alone)[name].bytes == named(grouped)[name].bytes


def test_devices_of_expert_parallel_share_all_but_the_experts() -> None:
    """Divided first by experts or not, ZeRO 3 leaves each of four devices a quarter of everything."""
    by_experts, by_data = (
        named(devices(split, model=mixtral())[0].phases[2])
        for split in (Split(expert=4, zero=3), Split(data=4, zero=3))
    )
    for name in ("weights", "gradients", "optimizer"):
        assert by_experts[name].bytes == by_data[name].bytes
    whole, part = (
        parameters(share.model).total
        for split in (Split(), Split(expert=4))
        for share in device_models(mixtral(), split)
    )
    experts = 24 * 8 * 3 * 1024 * 2816
    assert whole - part == experts * 3 // 4


def test_tokens_of_experts_travel() -> None:
    parts = {
        part.name: part
        for term in devices(Split(expert=4), model=mixtral())[0].phases[0].terms
        if term.name == "communication"
        for part in term.parts
    }
    assert parts["sent to experts and back"].bytes == 2 * 2 * 512 * 1024 * 2  # top_k, tokens, hidden, 16 bits


def test_stages_stand_in_the_order_of_the_machine_and_say_what_they_do() -> None:
    found = devices(Split(pipeline=4, tensor=2, data=2), Train(512, accumulation=8), llama(26))
    assert len(found) == 16
    assert [device.role for device in found[::4]] == [
        "stage 1 of 4: embeddings, layers 0 to 6; a layer more than the last; 4 micro-batches in flight",
        "stage 2 of 4: layers 7 to 13; a layer more than the last; 3 micro-batches in flight",
        "stage 3 of 4: layers 14 to 19; 2 micro-batches in flight",
        "stage 4 of 4: layers 20 to 25, head; 1 micro-batch in flight",
    ]
    assert found[0] is found[3]
    forward = [int(named(device.phases[0])["activations"].bytes) for device in found[::4]]
    assert forward == sorted(forward, reverse=True)  # the first stage holds most micro-batches
    assert "logits" in named(found[-1].phases[0])


def test_with_few_micro_batches_no_stage_holds_more_of_them() -> None:
    few, many = (
        named(devices(Split(pipeline=4), Train(512, accumulation=count))[0].phases[0])["activations"]
        for count in (1, 64)
    )
    assert int(many.bytes) > 3 * int(few.bytes)


def test_a_quantized_base_is_gathered_packed() -> None:
    split = Split(data=4, zero=3)
    asked = plan(split, Train(512, method=Lora(16, quantized=True)))
    packed = replace(asked, weights=stored_as(llama(), "nf4-double"))
    found = [
        int(part.bytes)
        for one in (asked, packed)
        for part in named(estimate(one).devices[0].phases[0])["communication"].parts
        if part.name == "gathered weights"
    ]
    outside = 2 * (2 * 32768 * 1024 + 1024)
    assert (found[1] - outside) < 0.3 * (found[0] - outside)


def test_a_later_stage_of_adapters_has_gradients_for_the_one_before() -> None:
    train = Train(512, precision=Precision.BF16, method=Lora(16, targets=("down_proj",)))
    first, second = (
        one_step(share.model, train, Split(pipeline=2)).layers
        for share in device_models(llama(), Split(pipeline=2))
    )
    assert first[0].saved() < second[0].saved() == first[-1].saved()


def test_deepspeed_gathers_up_to_its_bounds() -> None:
    split = Split(data=8, zero=3, sharding=Sharding.DEEPSPEED)
    big = from_config(LLAMA | {"hidden_size": 8192, "num_hidden_layers": 64}, "big", "config.json")
    parts = {
        part.name: int(part.bytes)
        for part in named(devices(split, model=big)[0].phases[1])["communication"].parts
    }
    assert parts["gathered weights"] == 2 * (10**9 + 5 * 10**7)
    assert parts["gradients in a bucket"] == 2 * 5 * 10**8


# Offload


@pytest.mark.parametrize("to", list(OffloadTo))
def test_what_is_offloaded_lies_on_the_host(to: OffloadTo) -> None:
    whole = named(devices(Split())[0].phases[2])
    answer = estimate(plan(Split(offload=Offload.OPTIMIZER, offload_to=to)))
    update = named(answer.devices[0].phases[2])
    assert update["optimizer"].bytes == 0
    assert update["weights"].bytes == whole["weights"].bytes
    assert answer.host is not None
    kept = {part.name: int(part.bytes) for part in answer.host.parts}
    assert kept["moments"] == whole["optimizer"].bytes
    assert kept["gradients"] == whole["gradients"].bytes
    assert answer.host.seconds is not None
    assert "PCIe 4.0 × 16, assumed" in answer.host.formula  # a newer card's link is twice as fast
    pcie = (whole["gradients"].bytes + whole["weights"].bytes) / 31.5e9
    assert (
        answer.host.seconds > 5 * pcie if to is OffloadTo.DISK else answer.host.seconds == pytest.approx(pcie)
    )


def test_the_host_holds_what_deepspeed_reckons() -> None:
    """Its estimator says 1.35 GiB for T5-small on one GPU, a third of them room for buffers."""
    t5 = from_config({"model_type": "t5"}, "T5-small", "config.json")
    train = Train(512, precision=Precision.BF16_MASTER)
    host = estimate(plan(Split(offload=Offload.OPTIMIZER, zero=1), train, t5)).host
    assert host is not None
    assert int(host.bytes) * 1.5 / GIB == pytest.approx(1.35, abs=0.005)


def test_offloaded_parameters_come_a_layer_at_a_time() -> None:
    answer = estimate(plan(Split(zero=3, offload=Offload.PARAMETERS)))
    gathered = named(answer.devices[0].phases[1])["communication"]
    assert gathered.bytes < parameters(llama()).total  # a layer or two and what is outside, of 2 bytes each
    assert all(int(named(phase)["weights"].bytes) == 0 for phase in answer.devices[0].phases)


def test_an_offload_larger_than_the_computer_is_refused() -> None:
    asked = plan(Split(offload=Offload.OPTIMIZER))

    def within(room: int) -> Estimate:
        return estimate(replace(asked, machine=replace(asked.machine, host_memory=room)))

    needed = within(2**50).host
    assert needed is not None
    assert within(int(needed.bytes)).host == needed
    with pytest.raises(BadInput, match="memory of the computer") as caught:
        within(int(needed.bytes) - 1)
    assert caught.value.field == "offload"


# Refusals, speed


@pytest.mark.parametrize(
    ("split", "field", "words"),
    [
        (Split(tensor=3), "tp", "2 or 4 would do"),
        (Split(tensor=32), "tp", "16 would do"),
        (Split(pipeline=25), "pp", "at most 24"),
        (Split(pipeline=5, chunks=2), "pp", "8 or 12 would do"),
        (Split(context=3), "cp", "2 or 4 would do"),
        (Split(expert=2), "ep", "no experts"),
        (Split(data=8, zero=3, group=3), "hybrid", "2 or 4 would do"),
        (Split(data=8, group=4), "hybrid", "zero"),
        (Split(offload=Offload.PARAMETERS), "offload", "stage 3"),
    ],
    ids=str,
)
def test_what_does_not_divide_is_refused_with_what_would(split: Split, field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        devices(split)
    assert caught.value.field == field
    assert str(caught.value).count(".") == 1


def test_experts_context_and_stages_of_others_are_refused() -> None:
    t5 = from_config({"model_type": "t5"}, "T5", "config.json")
    for split, field, model in (
        (Split(expert=3), "ep", mixtral()),
        (Split(pipeline=2), "pp", t5),
        (Split(context=2), "cp", t5),
    ):
        with pytest.raises(BadInput) as caught:
            devices(split, model=model)
        assert caught.value.field == field
    with pytest.raises(BadInput, match="fused attention"):
        devices(Split(context=2), Train(512, attention=AttentionKernel.EAGER))


def test_a_million_devices_in_stages_are_answered_at_once() -> None:
    asked = plan(Split(pipeline=4, data=250_000, zero=3), Train(512, accumulation=8))
    times = []
    for _ in range(3):
        start = process_time()
        answer = estimate(asked)
        different = answer.different
        pairs = answer.beside(asked.machine.devices)
        times.append(process_time() - start)
    assert len(answer.devices) == 1_000_000
    assert len(different) == len(pairs) == 4
    assert min(times) < 0.5

"""A training step against measured ones: what is kept, the peak and its phase; splits, maps, refusals."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmplanner.core import training
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate, Phase, Term
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Attention, Model
from llmplanner.core.plan import (
    Checkpointing,
    FineTune,
    Loss,
    Optimizer,
    Plan,
    Precision,
    Serve,
    Split,
    Train,
)
from llmplanner.core.sharding import device_model
from llmplanner.core.step import Step, one_step
from llmplanner.core.tensors import parameters
from llmplanner.core.terms import activations, loss
from llmplanner.core.zero import shares
from llmplanner.models.config import from_config
from tests.reference import needs_reference
from tests.training_rows import DECODERS, MASKED, ROWS, Row, model, step

DEVICE = Device("a card", 80 * 2**30)
TINY = 4096  # bytes of buffers, which the planner leaves out
ALONE = Split()
STEADY = ("steady_forward_peak_bytes", "steady_backward_peak_bytes", "steady_step_peak_bytes")
WITH_OPTIMIZER = [row for row in DECODERS if row["optimizer"] != "none"]
WITHOUT = [row for row in DECODERS if row["optimizer"] == "none"]
OTHERS = [row for row in ROWS if row["family"] in {"bert", "t5"}]
# A mask makes PyTorch take the same kernel whether it hides padding or what lies outside a window.
MASKED_LLAMAS = [
    row for row in MASKED if row["family"] in {"llama", "qwen2", "mixtral"} and row["attention"] == "sdpa"
]

SMOLLM = {
    "model_type": "llama",
    "num_hidden_layers": 30,
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
}


@dataclass(frozen=True)
class Answer:
    """What the planner says to one row."""

    kept: int
    phases: tuple[Phase, ...]

    @property
    def peak(self) -> Phase:
        return max(self.phases, key=lambda phase: phase.bytes)


@cache
def answer(number: int) -> Answer:
    row = ROWS[number]
    one = one_step(model(row), step(row), ALONE)
    return Answer(kept(one), training.tensors(one))


def kept(one: Step) -> int:
    """What the table calls activations: all that is kept, but token ids and labels."""
    parts = [*activations.activations(one), *loss.saved(one)]
    return int(sum(part.bytes for part in parts) - activations.inputs(one).bytes)


def answers(given_rows: Iterable[Row]) -> list[tuple[Row, Answer]]:
    numbers = {row["id"]: number for number, row in enumerate(ROWS)}
    return [(row, answer(numbers[row["id"]])) for row in given_rows]


def errors(predicted: list[int], measured: list[int]) -> np.ndarray:
    return np.sort(np.abs(np.asarray(predicted) / np.asarray(measured) - 1))


def at(sorted_errors: np.ndarray, share: float) -> float:
    return float(sorted_errors[int(share * (len(sorted_errors) - 1))])


def named(phase: Phase) -> dict[str, Term]:
    return {term.name: term for term in phase.terms}


@needs_reference
@pytest.mark.parametrize("family", sorted({row["family"] for row in ROWS}))
def test_what_the_forward_pass_keeps_is_counted_to_the_byte(family: str) -> None:
    found = answers(row for row in ROWS if row["family"] == family and row["checkpointing"] == "none")
    wrong = [row["id"] for row, said in found if abs(said.kept - int(row["activations_live_bytes"])) > TINY]
    assert wrong == []


@needs_reference
def test_a_window_shorter_than_the_sequence_takes_the_kernel_with_a_mask() -> None:
    def windowed(built: Model) -> Model:
        stack = built.stacks[0]
        group = stack.groups[0]
        inner = group.layer.attention
        assert isinstance(inner, Attention)
        layer = replace(group.layer, attention=replace(inner, window=1))
        return replace(built, stacks=(replace(stack, groups=(replace(group, layer=layer),)),))

    assert len(MASKED_LLAMAS) > 20
    for row in MASKED_LLAMAS:
        one = one_step(windowed(model(row)), replace(step(row), padded=False), ALONE)
        assert abs(kept(one) - int(row["activations_live_bytes"])) < TINY


@needs_reference
@pytest.mark.parametrize("family", ["bert", "t5"])
def test_encoders_peak_within_two_percent_for_nineteen_in_twenty(family: str) -> None:
    found = answers(row for row in OTHERS if row["family"] == family and row["optimizer"] != "none")
    off = errors(
        [int(said.peak.bytes) for _, said in found], [int(row["total_peak_bytes"]) for row, _ in found]
    )
    assert len(off) > 40
    assert at(off, 0.95) < 0.02


@needs_reference
def test_what_checkpointing_keeps_is_near_exact() -> None:
    found = answers(row for row in DECODERS if row["checkpointing"] == "full")
    off = errors([said.kept for _, said in found], [int(row["activations_live_bytes"]) for row, _ in found])
    assert len(off) > 100
    assert off[-1] < 0.0001


@needs_reference
@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_the_peak_is_within_two_in_a_thousand_for_nineteen_in_twenty(checkpointing: str) -> None:
    found = answers(row for row in WITH_OPTIMIZER if row["checkpointing"] == checkpointing)
    off = errors(
        [int(said.peak.bytes) for _, said in found], [int(row["total_peak_bytes"]) for row, _ in found]
    )
    assert len(off) >= 50
    assert at(off, 0.95) < 0.002
    assert off[-1] < 0.02


@needs_reference
def test_the_peak_is_in_the_phase_where_it_was_measured() -> None:
    found = answers(WITH_OPTIMIZER)
    assert [row["id"] for row, said in found if said.peak.name != row["peak_phase"]] == []


@needs_reference
@pytest.mark.parametrize(("place", "column"), list(enumerate(STEADY)), ids=STEADY)
def test_each_phase_has_its_measured_peak(place: int, column: str) -> None:
    found = answers(WITH_OPTIMIZER)
    off = errors([int(said.phases[place].bytes) for _, said in found], [int(row[column]) for row, _ in found])
    assert at(off, 0.95) < 0.01
    assert at(off, 0.5) < 0.0001


@needs_reference
def test_the_first_step_of_small_models_has_its_measured_peaks() -> None:
    found = [(row, said) for row, said in answers(WITHOUT) if row["checkpointing"] == "none"]
    for place, column in ((0, "forward_peak_extra_bytes"), (1, "backward_peak_extra_bytes")):
        beside = [int(row["weights_bytes"]) + int(row["inputs_bytes"]) for row, _ in found]
        predicted = [
            int(said.phases[place].bytes) - more for (_, said), more in zip(found, beside, strict=True)
        ]
        assert at(errors(predicted, [int(row[column]) for row, _ in found]), 0.95) < 0.02


@needs_reference
def test_gradients_and_optimizer_state_are_exact() -> None:
    for row, said in answers(WITH_OPTIMIZER):
        terms = named(said.phases[2])
        assert terms["gradients"].bytes == int(row["gradients_bytes"])
        state = terms["optimizer"].bytes if "optimizer" in terms else 0
        assert state == int(row["optimizer_bytes"])


@pytest.mark.parametrize(
    "model_type", ["bart", "bert", "deepseek_v3", "gemma2", "gpt2", "llama", "opt", "t5"]
)
def test_a_step_holds_sixteen_bytes_for_each_parameter(model_type: str) -> None:
    built = from_config({"model_type": model_type}, model_type, "config.json")
    for kernel in AttentionKernel:
        for kept_layers in Checkpointing:
            peak = device(Train(512, 2, attention=kernel, checkpointing=kept_layers), built)
            assert 16 * parameters(built).total <= tensors_of(peak.phases[2])


def test_bloom_keeps_the_input_of_its_gelu_alone() -> None:
    """BloomGelu trains through a function of its own: its forward pass keeps what a fused one does."""
    sizes = {"hidden_size": 256, "n_layer": 2, "n_head": 4, "vocab_size": 1024}
    bloom = from_config({"model_type": "bloom", **sizes}, "BLOOM", "config.json")
    step = one_step(bloom, Train(512, precision=Precision.BF16), ALONE)
    kept_inside = sum(part.bytes for part in activations.by_cause(step.layers) if part.name == "feed-forward")
    assert kept_inside == 2 * 512 * 2 * (256 + 2 * 4 * 256)  # layers, tokens, bytes: x, its product, its GELU


# One row of each kind for those who have no table: SmolLM2-135M (training.csv, real-smollm2-135m-*).


def plan(train: Train, built: Model | None = None, split: Split = ALONE) -> Plan:
    built = built or from_config(SMOLLM, "SmolLM2-135M", "config.json")
    machine = Machine((DEVICE,) * split.devices)
    return Plan(built, FineTune(train), machine, split, FORMATS["bf16"])


def device(train: Train, built: Model | None = None, split: Split = ALONE) -> DeviceEstimate:
    return training.train(plan(train, built, split)).devices[0]


def tensors_of(phase: Phase) -> int:
    """What the table counts: tensors, without the CUDA context."""
    return sum(int(term.bytes) for term in phase.terms if term.name != "runtime")


@pytest.mark.parametrize(
    ("train", "peaks"),
    [
        (
            Train(2048, 1, Precision.BF16, Optimizer.ADAMW_FUSED),
            (3_336_413_088, 3_537_706_904, 1_076_154_176),
        ),
        (Train(1024, 2, optimizer=Optimizer.ADAMW), (4_773_434_088, 4_970_009_304, 2_690_333_184)),
        (
            Train(2048, 4, optimizer=Optimizer.ADAMW_FUSED, checkpointing=Checkpointing.FULL),
            (6_543_324_264, 7_117_288_520, 2_152_372_544),
        ),
    ],
    ids=["bf16", "autocast", "autocast with checkpointing"],
)
def test_smollm2_has_its_measured_peaks(train: Train, peaks: tuple[int, int, int]) -> None:
    phases = device(train).phases
    assert [tensors_of(phase) for phase in phases] == pytest.approx(peaks, rel=0.0005)


def test_each_phase_names_the_terms_that_are_alive_in_it() -> None:
    forward, backward, update = device(Train(1024)).phases
    assert [*named(forward)] == [
        "weights",
        "optimizer",
        "activations",
        "logits",
        "temporaries",
        "runtime",
    ]
    assert "gradients" not in named(forward)  # freed before the forward pass
    assert "logits" in named(backward)
    assert {"gradients", "temporaries"} <= {*named(update)}


def test_terms_carry_formula_source_bounds_and_parts_that_add_up() -> None:
    for phase in device(Train(1024), split=Split(data=2, zero=3)).phases:
        for term in phase.terms:
            assert term.formula
            assert term.source
            assert term.low <= term.bytes <= term.high
            assert sum(part.bytes for part in term.parts) == term.bytes


# Splits


def test_zero_divides_as_its_paper_shows() -> None:
    """ZeRO, arXiv:1910.02054, Figure 1: 7.5e9 parameters over 64 devices, in GB."""
    size = 7_500_000_000
    stages = [shares(2 * size, 2 * size, 12 * size, 64, stage).total / 1e9 for stage in range(4)]
    assert stages == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_each_zero_stage_needs_no_more_than_the_one_before(stage: int) -> None:
    whole = device(Train(512), split=Split(data=8, zero=stage - 1)).phases[2].bytes
    assert device(Train(512), split=Split(data=8, zero=stage)).phases[2].bytes < whole


def test_data_parallel_devices_hold_buckets_of_gradients() -> None:
    terms = named(device(Train(512), split=Split(data=2)).phases[2])
    assert terms["communication"].bytes == terms["gradients"].bytes
    assert terms["communication"].low == 0  # gradients that are views of their buckets


def test_what_is_divided_is_said_to_be_unmeasured_and_has_a_band() -> None:
    whole, divided = (device(Train(512), split=each).phases[2] for each in (ALONE, Split(data=4, zero=3)))
    for name in ("weights", "gradients", "optimizer"):
        assert named(whole)[name].low == named(whole)[name].high
        assert named(divided)[name].low < named(divided)[name].bytes < named(divided)[name].high
        assert "not measured" in named(divided)[name].source


@pytest.mark.parametrize("checkpointing", list(Checkpointing))
def test_zero_3_never_holds_a_16_bit_copy_of_the_whole_model(checkpointing: Checkpointing) -> None:
    """Gathered weights are freed after their layer (Zhao et al. 2023): two layers and what is outside."""
    split = Split(data=8, zero=3)
    table = 49_152 * 576
    layer = (parameters(from_config(SMOLLM, "", "")).total - table) // 30
    for phase in device(Train(512, checkpointing=checkpointing), split=split).phases:
        terms = named(phase)
        assert not any("cast by autocast" in part.name for term in phase.terms for part in term.parts)
        for part in terms["communication"].parts if "communication" in terms else ():
            if part.name == "gathered weights":
                assert part.bytes == pytest.approx(2 * (2 * layer + table), rel=0.001)


@pytest.mark.parametrize(
    "split", [Split(data=2), Split(data=2, zero=1), Split(data=4, zero=3), Split(tensor=3)], ids=str
)
def test_over_several_devices_no_term_claims_to_be_measured(split: Split) -> None:
    for phase in device(Train(512), split=split).phases:
        for term in phase.terms:
            counted = term.name in {"weights", "gradients", "optimizer"} and split == Split(data=2)
            assert counted or term.low < term.bytes < term.high
            assert counted or term.name == "runtime" or "not measured" in term.source
            assert counted or not term.measured or term.name == "optimizer"


def test_tensor_parallel_devices_hold_the_model_together() -> None:
    built = from_config(SMOLLM | {"vocab_size": 49_152}, "SmolLM2-135M", "config.json")
    one, three = (parameters(device_model(built, count)).total for count in (1, 3))
    norms = (2 * 30 + 1) * 576  # whole on each device
    assert 3 * (three - norms) == one - norms


def test_tensor_parallelism_divides_what_is_inside_a_layer() -> None:
    train = Train(4096, attention=AttentionKernel.EAGER)
    one, three = (device(train, split=Split(tensor=count)) for count in (1, 3))
    kept = [named(each.phases[0])["activations"].bytes for each in (one, three)]
    assert kept[0] / 3 < kept[1] < kept[0] / 2
    assert named(three.phases[0])["logits"].bytes < named(one.phases[0])["logits"].bytes / 2.9


@pytest.mark.parametrize("tensor", [2, 4, 16])
def test_heads_that_do_not_divide_are_refused(tensor: int) -> None:
    with pytest.raises(BadInput, match="attention heads") as caught:
        device(Train(512), split=Split(tensor=tensor))
    assert caught.value.field == "tp"


# Maps of plans, speed, refusals


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([*Precision]),
    st.sampled_from([AttentionKernel.EAGER, AttentionKernel.SDPA]),
    st.sampled_from([*Checkpointing]),
    st.sampled_from([*Optimizer]),
    st.sampled_from([Split(), Split(data=4, zero=3), Split(tensor=3)]),
)
def test_a_map_of_plans_holds_what_each_plan_gives(
    precision: Precision, kernel: AttentionKernel, kept: Checkpointing, rule: Optimizer, split: Split
) -> None:
    sequences, batches = np.array([[1], [77], [4096]]), np.array([[1, 2, 9]])
    whole = device(Train(sequences, batches, precision, rule, kernel, kept), split=split)
    for row, sequence in enumerate((1, 77, 4096)):
        for column, batch in enumerate((1, 2, 9)):
            single = device(Train(sequence, batch, precision, rule, kernel, kept), split=split)
            for many, phase in zip(whole.phases, single.phases, strict=True):
                assert np.broadcast_to(many.bytes, (3, 3))[row, column] == phase.bytes


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([*Loss]),
    st.sampled_from([Precision.FP32, Precision.BF16, Precision.BF16_MIXED]),
    st.sampled_from([*AttentionKernel]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 3]),
)
def test_a_map_of_losses_masks_and_micro_batches_holds_what_each_plan_gives(  # noqa: PLR0917 - drawn
    way: Loss, precision: Precision, kernel: AttentionKernel, padded: bool, held: bool, batches: int
) -> None:
    if kernel is AttentionKernel.FLASH and precision is Precision.FP32:
        return
    step = Train(
        np.array([1, 77, 4096]),
        2,
        precision,
        attention=kernel,
        loss=way,
        padded=padded,
        keep_logits=held,
        accumulation=batches,
    )
    whole = device(step)
    for place, sequence in enumerate((1, 77, 4096)):
        for many, phase in zip(whole.phases, device(replace(step, sequence=sequence)).phases, strict=True):
            assert np.broadcast_to(many.bytes, 3)[place] == phase.bytes


def test_each_phase_says_where_its_peak_is() -> None:
    forward, backward, update = device(Train(1024)).phases
    assert [forward.moment, backward.moment, update.moment] == ["at the loss", "at the loss", "in the update"]
    fused = device(Train(1024, loss=Loss.FUSED)).phases[1]
    assert fused.moment == "inside layer 29"  # where the logits are never all there
    eager = Train(2048, 4, attention=AttentionKernel.EAGER, checkpointing=Checkpointing.FULL, loss=Loss.FUSED)
    assert device(eager).phases[1].moment == "inside layer 29"
    assert device(replace(eager, micro_batch=1)).phases[1].moment == "inside layer 0"  # more gradients
    t5 = from_config({"model_type": "t5", "vocab_size": 1000}, "T5", "config.json")
    assert "of the encoder" in device(replace(eager, loss=Loss.WHOLE, target=64), t5).phases[1].moment


def test_a_fused_loss_never_has_the_logits_of_all_tokens() -> None:
    logits = 4 * 8192 * 49_152  # bytes, in FP32
    for way, least in ((Loss.WHOLE, 2 * logits), (Loss.CHUNKED, logits), (Loss.FUSED, 0)):
        found = device(Train(8192, loss=way)).phases[1].terms
        assert named_bytes(found, "logits") >= least
    assert named_bytes(device(Train(8192, loss=Loss.FUSED)).phases[0].terms, "logits") < logits / 4


def named_bytes(terms: tuple[Term, ...], name: str) -> int:
    return int(sum(term.bytes for term in terms if term.name == name))


def test_a_master_copy_is_as_large_as_fp32_weights() -> None:
    master = named(device(Train(512, precision=Precision.BF16_MASTER)).phases[2])
    mixed = named(device(Train(512, precision=Precision.BF16_MIXED)).phases[2])
    assert master["master_weights"].bytes == mixed["weights"].bytes == 2 * master["weights"].bytes
    assert master["optimizer"].bytes == mixed["optimizer"].bytes


def test_fp8_keeps_less_than_16_bits_and_says_that_nobody_measured_it() -> None:
    terms = [
        named(device(Train(2048, precision=precision)).phases[0])["activations"]
        for precision in (Precision.FP8_MIXED, Precision.BF16_MIXED)
    ]
    assert terms[0].bytes < terms[1].bytes < terms[0].high
    assert "not measured" in terms[0].note
    assert not terms[0].measured


def test_a_fused_loss_is_refused_where_it_is_not_written_for() -> None:
    bert = from_config({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, "BERT", "config.json")
    with pytest.raises(BadInput, match="written for decoders") as caught:
        device(Train(512, loss=Loss.FUSED), bert)
    assert caught.value.field == "loss"


def test_more_tokens_never_need_less() -> None:
    map_of_plans = device(Train(np.arange(1, 500), 2, attention=AttentionKernel.EAGER))
    for phase in map_of_plans.phases[:2]:
        assert np.all(np.diff(np.asarray(phase.bytes)) > 0)


def test_serving_and_flash_attention_in_fp32_are_refused() -> None:
    served = plan(Train(1))
    served = Plan(served.model, Serve(1024), served.machine, served.split, served.weights)
    with pytest.raises(BadInput, match="no training step"):
        training.train(served)
    with pytest.raises(BadInput, match="16 bits"):
        device(Train(1024, precision=Precision.FP32, attention=AttentionKernel.FLASH))

"""Optimizers against what was counted of PyTorch, Transformers, bitsandbytes and torchao, and papers."""

import csv
from math import prod
from pathlib import Path

import pytest

from llmplanner.core import training
from llmplanner.core.estimate import Term
from llmplanner.core.optimizer_state import Tensor
from llmplanner.core.optimizers import RULES
from llmplanner.core.plan import Lora, Optimizer, Precision, Split, Train
from llmplanner.core.step import one_step
from llmplanner.models.config import from_config

STEPS = Path(__file__).parents[1] / "data" / "optimizer_steps.csv"
WIDTHS = {"fp32": 4, "bf16": 2}
FOUR = ((1024, 1024), (4096, 1024), (1024,), (32_000, 256))  # the tensors of the counted libraries


def tensors(shapes: str, size: int) -> list[tuple[int, Tensor]]:
    return [(1, Tensor(tuple(int(side) for side in one.split("x")), size)) for one in shapes.split()]


def state(rule: Optimizer, each: list[tuple[int, Tensor]]) -> int:
    return sum(count * kept.bytes(one) for kept in RULES[rule].kept for count, one in each)


with STEPS.open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def test_every_optimizer_has_a_rule_with_a_name_and_a_source() -> None:
    assert {*RULES} == {*Optimizer}
    assert len({rule.name for rule in RULES.values()}) == len(RULES)
    assert all(rule.source for rule in RULES.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['optimizer']}-{row['format']}-{row['shapes']}")
def test_state_and_step_are_what_was_counted(row: dict[str, str]) -> None:
    rule, each = Optimizer(row["optimizer"]), tensors(row["shapes"], WIDTHS[row["format"]])
    counters = 4 * len(each)  # numbers without dimensions were not counted on the CPU
    assert 0 <= state(rule, each) - int(row["state_bytes"]) <= counters
    made = sum(made.bytes for made in RULES[rule].made(each))
    assert abs(made - int(row["step_bytes"])) <= counters


@pytest.mark.parametrize(
    ("rule", "fp32", "bf16"),
    [  # bytes for each parameter, as counted by stepping each on the four tensors
        (Optimizer.SGD, 0, 0),
        (Optimizer.SGD_MOMENTUM, 4, 2),
        (Optimizer.ADAMW, 8, 4),
        (Optimizer.ADAM_AMSGRAD, 12, 6),
        (Optimizer.ADAGRAD, 4, 2),
        (Optimizer.LION, 4, 4),
        (Optimizer.ADAMW_32BIT, 8, 8),
        (Optimizer.ADAMW_8BIT, 2.03, 2.03),
        (Optimizer.PAGED_ADAMW_8BIT, 2.03, 2.03),
        (Optimizer.LION_8BIT, 1.02, 1.02),
        (Optimizer.ADAMW_4BIT, 1.06, 1.06),
        (Optimizer.ADAMW_FP8, 2.03, 2.03),
    ],
    ids=str,
)
def test_bytes_for_each_parameter_are_those_counted(rule: Optimizer, fp32: float, bf16: float) -> None:
    for size, expected in ((4, fp32), (2, bf16)):
        each = [(1, Tensor(shape, size)) for shape in FOUR]
        assert state(rule, each) / sum(prod(shape) for shape in FOUR) == pytest.approx(expected, abs=0.005)


def test_galore_keeps_what_its_paper_counts() -> None:
    """arXiv:2403.03507, Table 1: m r + 2 n r values of an m x n matrix, m <= n."""
    shorter, longer, rank = 4096, 11_008, 128
    for shape in ((shorter, longer), (longer, shorter)):
        assert state(Optimizer.GALORE, [(1, Tensor(shape, 2))]) == 2 * (shorter * rank + 2 * longer * rank)


def test_soap_keeps_what_its_paper_counts() -> None:
    """arXiv:2409.11321, section 7.2: 2 m^2 + 2 n^2 + 3 m n values with the gradient."""
    assert state(Optimizer.SOAP, [(1, Tensor((768, 3072), 4))]) == 4 * (
        2 * 768**2 + 2 * 3072**2 + 2 * 768 * 3072
    )


def test_adam_mini_halves_adams_state() -> None:
    """arXiv:2406.16793: 45 to 50 % less for language models."""
    each = [(1, Tensor((4096, 4096), 4)), (1, Tensor((14_336, 4096), 4)), (2, Tensor((4096,), 4))]
    assert 0.45 < 1 - state(Optimizer.ADAM_MINI, each) / state(Optimizer.ADAMW, each) <= 0.5


def test_muon_leaves_embeddings_norms_and_head_to_adamw() -> None:
    inside, outside = Tensor((512, 512), 4), Tensor((32_000, 512), 4, hidden=False)
    assert state(Optimizer.MUON, [(1, inside)]) == state(Optimizer.SGD_MOMENTUM, [(1, inside)])
    for one in (outside, Tensor((512,), 4)):
        assert state(Optimizer.MUON, [(1, one)]) == state(Optimizer.ADAMW, [(1, one)])


def test_a_side_that_is_too_long_gets_no_matrix() -> None:
    long, short = (Tensor((rows, 64), 4) for rows in (10_001, 10_000))
    assert state(Optimizer.SOAP, [(1, long)]) < state(Optimizer.SOAP, [(1, short)]) / 10
    blocks = state(Optimizer.SHAMPOO, [(1, Tensor((2048, 2048), 4))])
    assert blocks == 4 * (2 * 2048**2) + 4 * 2 * 4 * 2 * 1024**2  # four blocks, each with two factors


# Inside a training step


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
PARAMETERS = 134_515_008


def terms(train: Train, split: Split = Split(), phase: int = 2) -> dict[str, Term]:  # noqa: B008 - frozen
    built = from_config(SMOLLM, "SmolLM2-135M", "config.json")
    return {term.name: term for term in training.tensors(one_step(built, train, split))[phase].terms}


def test_bf16_with_a_master_copy_holds_sixteen_bytes_for_each_parameter() -> None:
    """ZeRO, arXiv:1910.02054, section 3.1: 2 + 2 + 12."""
    found = terms(Train(512, precision=Precision.BF16_MASTER, optimizer=Optimizer.ADAMW_FUSED))
    sizes = {name: found[name].bytes for name in ("weights", "gradients", "master_weights")}
    assert sizes == {"weights": 2 * PARAMETERS, "gradients": 2 * PARAMETERS, "master_weights": 4 * PARAMETERS}
    assert 8 * PARAMETERS <= found["optimizer"].bytes < 8.001 * PARAMETERS


@pytest.mark.parametrize("rule", [*Optimizer])
def test_state_is_divided_among_devices_and_told_where_from(rule: Optimizer) -> None:
    one, eight = (terms(Train(64, optimizer=rule), Split(data=count, zero=1)) for count in (1, 8))
    if rule is Optimizer.SGD:
        assert "optimizer" not in one
        return
    assert eight["optimizer"].bytes == pytest.approx(one["optimizer"].bytes / 8, rel=0.001)
    assert one["optimizer"].source == RULES[rule].source
    assert one["optimizer"].measured == RULES[rule].measured
    assert one["optimizer"].formula
    unsure = one["optimizer"].low < one["optimizer"].high
    assert unsure != bool(RULES[rule].measured) or rule is Optimizer.PAGED_ADAMW_8BIT
    assert bool(RULES[rule].measured) != ("Not measured" in one["optimizer"].note)


def test_paged_state_can_leave_the_device() -> None:
    paged, plain = (
        terms(Train(64, optimizer=rule))["optimizer"]
        for rule in (Optimizer.PAGED_ADAMW_8BIT, Optimizer.ADAMW_8BIT)
    )
    assert (paged.bytes, paged.high) == (plain.bytes, plain.bytes)
    assert 0 < paged.low < paged.bytes / 100  # norms alone have fewer than 100,000 elements


def test_gradients_wait_for_the_last_of_several_micro_batches() -> None:
    for phase in (0, 1):
        one, several = (terms(Train(512, accumulation=count), phase=phase) for count in (1, 8))
        assert "gradients" not in one or one["gradients"].bytes < several["gradients"].bytes
        assert several["gradients"].bytes == 4 * PARAMETERS


def test_adapters_are_in_fp32_or_have_a_master_copy() -> None:
    own, copied = (
        terms(Train(512, precision=precision, optimizer=Optimizer.ADAMW_FUSED, method=Lora(16)))
        for precision in (Precision.BF16, Precision.BF16_MASTER)
    )
    assert "master_weights" not in own
    assert own["gradients"].bytes == 2 * copied["gradients"].bytes == copied["master_weights"].bytes
    assert own["optimizer"].bytes == copied["optimizer"].bytes

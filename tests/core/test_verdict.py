"""The words of the verdict at their boundaries, and their order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase, exact
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.plan import FineTune, Plan, Serve, Split, Train
from llmplanner.core.room import available_empty, available_now
from llmplanner.core.verdict import state_of, verdict
from llmplanner.models.config import from_config

GIB = 2**30
# NVML's figures for a GeForce RTX 4090: 24,564 MiB in total, 478 MiB reserved
CARD = Device("RTX 4090", 24_564 * 2**20, memory_free=20 * GIB, memory_reserved=478 * 2**20)
BETTER = {"no": 0, "tight": 1, "fits": 2}
SIZES = st.integers(0, 200 * GIB)


def need(amount: int, *, copies: int = 1) -> Estimate:
    phase = Phase("decode", (exact("weights", amount, "all of it", "this test"),))
    return Estimate((DeviceEstimate("a card", (phase,)),) * copies)


def plan(*devices: Device, train: bool = False) -> Plan:
    model = from_config({"model_type": "gpt2"}, "GPT-2", "config.json")
    workload = FineTune(Train(1024)) if train else Serve(1024)
    return Plan(model, workload, Machine(devices), Split(tensor=len(devices)), FORMATS["bf16"])


@pytest.mark.parametrize(
    ("needed", "available", "training", "state"),
    [
        (9 * GIB, 10 * GIB, False, "fits"),  # a reserve of 1 GiB on small cards
        (9 * GIB + 1, 10 * GIB, False, "tight"),
        (10 * GIB, 10 * GIB, False, "tight"),
        (10 * GIB + 1, 10 * GIB, False, "no"),
        (92 * GIB, 100 * GIB, False, "fits"),  # 8 % on large ones
        (92 * GIB + 1, 100 * GIB, False, "tight"),
        (20 * GIB, 23 * GIB, True, "fits"),  # 1.15 x 20 = 23
        (20 * GIB + 1, 23 * GIB, True, "tight"),
        (23 * GIB, 23 * GIB, True, "tight"),
        (23 * GIB + 1, 23 * GIB, True, "no"),
        (1, None, False, "unknown"),
        (0, 0, True, "fits"),
    ],
)
def test_the_words_change_where_they_should(
    needed: int, available: int | None, training: bool, state: str
) -> None:
    assert state_of(needed, available, training=training) == state


@given(SIZES, SIZES, SIZES, st.booleans())
def test_more_memory_or_less_need_is_never_worse(a: int, b: int, fixed: int, training: bool) -> None:
    less, more = sorted((a, b))
    with_less = BETTER[state_of(fixed, less, training=training)]
    assert BETTER[state_of(fixed, more, training=training)] >= with_less
    needing_more = BETTER[state_of(more, fixed, training=training)]
    assert BETTER[state_of(less, fixed, training=training)] >= needing_more


@given(SIZES, SIZES)
def test_the_margin_is_what_is_left(needed: int, free: int) -> None:
    judged = verdict(plan(replace(CARD, memory_free=free)), need(needed)).now
    assert judged.margin_bytes == free - needed
    assert (judged.state == "no") == (needed > free)


def test_budgets_of_the_kinds_of_cards() -> None:
    assert available_now(CARD) == 20 * GIB
    assert available_empty(CARD) == (24_564 - 478) * 2**20
    total = 24_564 * 2**20
    windows = replace(CARD, wddm=True)
    assert available_now(windows) == 20 * GIB - total * 5 // 100
    assert available_empty(windows) == (24_564 - 478) * 2**20 - total * 5 // 100
    measured = Device("a", 80 * GIB, memory_usable=79 * GIB)
    assert available_empty(measured) == 79 * GIB
    assert available_empty(Device("a", 1000)) == 985
    assert available_empty(Device("a", 1000, unified=True, memory_free=500)) == 870
    assert available_now(Device("a", 1000)) is None
    assert available_empty(Device("a", None)) is None


def test_the_worst_device_decides() -> None:
    small = Device("small", 12 * GIB, memory_free=5 * GIB)
    judged = verdict(plan(CARD, small), need(8 * GIB, copies=2))
    assert (judged.now.device, judged.now.state) == ("small", "no")
    assert judged.now.margin_bytes == -3 * GIB
    assert judged.empty.device == "small"
    assert judged.empty.state == "fits"


def test_a_card_in_use_is_a_sentence_of_its_own() -> None:
    busy = replace(CARD, memory_free=4 * GIB)
    judged = verdict(plan(busy), need(10 * GIB))
    assert (judged.now.state, judged.empty.state) == ("no", "fits")
    assert judged.message == (
        "Does not fit: 10.00 GiB needed, 4.00 GiB free now on RTX 4090, 6.00 GiB short. "
        "It would fit the empty card, but 19.52 GiB is in use now."
    )


def test_the_sentences() -> None:
    assert verdict(plan(CARD), need(10 * GIB)).message == "Fits: 10.00 of 20.00 GiB free now on RTX 4090."
    tight = verdict(plan(CARD), need(19 * GIB))
    assert tight.message == "Tight: 19.00 of 20.00 GiB free now on RTX 4090; only 1.00 GiB would be left."
    assert "8 %" in tight.why
    assert "fragmentation" in verdict(plan(CARD, train=True), need(19 * GIB)).why
    sold = replace(CARD, memory_free=None)
    assert verdict(plan(sold), need(10 * GIB)).message.startswith(
        "Fits: 10.00 of 23.52 GiB of the empty card"
    )
    assert verdict(plan(sold), need(10 * GIB)).decisive.available_bytes == available_empty(CARD)
    unseen = verdict(plan(Device("No GPU seen", None)), need(GIB))
    assert (unseen.now.state, unseen.empty.state) == ("unknown", "unknown")
    assert unseen.message.startswith("Cannot tell: ")


@pytest.mark.parametrize(
    ("margin", "words"),
    [
        (0, "only 0 bytes would"),
        (5, "only 5 bytes would"),
        (-7 * 2**20, "7.00 MiB short"),
        (-3, "3 bytes short"),
    ],
)
def test_a_margin_next_to_nothing_is_told_in_smaller_units(margin: int, words: str) -> None:
    assert words in verdict(plan(CARD), need(20 * GIB - margin)).message


def test_why_names_the_phase_and_the_largest_terms() -> None:
    terms = (
        exact("weights", 7 * GIB, "", ""),
        exact("kv_cache", 2 * GIB, "", ""),
        exact("logits", 1, "", ""),
    )
    phases = (Phase("load", terms[:1]), Phase("prefill", terms))
    judged = verdict(plan(CARD), Estimate((DeviceEstimate("a", phases),)))
    assert judged.why == "Fullest while the prompt is read: weights 7.00 GiB, KV cache 2.00 GiB."

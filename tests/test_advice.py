"""What would make a plan fit, and what each format needs: the same numbers wherever they are shown."""

from dataclasses import replace

import pytest

from llmplanner.advice import better, by_format, changes, told
from llmplanner.charts.figure import Bar
from llmplanner.charts.formats import ON_TOP, formats_figure
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Device, Machine
from llmplanner.gpus.catalogue import by_name
from llmplanner.plans import Draft

MODEL = model_named("llama-3.1-8b").model


@pytest.mark.parametrize("weights", [None, "fp32", "int8"])
def test_the_table_of_formats_and_its_chart_agree(weights: str | None) -> None:
    draft = Draft(gpu="rtx-4090", context=32_768, weights=weights)
    plan = plan_of(draft, MODEL, machine_named(draft, None))
    bars = [mark for mark in formats_figure(plan).marks if isinstance(mark, Bar)]
    charted = {
        bar.category.split(",")[0]: sum(part.value for part in bar.segments if part.series != ON_TOP)
        for bar in bars
    }
    table = {row.title.split(",")[0]: row.serve_bytes for row in by_format(draft, MODEL, None)}
    for name in ("FP32", "BF16", "INT8", "INT4"):
        assert table[name] == charted[name]


def test_the_table_of_a_training_plan_does_not_hang_on_a_hidden_engine() -> None:
    plain = Draft(task="finetune", gpu="rtx-4090")
    before = replace(plain, engine="llama.cpp", weights="q4_k_m", kv="q8_0", kv_values="q4_0")
    rows = by_format(plain, MODEL, None)
    assert [row.weights_bytes for row in rows] == [
        4 * 8_030_261_248,
        2 * 8_030_261_248,
        8_030_261_248,
        4_015_130_624,
    ]
    assert by_format(before, MODEL, None) == rows


def test_every_advised_change_helps_and_the_first_fits() -> None:
    draft = Draft(gpu="rtx-4090", context=32_768, batch=2)
    plan = plan_of(draft, MODEL, machine_named(draft, None))
    before = max(int(device.bytes) for device in estimate(plan).devices)
    found = changes(draft, MODEL, None)
    assert found[0].judged.state == "fits"
    for change in found:
        assert change.judged.state == "fits" or change.judged.needed_bytes < before


BUSY = replace(by_name("rtx-4090").device(), memory_free=6 * 2**30, memory_reserved=346 * 2**20)


def test_nothing_that_does_not_fit_is_listed_where_something_does() -> None:
    for gpu in ("rtx-4090", "rtx-3070", "rtx-3060"):
        for context in (8192, 131_072):
            found = changes(Draft(gpu=gpu, context=context), MODEL, None)
            states = {change.judged.state for change in found}
            assert "no" not in states or states == {"no"}


def test_where_nothing_fits_the_two_that_come_nearest_are_given() -> None:
    large = model_named("llama-3.1-70b").model
    found = changes(Draft(gpu="gtx-1050-ti", context=131_072, batch=64), large, None, cards=False)
    assert 1 <= len(found) <= 2
    assert {change.judged.state for change in found} == {"no"}
    assert not better(found, "no")


@pytest.mark.parametrize("count", [1, 2])
def test_memory_in_use_is_freed_first_and_no_smaller_card_proposed(count: int) -> None:
    local = Machine((BUSY,) * count, local=True)
    found = changes(Draft(gpu="local", count=count, context=8192), MODEL, local)
    assert found[0].frees
    assert found[0].judged.state == "fits"
    assert found[0].draft == Draft(gpu="local", count=count, context=8192)
    assert "would make room" in told(found[0], "no")
    cards = [by_name(change.draft.gpu) for change in found if change.draft.gpu != "local"]
    assert cards
    for card in cards:
        assert card.memory_bytes > (BUSY.memory_total or 0)
        assert "bf16" in card.peak_flops
        assert card.vendor == "NVIDIA"
    assert not any(change.frees for change in changes(Draft(gpu="rtx-3070"), MODEL, None))


def test_a_card_that_lacks_the_format_computed_in_is_never_proposed() -> None:
    small = Machine((Device("small", 4 * 2**30, memory_free=4 * 2**30),), local=True)
    for precision in ("bf16", "fp16-mixed", "fp32"):
        draft = Draft(task="finetune", precision=precision, sequence=512)
        for change in changes(draft, model_named("gpt2-xl").model, small):
            if change.draft.gpu != "local":
                assert precision.removesuffix("-mixed") in by_name(change.draft.gpu).peak_flops


def test_llamacpp_is_advised_in_its_own_formats() -> None:
    draft = Draft(engine="llama.cpp", kv="q8_0", gpu="rtx-4090", context=131_072, batch=4)
    found = [change.text for change in changes(draft, MODEL, None)]
    assert any("layers on the GPU" in text for text in found)
    whole = [change.text for change in changes(replace(draft, kv=None), MODEL, None)]
    assert not any("FP8" in text or "INT" in text or "experts" in text for text in whole)
    mixture = replace(draft, model="qwen3-235b-a22b", weights="q4_k_m", batch=1, context=8192)
    found = [change.text for change in changes(mixture, model_named(mixture.model).model, None)]
    assert any("experts" in text for text in found)

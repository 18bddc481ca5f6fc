"""The plan at each format of its weights, or precision of its training."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QImage, QPainter

from llmplanner.charts.draw import CARD, draw
from llmplanner.charts.figure import Bar, Figure, Rule, Text
from llmplanner.charts.formats import formats_figure
from llmplanner.charts.layout import values
from llmplanner.charts.memory import memory_figure
from llmplanner.charts.palette import LIGHT
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.core.plan import Plan, Precision
from llmplanner.core.verdict import verdict
from llmplanner.plans import Draft

PARAMETERS = 8_030_261_248  # of Llama 3.1 8B, as its safetensors index counts


def plan(draft: Draft, free: int | None = None) -> Plan:
    machine = machine_named(draft, None)
    devices = tuple(replace(device, memory_free=free) for device in machine.devices)
    return plan_of(draft, model_named(draft.model).model, replace(machine, devices=devices))


def bars(figure: Figure) -> dict[str, Bar]:
    return {mark.category: mark for mark in figure.marks if isinstance(mark, Bar)}


def share(bar: Bar, series: str) -> float:
    return sum(segment.value for segment in bar.segments if segment.series == series)


def test_weights_at_each_format() -> None:
    by_name = bars(formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090"))))
    weights = {name: share(bar, "Weights") for name, bar in by_name.items()}
    assert weights == {
        "FP32": 4 * PARAMETERS,
        "BF16, as planned": 2 * PARAMETERS,
        "FP16": 2 * PARAMETERS,
        "FP8 E4M3": PARAMETERS,
        "INT8": PARAMETERS,
        "INT4": PARAMETERS // 2,
    }
    cache = {name: share(bar, "KV cache") for name, bar in by_name.items()}
    assert cache.pop("FP32") == 2 * cache["FP16"]  # what computes in FP32 keeps its cache so
    assert len(set(cache.values())) == 1


def test_what_does_not_fit_is_marked_against_the_free_memory() -> None:
    figure = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090"), free=12 * 2**30))
    said = dict(zip(bars(figure), [mark for mark in figure.marks if isinstance(mark, Text)], strict=True))
    assert (said["BF16, as planned"].text[-1], said["BF16, as planned"].colour) == ("✕", "bad")
    assert (said["INT4"].text[-1], said["INT4"].colour) == ("✓", "text")
    (limit,) = [mark for mark in figure.marks if isinstance(mark, Rule)]
    assert (limit.value, limit.label) == (12 * 2**30, "free now: 12.00 of the card's 23.99 GiB")


def test_what_published_files_add_is_drawn_and_no_false_yes() -> None:
    """Llama 3.1 8B's embeddings and head, 2 x 128,256 x 4,096, stay in 16 bits: 1.05 GB more than in INT8."""
    roomy = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090")))
    added = {
        name: sum(s.value for s in bar.segments if "up to" in s.series) for name, bar in bars(roomy).items()
    }
    assert 2 * 128_256 * 4096 < added["INT8"] < 2 * 128_256 * 4096 * 1.01
    assert added["INT4"] > 1.5 * 2 * 128_256 * 4096
    assert added["BF16, as planned"] == 0
    needed = sum(segment.value for segment in bars(roomy)["INT8"].segments) - added["INT8"]
    border = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090"), free=int((needed + 2**30) / 0.92)))
    said = dict(zip(bars(border), [mark for mark in border.marks if isinstance(mark, Text)], strict=True))
    assert (said["INT8"].text[-1], said["INT8"].colour) == ("≈", "warn")
    assert "Published files keep" in said["INT8"].hover


def test_the_plans_own_row_says_what_the_verdict_says() -> None:
    asked = plan(Draft(gpu="NVIDIA GeForce RTX 4090", context=32_768))
    judged = verdict(asked, estimate(asked))
    figure = formats_figure(asked)
    row = figure.y.names.index("BF16, as planned")
    (total,) = [mark for mark in figure.marks if isinstance(mark, Text) and mark.y == row]
    assert judged.decisive.state == "tight"
    assert total.colour == "warn"
    assert total.text.removesuffix(" ≈") in f"{judged.message} GiB".replace(" of", " GiB")


def test_segments_have_the_order_of_the_memory_chart() -> None:
    asked = plan(Draft(gpu="NVIDIA GeForce RTX 4090", context=32_768))
    memory = next(mark for mark in memory_figure(asked, estimate(asked)).marks if isinstance(mark, Bar))
    planned = bars(formats_figure(asked))["BF16, as planned"]
    assert [s.colour for s in planned.segments] == [s.colour for s in memory.segments]


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("draft", [
    Draft(gpu="rtx-4090", context=32_768),
    Draft(gpu="b200", model="pythia-70m", context=2048),
    Draft(gpu="t4", model="llama-3.1-405b"),
    Draft(gpu="h100-sxm", task="pretrain"),
])  # fmt: skip
def test_totals_stand_apart_from_bars_and_limits(draft: Draft) -> None:
    figure = formats_figure(plan(draft))
    image = QImage(429, 224, QImage.Format.Format_ARGB32)  # as in a window of 1280 x 800
    painter = QPainter(image)
    drawn = draw(painter, 429, 224, figure, LIGHT, CARD)
    painter.end()
    totals = [mark.text for mark in figure.marks if isinstance(mark, Text)]
    boxes = [box for box in drawn.texts if box.text in totals]
    assert len(boxes) == len(totals)
    (laid,) = drawn.plots
    right = max(laid.x.at(end) or 0 for mark in figure.marks for end in values(mark, "x")
                if not isinstance(mark, Text))  # fmt: skip
    assert min(box.rect.left() for box in boxes) > right


def test_mixed_precision_does_not_halve_training() -> None:
    """AdamW: 4 bytes of weights and 8 of state per parameter in FP32 and in mixed precision alike."""
    by_name = bars(formats_figure(plan(Draft(task="finetune", gpu="NVIDIA GeForce RTX 4090"))))
    for name in ("FP32", "BF16 mixed, as planned", "FP16 mixed"):
        assert share(by_name[name], "Weights") == 4 * PARAMETERS
        assert 8 * PARAMETERS <= share(by_name[name], "Optimizer") < 8 * PARAMETERS * 1.001
    assert share(by_name["BF16 alone"], "Weights") == 2 * PARAMETERS


def test_a_split_is_shown_per_gpu() -> None:
    figure = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090", count=2)))
    assert figure.subtitle == "Memory at the peak, per GPU"
    assert share(bars(figure)["BF16, as planned"], "Weights") < 1.1 * PARAMETERS


def test_llamacpp_is_shown_at_its_file_types() -> None:
    draft = Draft(engine="llama.cpp", weights="q4_k_m", gpu="rtx-4090", context=4096)
    by_name = bars(formats_figure(plan(draft)))
    assert list(by_name) == [
        *("FP32", "BF16", "FP16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M, as planned", "Q3_K_M", "Q2_K")
    ]
    assert share(by_name["Q4_K_M, as planned"], "Weights") == 4_617_396_224  # "4403.49 MiB" on the GPU
    assert {share(bar, "KV cache") for bar in by_name.values()} == {512 * 2**20}


@pytest.mark.parametrize("precision", list(Precision))
@pytest.mark.parametrize("task", ["finetune", "pretrain"])
def test_training_in_any_precision_has_its_row(task: str, precision: Precision) -> None:
    asked = plan(Draft(task=task, precision=precision.value, gpu="h100-sxm"))
    (planned,) = [name for name in bars(formats_figure(asked)) if name.endswith(", as planned")]
    row = bars(formats_figure(asked))[planned]
    assert sum(segment.value for segment in row.segments) == estimate(asked).devices[0].bytes


def test_fp32_master_weights_lie_beside_bf16() -> None:
    """Micikevicius et al. 2017: 2 bytes of weights, 4 of master weights, 8 of AdamW's state per parameter."""
    row = bars(formats_figure(plan(Draft(task="pretrain", gpu="h100-sxm"))))["BF16, FP32 master"]
    assert share(row, "Weights") == 2 * PARAMETERS
    assert share(row, "Master weights") == 4 * PARAMETERS


def test_fp8_is_shown_on_cards_that_multiply_it() -> None:
    for gpu, shown in (("h100-sxm", True), ("a100-sxm-80", False)):
        by_name = bars(formats_figure(plan(Draft(task="pretrain", gpu=gpu))))
        assert ("FP8 mixed" in by_name) is shown

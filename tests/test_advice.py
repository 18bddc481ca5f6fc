"""What would make a plan fit, and what each format needs: the same numbers wherever they are shown."""

import pytest

from llmplanner.advice import by_format, changes
from llmplanner.charts.figure import Bar
from llmplanner.charts.formats import formats_figure
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.plans import Draft

MODEL = model_named("llama-3.1-8b").model


@pytest.mark.parametrize("weights", [None, "fp32", "int8"])
def test_the_table_of_formats_and_its_chart_agree(weights: str | None) -> None:
    draft = Draft(gpu="rtx-4090", context=32_768, weights=weights)
    plan = plan_of(draft, MODEL, machine_named(draft, None))
    bars = [mark for mark in formats_figure(plan).marks if isinstance(mark, Bar)]
    charted = {bar.category.split(",")[0]: sum(part.value for part in bar.segments) for bar in bars}
    table = {row.title.split(",")[0]: row.serve_bytes for row in by_format(draft, MODEL, None)}
    for name in ("FP32", "BF16", "INT8", "INT4"):
        assert table[name] == charted[name]


def test_every_advised_change_helps_and_the_first_fits() -> None:
    draft = Draft(gpu="rtx-4090", context=32_768, batch=2)
    plan = plan_of(draft, MODEL, machine_named(draft, None))
    before = max(int(device.bytes) for device in estimate(plan).devices)
    found = changes(draft, MODEL, None)
    assert found[0].judged.state == "fits"
    for change in found:
        assert change.judged.state == "fits" or change.judged.needed_bytes < before

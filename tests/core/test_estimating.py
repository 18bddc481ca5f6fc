"""Many devices: alike ones are estimated and judged once, and each is still told."""

from time import process_time

import pytest

from llmplanner.charts.memory import memory_figure
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.core.verdict import verdict
from llmplanner.plans import Draft

MILLION = 1_000_000


@pytest.mark.parametrize("task", ["serve", "pretrain"])
def test_a_million_devices_are_answered_at_once(task: str) -> None:
    draft = Draft(gpu="H100 SXM5 80GB", task=task, dp=MILLION, tp=1, zero=0 if task == "serve" else 3)
    model = model_named(draft.model).model
    times = []
    for _ in range(3):
        start = process_time()
        plan = plan_of(draft, model, machine_named(draft, None))
        needed = estimate(plan)
        judged = verdict(plan, needed)
        figure = memory_figure(plan, needed, judged)
        times.append(process_time() - start)
    assert len(needed.devices) == MILLION
    assert needed.devices[0] is needed.devices[-1]
    assert judged.decisive.needed_bytes == needed.devices[0].bytes
    assert "1,000,000" in figure.title
    assert "each of 1,000,000 GPUs" in figure.y.names
    assert min(times) < 0.25  # one by one, a million take ten seconds and more

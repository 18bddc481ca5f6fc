"""One estimate of the core, and the same formulas over a million plans, beside their bounds in seconds.

Seconds of one processor core, so that other work on the machine does not count.
"""

import time
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.measure import Row, in_turn
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import format_named
from llmplanner.core.plan import Plan, Pretrain, Serve, at_weights
from llmplanner.plans import Draft

SERVE = Draft(model="llama-3.1-405b", gpu="h100-sxm", tp=8, context=32_768)
TRAIN = Draft(model="llama-3.1-405b", gpu="h100-sxm", task="pretrain", tp=8, dp=8, zero=1, sequence=4096)
MANY = 1000  # contexts by batches: a million plans
FORMATS = ("bf16", "fp8-e4m3", "int8", "int4")  # of weights; each with a quarter of the batches


def plan(draft: Draft) -> Plan:
    """The plan of a draft over cards of the catalogue."""
    return plan_of(draft, model_named(draft.model).model, machine_named(draft, None))


def seconds(one: Plan) -> float:
    """Seconds of one estimate, the mean of twenty."""
    start = time.process_time()
    for _ in range(20):
        estimate(one)
    return (time.process_time() - start) / 20


def million(one: Plan) -> Plan:
    """The same plan with a thousand lengths by a thousand batches."""
    lengths = np.linspace(128, 32_768, MANY).astype(np.int64)[:, None]
    batches = np.arange(1, MANY + 1, dtype=np.int64)[None, :]
    if isinstance(one.workload, Serve):
        return replace(one, workload=replace(one.workload, context=lengths, batch=batches))
    assert isinstance(one.workload, Pretrain)  # noqa: S101 - the two drafts above
    step = replace(one.workload.step, sequence=lengths, micro_batch=batches)
    return replace(one, workload=replace(one.workload, step=step))


def once(many: Plan) -> float:
    """Seconds of one broadcast call."""
    start = time.process_time()
    estimate(many)
    return time.process_time() - start


def in_formats(many: Plan) -> float:
    """Seconds of a million plans that differ in format too: a broadcast call for each format."""
    assert isinstance(many.workload, Serve)  # noqa: S101 - of serving alone
    batches = np.arange(1, MANY // len(FORMATS) + 1, dtype=np.int64)[None, :]
    quarter = replace(many, workload=replace(many.workload, batch=batches))
    start = time.process_time()
    for name in FORMATS:
        estimate(at_weights(quarter, format_named(name)))
    return time.process_time() - start


def rows() -> list[Row]:
    """Five rows; the floor is the bound itself, so the ratio must be at most one."""
    found = []
    for name, draft in (("serve", SERVE), ("train", TRAIN)):
        one = plan(draft)
        many = million(one)
        (single,) = in_turn(partial(seconds, one))
        (broadcast,) = in_turn(partial(once, many), rounds=5)
        found.append(Row(f"one estimate, {name}, 126 layers", single, "1 ms", 1e-3, 1.0))
        found.append(Row(f"10^6 plans, {name}", broadcast, "2 s", 2.0, 1.0))
        if name == "serve":
            (formats,) = in_turn(partial(in_formats, many), rounds=5)
            found.append(Row("10^6 plans, serve, in four formats", formats, "2 s", 2.0, 1.0))
    return found

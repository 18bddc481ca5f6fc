"""Peak memory that training frameworks published, beside what is said of each run."""

import numpy as np
import pytest

from llmplanner.check.answer import Answer
from llmplanner.check.lookup import Lookup
from llmplanner.check.published_training import COLUMN, answer
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Phase, exact
from llmplanner.core.terms.fragmentation import fragments
from llmplanner.core.terms.runtime import CUBLAS, CUDA, runtime
from tests.reference import REFERENCE, needs_reference, rows

ROWS = [row for row in rows("measured_training.csv") if row["answerable"] == "1"]
GIB = 2**30


@pytest.fixture(scope="module")
def said() -> list[tuple[dict[str, str], Answer]]:
    """The rows that are answered, and what is said of each."""
    lookup, found = Lookup(REFERENCE), []
    for row in ROWS:
        try:
            found.append((row, answer(row, lookup)[COLUMN]))
        except BadInput:
            continue
    return found


def off(said: list[tuple[dict[str, str], Answer]]) -> list[float]:
    return [abs((one.predicted or 0) / float(row[COLUMN]) - 1) for row, one in said]


@needs_reference
def test_nearly_all_runs_are_answered_within_eight_percent(said: list[tuple[dict[str, str], Answer]]) -> None:
    assert len(said) >= 0.95 * len(ROWS)
    assert np.median(off(said)) < 0.08
    assert np.quantile(off(said), 0.9) < 0.2


@needs_reference
def test_nine_runs_in_ten_lie_inside_their_band(said: list[tuple[dict[str, str], Answer]]) -> None:
    inside = [(one.low or 0) <= float(row[COLUMN]) <= (one.high or 0) for row, one in said]
    assert np.mean(inside) >= 0.9


@needs_reference
@pytest.mark.parametrize("framework", ["Qwen", "ms-swift", "litgpt", "torchtitan"])
def test_each_framework_is_within_twelve_percent(
    said: list[tuple[dict[str, str], Answer]], framework: str
) -> None:
    of_it = [(row, one) for row, one in said if row["framework"].startswith(framework)]
    assert np.median(off(of_it)) < 0.12


@needs_reference
def test_a_total_is_that_of_all_gpus(said: list[tuple[dict[str, str], Answer]]) -> None:
    row, total = next((row, one) for row, one in said if "TOTAL" in row["unit"] and row["n_gpus"] == "4")
    each = answer(row | {"unit": "GB"}, Lookup(REFERENCE))[COLUMN]
    assert total.predicted == pytest.approx(4 * (each.predicted or 0))


@needs_reference
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answerable": "0", "remark": "batch not stated"}, "batch not stated"),
        ({"framework": "of my own", "optimizer": "", "lora_targets": "all"}, "optimizer is empty"),
        ({"framework": "of my own", "method": "lora", "lora_rank": ""}, "lora_rank"),
        ({"framework": "of my own", "parallelism": "TP=3", "n_gpus": "4", "lora_targets": "all"}, "n_gpus"),
        ({"framework": "of my own", "lora_targets": "c_attn"}, "no linear named 'c_attn'"),
        ({"method": "telepathy"}, "telepathy"),
        ({"batch_size": "several"}, "batch_size"),
        ({"grad_checkpointing": "perhaps"}, "grad_checkpointing"),
        ({"unit": "bananas"}, "unit"),
        ({"config": "configs/no-such-model.json"}, "No model"),
        ({"params_B": "700"}, "billion parameters"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_cannot_be_answered_says_why(change: dict[str, str], words: str) -> None:
    row = next(row for row in ROWS if row["framework"].startswith("ms-swift")) | change
    with pytest.raises(BadInput, match=words):
        answer(row, Lookup(REFERENCE))


@needs_reference
def test_a_run_of_another_framework_is_answered_as_it_states_itself() -> None:
    known = next(row for row in ROWS if row["framework"].startswith("Qwen") and row["method"] == "LoRA")
    other = known | {"framework": "of my own", "lora_targets": "all linear"}
    ours, theirs = (answer(row, Lookup(REFERENCE))[COLUMN] for row in (known, other))
    assert "not known" in theirs.note
    assert theirs.predicted == pytest.approx(ours.predicted, rel=0.1)
    allocated = other | {"metric_meaning": "torch.cuda.max_memory_allocated"}
    assert (answer(allocated, Lookup(REFERENCE))[COLUMN].predicted or 0) < (theirs.predicted or 0)
    split = other | {"n_gpus": "8", "parallelism": "ZeRO-3"}
    assert (answer(split, Lookup(REFERENCE))[COLUMN].predicted or 0) < (theirs.predicted or 0)


@needs_reference
def test_no_more_is_reserved_than_the_card_has() -> None:
    row = next(row for row in ROWS if row["framework"].startswith("ms-swift") and row["batch_size"] == "8")
    small, large = (answer(row | {"gpu": f"GPU {size}GB"}, Lookup(REFERENCE))[COLUMN] for size in (64, 640))
    assert small.predicted == 64
    assert (large.predicted or 0) > 64


# What the process takes, in the planner itself


def test_varied_lengths_reserve_more_of_what_grows_and_no_more_of_what_stays() -> None:
    weights, logits = exact("weights", 10 * GIB, "", ""), exact("logits", 4 * GIB, "", "")
    growing = (Phase("backward", (weights, logits)), Phase("step", (weights,)))
    staying = (Phase("backward", (weights,)), Phase("step", (weights, logits)))
    same = fragments(growing, varied=False)
    assert same.low == 0 < same.bytes < GIB < same.high < 4 * GIB
    assert 4 * GIB < fragments(growing, varied=True).bytes - same.bytes < 12 * GIB
    assert fragments(staying, varied=True).bytes == same.bytes  # the optimizer's step knows no sequence


def test_flat_gradients_find_no_room_in_what_the_backward_pass_left() -> None:
    weights, logits = exact("weights", 10 * GIB, "", ""), exact("logits", 4 * GIB, "", "")
    cast = exact("temporaries", 5 * GIB, "", "")
    phases = (Phase("backward", (weights, logits)), Phase("step", (weights, cast)))
    apart, flat = (fragments(phases, varied=False, flat=each).bytes for each in (False, True))
    assert flat - apart == 4 * GIB


def test_what_was_measured_stands_in_for_context_and_workspace() -> None:
    reserved = fragments((Phase("step", (exact("weights", GIB, "", ""),)),), varied=False)
    published, own = runtime(1, fragments=reserved), runtime(1, fragments=reserved, measured=GIB // 2)
    names = [part.name for part in published.parts]
    assert names[:2] == [CUDA.name, CUBLAS.name]
    assert [part.bytes for part in own.parts] == [GIB // 2, reserved.bytes]
    assert own.high - own.low == reserved.high - reserved.low
    assert "this computer" in own.source
    assert "expandable_segments" in published.change

"""The published runs against the reference table that they were taken from."""

import pytest

from llmplanner.core.model import Kind
from llmplanner.models.runs import training_runs
from tests.reference import needs_reference, rows

RUNS = {run.name: run for run in training_runs()}


@needs_reference
def test_model_flops_are_those_of_the_table() -> None:
    compared = 0
    for row in rows("training_runs.csv"):
        run = RUNS.get(row["model"])
        if run is not None and row["flops_6ND_calc"]:
            assert run.flops == pytest.approx(float(row["flops_6ND_calc"]), rel=1e-3), run.name
            assert run.tokens_per_parameter == pytest.approx(
                float(row["tokens_per_active_param"]), rel=1e-3
            ), run.name
            compared += 1
    assert compared >= 44


def test_kinds() -> None:
    assert {RUNS[name].kind for name in ("BERT-Large", "RoBERTa-Base")} == {Kind.ENCODER}
    assert RUNS["T5-11B"].kind is Kind.ENCODER_DECODER
    assert RUNS["GPT-3 175B"].kind is Kind.DECODER


def test_gopher_and_chinchilla_had_about_the_same_compute() -> None:
    gopher, chinchilla = RUNS["Gopher 280B"], RUNS["Chinchilla 70B"]
    assert gopher.parameters / chinchilla.parameters == pytest.approx(4)
    assert chinchilla.tokens / gopher.tokens == pytest.approx(4.67, abs=0.01)
    assert chinchilla.flops / gopher.flops == pytest.approx(1.167, abs=0.001)


def test_every_run_has_a_source_and_a_name_of_its_own() -> None:
    assert len(RUNS) == len(training_runs())
    assert all(run.source for run in training_runs())

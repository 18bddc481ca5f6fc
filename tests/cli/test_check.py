"""`check`: the answer's shape, the file that it writes, what it refuses."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer
from tests.reference import REFERENCE, needs_reference

Run = Callable[..., Answer]
KEYS = {"column", "rows", "answered", "median_error", "p90_error", "worst_error", "band_coverage"}


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    path = tmp_path / "measured.csv"
    path.write_text(
        "name,model_type,kind,total,active,embedding\n"
        "llama-3.1-8b,llama,decoder,8030261248,8030261248,525336576\n"
        "gpt-9,gpt2,decoder,1,1,1\n",
        encoding="utf-8",
    )
    return path


def test_the_answer_has_the_contracts_shape(run: Run, measured: Path) -> None:
    answer = run("check", measured, "--json").json
    assert answer["schema"] == 1
    assert answer["kind"] == "params"
    assert [one["column"] for one in answer["columns"]] == ["total", "active", "embedding"]
    for one in answer["columns"]:
        assert set(one) >= KEYS
        assert (one["rows"], one["answered"], one["worst_error"]) == (2, 1, 0)


def test_a_person_reads_a_table_and_the_reasons(run: Run, measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    answer = run("check", measured, "-o", out)
    assert answer.code == 0
    assert "2 rows of the kind params" in answer.out
    assert "exact" in answer.out
    assert "Not answered, 1: No model 'gpt-9'" in answer.out
    with out.open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert first["predicted_total"] == "8030261248"
    assert second["predicted_total"] == ""
    assert second["note"]


@needs_reference
def test_models_are_looked_up_in_the_folder_that_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "kv.csv"
    path.write_text("name,batch,tokens,encoder_tokens,bytes\ngpt2,1,64,,2359296\n", encoding="utf-8")
    answer = run("check", path, "--models", REFERENCE / "configs", "--json").json
    assert answer["columns"][0]["worst_error"] == 0


def test_what_cannot_be_done_is_said_in_one_sentence(run: Run, measured: Path, tmp_path: Path) -> None:
    for options, sentence in (
        (("-o", measured), "is the table itself"),
        (("-o", tmp_path / "out.txt"), "must end in .csv"),
        (("--models", tmp_path / "nowhere"), "is no folder"),
        (("-o", tmp_path / "nowhere" / "out.csv"), "cannot be written"),
    ):
        answer = run("check", measured, *options)
        assert answer.code == 2
        assert sentence in answer.err
        assert answer.err.count("\n") == 1
    assert run("check", tmp_path / "absent.csv").code == 2


def test_a_table_without_measurements_says_that_nothing_was_compared(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "sizes.csv"
    path.write_text("model,ftype,published_GiB\nllama-3.1-8b,Q8_0,\n", encoding="utf-8")
    assert "Nothing to compare with: no row states published_GiB above 0." in run("check", path).out
    path.write_text("model,ftype,size_MiB\nllama-3.1-8b,Q8_0,0\n", encoding="utf-8")
    assert "Without an error, 1: size_MiB is 0 in the table." in run("check", path).out

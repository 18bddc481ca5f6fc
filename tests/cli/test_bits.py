"""The command line's answer to `bits`."""

import argparse
import json
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from llmplanner.cli import bits
from llmplanner.core.errors import BadInput


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    bits.add_arguments(parser)
    return bits.run(parser.parse_args(words))


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, str]]:
    assert run(*words, "--json") == 0
    whole = json.loads(capsys.readouterr().out)
    assert whole["schema"] == 1
    assert whole["input"] == words[0]
    return {entry["format"]: entry for entry in whole["formats"]}


@pytest.mark.parametrize("text", ["0.1", "70000", "-1e-3", "3.14159", "1e-7", "-448"])
def test_json_agrees_with_ml_dtypes(capsys: pytest.CaptureFixture[str], text: str) -> None:
    by_name = answer(capsys, text)
    dtypes = {
        "fp32": (np.float32, np.uint32),
        "fp16": (np.float16, np.uint16),
        "bf16": (ml_dtypes.bfloat16, np.uint16),
        "fp8-e4m3": (ml_dtypes.float8_e4m3fn, np.uint8),
        "fp8-e5m2": (ml_dtypes.float8_e5m2, np.uint8),
    }
    for name, (dtype, word) in dtypes.items():
        with np.errstate(over="ignore"):
            theirs = np.array([float(text)]).astype(dtype)
        code = int(theirs.view(word)[0])
        assert int(by_name[name]["bits"], 2) == int(by_name[name]["hex"], 16) == code
        stored = float(theirs.astype(np.float64)[0])
        assert np.array_equal([float(by_name[name]["value"])], [stored], equal_nan=True)
        if np.isfinite(stored):
            assert Fraction(by_name[name]["value"]) - Fraction(text) == Fraction(by_name[name]["error"])


def test_what_decimals_cannot_say_comes_as_a_fraction_too(capsys: pytest.CaptureFixture[str]) -> None:
    entry = answer(capsys, "pi", "--absmax", "4")["int8-absmax"]
    assert entry["value_fraction"] == "400/127"
    assert entry["value"].startswith("3.149606299212598425")


def test_the_table_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("70000") == 0
    out = capsys.readouterr().out
    assert "0 10001 " not in out
    assert "0x4789" in out
    assert "Beyond the range; saturated instead: FP16 65,504, FP8 E4M3 448, FP8 E5M2 57,344." in out
    assert max(map(len, out.splitlines())) < 110


@pytest.mark.parametrize("text", ["-inf", "-1/3", "-pi", "-1e-45", "1e400", "nan", "0x1.8p1", "bf16:0x4049"])
def test_values_that_look_like_options_are_values(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert run(text) == 0
    assert capsys.readouterr().out.startswith(f"{text} = ")


def test_integers_store_none_of_nan(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nan") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("INT")]
    assert len(rows) == 4
    assert all(row[5:7] == ["none", "–"] for row in rows), rows


@pytest.mark.parametrize("words", [["0x4049"], ["abc"], ["1e999999999"], ["1", "--absmax", "0"]])
def test_bad_values_raise_a_sentence(words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        run(*words)
    assert caught.value.field in {"value", "absmax"}

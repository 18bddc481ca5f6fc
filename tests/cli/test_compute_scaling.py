"""`compute` and `scaling` against published figures."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import Answer

Run = Callable[..., Answer]


def test_gpt3s_budget(run: Run) -> None:
    answer = run("compute", "--parameters", "175B", "--tokens", "300B", "--json").json
    assert answer["flops"] == pytest.approx(3.14e23, rel=5e-3)  # Brown et al. 2020, Table D.1
    assert answer["pf_days"] == pytest.approx(3.64e3, rel=5e-3)
    assert answer["gpu_hours"] is answer["days"] is answer["cost"] is None


def test_llama_2s_hours(run: Run) -> None:
    """Llama 2 70B: 1,720,320 A100-80GB hours (Touvron et al. 2023, arXiv:2307.09288, Table 2)."""
    answer = run(
        "compute", "--parameters", "70B", "--tokens", "2T", "--gpu", "a100-sxm-80",
        "--count", "2000", "--efficiency", "0.435", "--price", "2", "--json",
    ).json  # fmt: skip
    assert answer["gpu_hours"] == pytest.approx(1_720_320, rel=0.01)
    assert answer["days"] == pytest.approx(answer["gpu_hours"] / 2000 / 24)
    assert answer["cost"] == pytest.approx(2 * answer["gpu_hours"])
    assert (answer["format"], answer["peak_flops"]) == ("bf16", 312e12)


def test_a_decimal_comma_is_understood(run: Run) -> None:
    stated = ("compute", "--model", "llama-3.1-8b", "--gpu", "h100-sxm")
    comma, point = (run(*stated, "--efficiency", text, "--json").json for text in ("0,4", "0.4"))
    assert comma == point
    assert comma["tokens"] == 20 * 8_030_261_248


def test_compute_for_people(run: Run) -> None:
    answer = run("compute", "--model", "t5-11b", "--tokens", "1T", "--gpu", "h100-sxm", "--count", "8")
    assert "3 × " in answer.out  # an encoder-decoder's tokens pass one half of it
    assert "per GPU-hour, median of 2024-01..2025-03" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((), "parameters"),
        (("--parameters", "7B", "--model", "llama-3.1-8b"), "parameters"),
        (("--parameters", "0"), "parameters"),
        (("--parameters", "-7B"), "parameters"),
        (("--parameters", "many"), "parameters"),
        (("--parameters", "7B", "--tokens", "0"), "tokens"),
        (("--parameters", "7B", "--count", "8"), "gpu"),
        (("--parameters", "7B", "--gpu", "h100"), "gpu"),
        (("--parameters", "7B", "--gpu", "h100-sxm", "--count", "0"), "count"),
        (("--parameters", "7B", "--gpu", "h100-sxm", "--efficiency", "2"), "efficiency"),
        (("--parameters", "7B", "--gpu", "h100-sxm", "--price", "-1"), "price_per_hour"),
        (("--parameters", "7B", "--gpu", "h100-sxm", "--precision", "fp4"), "precision"),
        (("--model", "nothing-like-it"), "model"),
    ],
)
def test_what_compute_refuses(run: Run, arguments: tuple[str, ...], field: str) -> None:
    answer = run("compute", *arguments, "--json")
    assert answer.code == 2
    assert answer.error["field"] == field


def test_chinchilla_at_gophers_compute(run: Run) -> None:
    laws = {law["law"]: law for law in run("scaling", "--compute", "5.76e23", "--json").json["laws"]}
    assert {"kaplan", "hoffmann1", "hoffmann2", "hoffmann3", "besiroglu"} <= set(laws)
    # Hoffmann et al. 2022 (arXiv:2203.15556) Table 3 and section 3.4: 67B, 63B and 40B parameters
    assert laws["hoffmann1"]["parameters"] == pytest.approx(67e9, rel=0.02)
    assert laws["hoffmann2"]["parameters"] == pytest.approx(63e9, rel=0.03)
    assert laws["hoffmann3"]["parameters"] == pytest.approx(40e9, rel=0.02)
    assert laws["hoffmann1"]["loss"] is None
    assert laws["besiroglu"]["loss_low"] < laws["besiroglu"]["loss"] < laws["besiroglu"]["loss_high"]
    assert laws["kaplan"]["in_range"] is False


def test_one_law_and_a_given_size(run: Run) -> None:
    (law,) = run(
        "scaling", "--parameters", "70B", "--tokens", "1.4T", "--law", "hoffmann3-printed", "--json"
    ).json["laws"]
    assert (law["parameters"], law["tokens"]) == (70e9, 1.4e12)
    assert law["loss"] == pytest.approx(1.937, abs=2e-3)  # what eq. 10 as printed gives for Chinchilla


def test_scaling_for_people(run: Run) -> None:
    answer = run("scaling", "--compute", "1e21")
    assert "compare within a" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((), "parameters"),
        (("--parameters", "7B"), "tokens"),
        (("--tokens", "7B"), "parameters"),
        (("--compute", "0"), "compute"),
        (("--compute", "1e400"), "compute"),
        (("--compute", "nan"), "compute"),
        (("--compute", "1e21", "--tokens", "1T"), "compute"),
        (("--compute", "1e21", "--law", "murphy"), "law"),
    ],
)
def test_what_scaling_refuses(run: Run, arguments: tuple[str, ...], field: str) -> None:
    answer = run("scaling", *arguments, "--json")
    assert answer.code == 2
    assert answer.error["field"] == field

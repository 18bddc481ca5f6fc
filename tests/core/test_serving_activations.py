"""The activations of serving against what Transformers' own code held (tests/data/README.md)."""

import csv
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from llmplanner.core.engine import AttentionKernel, Transformers
from llmplanner.core.estimate import Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import FORMATS
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import TRANSFORMERS, Plan, Serve, Split
from llmplanner.core.terms.logits import next_token_logits
from llmplanner.models.config import from_config, read
from tests.reference import REFERENCE, ROOT, needs_reference

DEPTHS = (
    "num_hidden_layers",
    "n_layer",
    "num_layers",
    "num_decoder_layers",
    "encoder_layers",
    "decoder_layers",
)
STATED = 0.05
MACHINE = Machine((Device("a card", 80 * 2**30),))


def table(name: str) -> list[dict[str, str]]:
    with (ROOT / "tests" / "data" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


ROWS = table("serving_activations.csv")
SET = {  # runs with another attention or cache
    Transformers(attention=AttentionKernel.EAGER): table("serving_eager.csv"),
    Transformers(static_cache=True): table("serving_static.csv"),
}
NAMES = sorted({row["model"] for row in ROWS})


@cache
def cut(name: str, layers: int) -> Model:
    """The model with as many layers as were measured."""
    config = read(REFERENCE / "configs" / f"{name}.json")
    config |= {key: layers for key in DEPTHS if key in config}
    if config["model_type"] == "deepseek_v3":
        config["first_k_dense_replace"] = 1
    if isinstance(config.get("layer_types"), list):
        config["layer_types"] = config["layer_types"][:layers]  # type: ignore[index]  # a list: the line above
    return from_config(config, name, "config.json")


def terms(row: dict[str, str], engine: Transformers = TRANSFORMERS) -> dict[str, Term]:
    """The terms of a row's phase inside the layers: a model without its head has no other moment."""
    model = cut(row["model"], int(row["layers"]))
    return named(row, replace(model, head=replace(model.head, linear=None)), engine)


def named(row: dict[str, str], model: Model, engine: Transformers = TRANSFORMERS) -> dict[str, Term]:
    workload = Serve(int(row["context_tokens"]), int(row["batch"]), int(row["prompt_tokens"]))
    plan = Plan(model, workload, MACHINE, Split(), FORMATS["bf16"], engine)
    phases = estimate(plan).devices[0].phases
    found = next(phase for phase in phases if phase.name == row["phase"])
    return {term.name: term for term in found.terms}


def error(row: dict[str, str]) -> float:
    """The estimate's relative error."""
    return float(terms(row)["activations"].bytes / int(row["activations_bytes"]) - 1)


@needs_reference
def test_ninety_nine_in_a_hundred_are_within_five_percent() -> None:
    errors = np.abs([error(row) for row in ROWS])
    assert np.mean(errors <= STATED) >= 0.99
    assert np.percentile(errors, 95) < 0.02


@needs_reference
@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_lies_in_the_band(name: str) -> None:
    for row in ROWS:
        if row["model"] == name:
            term = terms(row)["activations"]
            assert term.low <= int(row["activations_bytes"]) <= term.high, row


@needs_reference
@pytest.mark.parametrize("name", NAMES)
def test_the_cache_is_what_the_pass_left(name: str) -> None:
    for row in ROWS:
        if row["model"] == name and "kv_cache" in terms(row):
            assert terms(row)["kv_cache"].bytes == int(row["kv_cache_bytes"]), row


@needs_reference
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"byt5-small"}))  # 384 logits drown in hidden states
def test_logits_hold_what_generate_copies(name: str) -> None:
    for row in ROWS:
        if row["model"] == name and row["logits_bytes"]:
            term = next_token_logits(cut(name, int(row["layers"])).vocab_size, 2, int(row["batch"]))
            assert term.bytes == pytest.approx(int(row["logits_bytes"]), rel=0.2), row
            assert term.high >= int(row["sampling_bytes"]) > term.bytes, row


@needs_reference
@pytest.mark.parametrize("name", NAMES)
def test_a_phase_holds_the_fuller_of_layers_and_head(name: str) -> None:
    """What the layers held is gone when the head runs: the two never add up."""
    for row in ROWS:
        if row["model"] == name and row["logits_bytes"]:
            model = cut(name, int(row["layers"]))
            found = named(row, model)
            said = sum(int(found[term].bytes) for term in found if term not in {"weights", "runtime"})
            entering = int(row["batch"]) * 2 * model.hidden_size
            if model.kind is Kind.ENCODER_DECODER:
                entering *= 1 + int(row["prompt_tokens"])
            head = int(row["kv_cache_bytes"]) + int(row["logits_bytes"]) + entering
            assert said == pytest.approx(max(int(row["layers_peak_bytes"]), head), rel=0.06), row


@needs_reference
def test_a_latent_cache_is_expanded_for_the_whole_context() -> None:
    short, long = (
        next(
            row
            for row in ROWS
            if (row["model"], row["phase"], row["batch"], row["context_tokens"])
            == ("deepseek-v3", "decode", "1", tokens)
        )
        for tokens in ("1024", "4096")
    )
    grown = int(long["activations_bytes"]) - int(short["activations_bytes"])
    predicted = terms(long)["activations"].bytes - terms(short)["activations"].bytes
    assert predicted == pytest.approx(grown, rel=0.001)


@needs_reference
@pytest.mark.parametrize("engine", SET, ids=("eager", "static"))
def test_other_attention_and_another_cache(engine: Transformers) -> None:
    for row in SET[engine]:
        found, held = terms(row, engine), int(row["activations_bytes"])
        assert found["kv_cache"].bytes == int(row["kv_cache_bytes"]), row
        if held > 2**20:  # less is indices and masks of a few tokens
            assert found["activations"].low <= held <= found["activations"].high, row

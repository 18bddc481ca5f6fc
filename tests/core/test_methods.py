"""What is trained and what is frozen, against measured steps of LoRA (training.csv) and of other methods."""

import csv
import json
from collections.abc import Mapping

import numpy as np
import pytest

from llmplanner.core import training
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Phase
from llmplanner.core.formats import FORMATS
from llmplanner.core.lora_targets import refuse_lacked
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import (
    FULL,
    Adapters,
    Checkpointing,
    FineTune,
    Full,
    Lora,
    Method,
    Optimizer,
    Plan,
    Precision,
    Split,
    Train,
    Weights,
)
from llmplanner.core.recipes import stored_as
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms import activations, loss
from llmplanner.models.config import from_config, read
from tests.reference import REFERENCE, ROOT, needs_reference, rows
from tests.training_rows import Row, model, step

TINY = 4096  # bytes of buffers, which the planner leaves out
ADAPTED = [row for row in rows("training.csv") if row["lora_r"]]
WITH_OPTIMIZER = [row for row in ADAPTED if row["optimizer"] != "none"]
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 8,
    "hidden_size": 512,
    "num_attention_heads": 8,
    "intermediate_size": 1408,
    "vocab_size": 4096,
}

with (ROOT / "tests" / "data" / "training_methods.csv").open(newline="", encoding="utf-8") as file:
    MEASURED = list(csv.DictReader(file))


def named(phase: Phase) -> dict[str, int]:
    return {term.name: int(term.bytes) for term in phase.terms}


def kept(one: Step) -> int:
    parts = [*activations.activations(one), *loss.saved(one)]
    return int(sum(part.bytes for part in parts) - activations.inputs(one).bytes)


# LoRA, of eleven families


@needs_reference
@pytest.mark.parametrize("family", sorted({row["family"] for row in ADAPTED}))
def test_adapters_their_gradients_and_states_are_exact(family: str) -> None:
    for row in (row for row in ADAPTED if row["family"] == family):
        one = one_step(model(row), step(row), Split())
        terms = named(training.tensors(one)[2])
        assert one.parameters == int(row["trainable"]), row["id"]
        assert terms["weights"] == int(row["weights_bytes"]), row["id"]
        assert terms["gradients"] == int(row["gradients_bytes"]), row["id"]
        if row["optimizer"] != "none":
            assert terms.get("optimizer", 0) == int(row["optimizer_bytes"]), row["id"]


@needs_reference
@pytest.mark.parametrize("family", sorted({row["family"] for row in ADAPTED}))
def test_what_a_step_of_lora_keeps_is_counted_to_the_byte(family: str) -> None:
    for row in (row for row in ADAPTED if row["family"] == family):
        one = one_step(model(row), step(row), Split())
        assert abs(kept(one) - int(row["activations_live_bytes"])) < TINY, row["id"]


@needs_reference
def test_peaks_of_lora_are_within_a_hundredth() -> None:
    assert len(WITH_OPTIMIZER) == 100
    for row in WITH_OPTIMIZER:
        peak = max(_phases(row), key=lambda phase: phase.bytes)
        assert int(peak.bytes) == pytest.approx(int(row["total_peak_bytes"]), rel=0.01), row["id"]
        assert peak.name == row["peak_phase"]


def _phases(row: Row) -> tuple[Phase, ...]:
    return training.tensors(one_step(model(row), step(row), Split()))


# Frozen layers, DoRA and bottlenecks


def method_of(row: Mapping[str, str]) -> Method:
    if row["method"] == "full":
        return Full(int(row["frozen_layers"] or 0))
    if row["method"] == "adapters":
        return Adapters(int(row["width"]))
    dropout, dora = float(row["dropout"] or 0), row["method"] == "dora"
    return Lora(int(row["rank"]), dropout=dropout, dora=dora, embeddings=bool(row["embeddings"]))


def measured_step(row: Mapping[str, str]) -> Step:
    built = from_config({"model_type": row["model_type"], **json.loads(row["config"])}, "", "config.json")
    train = Train(
        int(row["sequence"]),
        int(row["batch"]),
        Precision.BF16,
        Optimizer.SGD,
        AttentionKernel(row["attention"]),
        Checkpointing(row["checkpointing"]),
        method=method_of(row),
    )
    return one_step(built, train, Split())


@pytest.mark.parametrize("method", ["full", "lora", "dora", "adapters"])
def test_what_a_method_trains_and_keeps_is_counted_to_the_byte(method: str) -> None:
    found = [row for row in MEASURED if row["method"] == method]
    assert len(found) > 10
    for row in found:
        one = measured_step(row)
        terms = named(training.tensors(one)[2])
        assert one.parameters == int(row["trained"]), row
        assert terms["weights"] == int(row["weights_bytes"]), row
        assert terms["gradients"] == int(row["gradients_bytes"]), row
        assert abs(kept(one) - int(row["kept_bytes"])) <= 8, row


@pytest.mark.parametrize("checkpointing", ["none", "full"])
def test_the_backward_pass_of_a_method_has_its_measured_peak(checkpointing: str) -> None:
    bound = 0.0001 if checkpointing == "none" else 0.03
    for row in (row for row in MEASURED if row["checkpointing"] == checkpointing):
        one = measured_step(row)
        backward = named(training.tensors(one)[1])
        beside = int(row["weights_bytes"]) + int(activations.inputs(one).bytes)
        said = sum(backward.values()) - beside
        assert said == pytest.approx(int(row["backward_peak_bytes"]), rel=bound), row


def test_dora_takes_the_norm_of_a_whole_matrix_in_the_forward_pass() -> None:
    for row in (row for row in MEASURED if row["method"] == "dora" and row["checkpointing"] == "none"):
        one = measured_step(row)
        forward = named(training.tensors(one)[0])
        said = sum(forward.values()) - int(row["weights_bytes"]) - int(activations.inputs(one).bytes)
        assert said == pytest.approx(int(row["forward_peak_bytes"]), rel=0.03), row


# Where nothing was measured: what must hold


def plan(method: Method, weights: Weights = FORMATS["bf16"], **fields: object) -> Plan:
    built = from_config(LLAMA, "a llama", "config.json")
    train = Train(**{"sequence": 1024, "precision": Precision.BF16, "method": method} | fields)  # type: ignore[arg-type]
    return Plan(built, FineTune(train), Machine((Device("a card", 80 * 2**30),)), Split(), weights)


def test_a_quantized_base_takes_the_bytes_of_its_format() -> None:
    built = from_config(LLAMA, "a llama", "config.json")
    stored = stored_as(built, "nf4-double")
    for precision in (Precision.BF16, Precision.BF16_MIXED):
        phases = [
            training.train(plan(Lora(16, quantized=quantized), stored, precision=precision)).devices[0].phases
            for quantized in (False, True)
        ]
        plain, packed = (named(each[2]) for each in phases)
        adapters = named(training.tensors(one_step(built, Train(1024, method=Lora(16)), Split()))[2])
        assert packed["gradients"] == plain["gradients"] == adapters["gradients"]
        assert packed["weights"] == stored.bytes + packed["gradients"]  # adapters have four bytes, as these
    base = next(term for term in phases[1][0].terms if term.name == "weights")
    assert base.low == base.bytes < base.high
    assert "prepare_model_for_kbit_training" in base.note


def test_a_matrix_is_unpacked_while_it_is_used() -> None:
    """The down projection alone, in BF16, as bitsandbytes unpacks one matrix at a time."""
    built = from_config(LLAMA, "a llama", "config.json")
    flowing = [
        one_step(built, Train(1, precision=Precision.BF16, method=Lora(4, quantized=quantized)), Split())
        .layers[-1]
        .backward.flowing
        for quantized in (False, True)
    ]
    assert flowing[1] - flowing[0] == pytest.approx(2 * 512 * 1408, rel=0.01)


@pytest.mark.parametrize("method", [Lora(8), Lora(8, dora=True, dropout=0.1), Adapters(32), Full(3)], ids=str)
@pytest.mark.parametrize("checkpointing", list(Checkpointing))
def test_a_map_of_plans_holds_what_each_plan_gives(method: Method, checkpointing: Checkpointing) -> None:
    whole = plan(
        method,
        sequence=np.array([[64], [1024]]),
        micro_batch=np.array([[1, 4]]),
        checkpointing=checkpointing,
    )
    many = training.train(whole).devices[0]
    for row, sequence in enumerate((64, 1024)):
        for column, batch in enumerate((1, 4)):
            single = plan(method, sequence=sequence, micro_batch=batch, checkpointing=checkpointing)
            for mapped, phase in zip(many.phases, training.train(single).devices[0].phases, strict=True):
                assert np.broadcast_to(mapped.bytes, (2, 2))[row, column] == phase.bytes


def test_freezing_more_layers_never_needs_more() -> None:
    needed = [int(training.train(plan(Full(layers))).devices[0].bytes) for layers in range(9)]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] == int(training.train(plan(FULL)).devices[0].bytes)


def test_names_that_a_model_lacks_are_refused() -> None:
    built: Model = from_config(LLAMA, "A llama", "config.json")
    refuse_lacked(built, ("q_proj", "self_attn.o_proj", "lm_head"))
    refuse_lacked(built, ("all-linear",))
    refuse_lacked(built, ("attention", "down_proj"))
    for wrong in (("q_proj", "c_attn"), ("proj",), ("embed_tokens",), ()):
        with pytest.raises(BadInput, match="q_proj, k_proj") as caught:
            refuse_lacked(built, wrong)
        assert caught.value.field == "lora_targets"


def test_mamba_is_adapted_where_peft_can() -> None:
    mamba = from_config({"model_type": "mamba"}, "A Mamba", "config.json")
    refuse_lacked(mamba, ("in_proj", "x_proj"))
    for wrong, words in (("all-linear", "in_proj"), ("out_proj", "x_proj"), ("attention", "no linear named")):
        with pytest.raises(BadInput, match=words):
            refuse_lacked(mamba, (wrong,))


def test_routed_experts_and_routers_are_not_adapted() -> None:
    mixture = from_config({**LLAMA, "model_type": "mixtral", "num_local_experts": 4}, "", "config.json")
    dense = from_config({**LLAMA, "num_key_value_heads": 8}, "", "config.json")
    every, attention = (
        one_step(mixture, Train(64, method=Lora(8, (target,))), Split()).parameters
        for target in ("all-linear", "attention")
    )
    assert every == attention
    assert every < one_step(dense, Train(64, method=Lora(8)), Split()).parameters
    with pytest.raises(BadInput, match="no linear named 'gate'"):
        refuse_lacked(mixture, ("gate",))


# PEFT 0.21.2 adapts the routed experts of these as parameters, or their routers as linears
BESIDE_LINEARS = {
    *("deepseek_v2", "deepseek_v3", "llama4_text", "mixtral", "phimoe", "qwen3_moe", "qwen3_next"),
    "switch_transformers",
}
DEPTHS = (
    *("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers", "encoder_layers"),
    "decoder_layers",
)

with (ROOT / "tests" / "data" / "lora_trained.csv").open(newline="", encoding="utf-8") as file:
    COUNTED = [row for row in csv.DictReader(file) if row["model_type"] not in BESIDE_LINEARS]


@needs_reference
@pytest.mark.parametrize("family", sorted({row["model_type"] for row in COUNTED}))
def test_every_linear_but_the_head_is_adapted_as_peft_does(family: str) -> None:
    for row in (row for row in COUNTED if row["model_type"] == family):
        config = read(REFERENCE / "configs" / f"{row['name']}.json")
        config |= {key: min(int(str(config[key])), 8) for key in DEPTHS if key in config}
        if isinstance(config.get("layer_types"), list):
            config["layer_types"] = config["layer_types"][:8]  # type: ignore[index]  # a list: the line above
        built = from_config(config, row["name"], "config.json")
        assert one_step(built, Train(16, method=Lora(8)), Split()).parameters == int(row["trained"])

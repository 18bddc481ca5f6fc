"""From the user's words to the core's plan: who is taken, how work is split, what is refused."""

from dataclasses import replace

import pytest

from llmplanner.compose import machine_named, model_named, plan_of, weights_of
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import Format
from llmplanner.core.machine import Device, Machine
from llmplanner.core.plan import Pretrain, Serve, Split
from llmplanner.plans import Draft
from llmplanner.workloads import split_of

GIB = 2**30
LOCAL = Machine(
    (
        Device("first", 8 * GIB, 2 * GIB, uuid="GPU-1"),
        Device("second", 8 * GIB, 7 * GIB, uuid="GPU-2"),
        Device("lost", None, None, uuid="GPU-3"),
    ),
    local=True,
)


@pytest.mark.parametrize(
    ("fields", "split"),
    [
        ({}, Split()),
        ({"count": 4}, Split(tensor=4)),
        ({"count": 4, "task": "pretrain"}, Split(data=4)),
        ({"tp": 2, "dp": 3, "task": "finetune", "zero": 3}, Split(data=3, tensor=2, zero=3)),
        ({"tp": 2, "dp": 2, "count": 4}, Split(data=2, tensor=2)),
    ],
)
def test_the_count_is_the_product_of_the_split(fields: dict[str, object], split: Split) -> None:
    assert split_of(replace(Draft(), **fields)) == split  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tp": 2, "count": 3}, "count"),
        ({"task": "pretrain", "pp": 2, "count": 3}, "count"),
        ({"kv": "q8_0"}, "kv"),
        ({"task": "finetune", "frozen_layers": 33}, "frozen_layers"),
        ({"task": "finetune", "method": "lora", "lora_targets": "q_proj,c_attn"}, "lora_targets"),
        ({"task": "finetune", "method": "lora", "lora_targets": ","}, "lora_targets"),
        ({"task": "finetune", "method": "qlora", "weights": "q4_k_m"}, "weights"),
        ({"context": 10**6}, "context"),
        ({"context": 100, "prompt": 200}, "prompt"),
        ({"weights": "int3"}, "weights"),
        ({"gpu": "rtx-9999"}, "gpu"),
        ({"gpu": "local", "count": 4}, "count"),
    ],
)
def test_what_cannot_be_used_names_its_field(fields: dict[str, object], named: str) -> None:
    draft = replace(Draft(), **fields)  # type: ignore[arg-type]
    with pytest.raises(BadInput) as caught:
        plan_of(draft, model_named(draft.model).model, machine_named(draft, LOCAL))
    assert caught.value.field == named


def test_local_takes_the_card_with_most_free_memory() -> None:
    assert machine_named(Draft(), LOCAL).devices[0].uuid == "GPU-2"
    two = machine_named(replace(Draft(), tp=2), LOCAL)
    assert [device.uuid for device in two.devices] == ["GPU-2", "GPU-1"]


def test_a_card_is_known_by_its_uuid() -> None:
    assert machine_named(replace(Draft(), gpu="GPU-1"), LOCAL).devices[0].name == "first"


def test_no_card_is_an_unknown_device_not_an_error() -> None:
    assert machine_named(Draft(), None).devices[0].memory_total is None


def test_a_plan_takes_its_formats_from_the_model() -> None:
    draft = Draft(gpu="rtx-4090", batch=3, context=1000)
    plan = plan_of(draft, model_named("llama-3.1-8b").model, machine_named(draft, None))
    assert isinstance(plan.workload, Serve)
    assert (plan.workload.context, plan.workload.batch) == (1000, 3)
    assert isinstance(plan.weights, Format)
    assert plan.weights.key == "bf16"
    assert plan.workload.kv_format is not None
    assert plan.workload.kv_format.key == "bf16"


def test_pretraining_takes_twenty_tokens_per_parameter_unless_told() -> None:
    draft = Draft(task="pretrain", gpu="h100-sxm")
    plan = plan_of(draft, model_named("llama-3.1-8b").model, machine_named(draft, None))
    assert isinstance(plan.workload, Pretrain)
    assert plan.workload.tokens == 20 * 8_030_261_248


def test_a_model_is_found_by_title_and_hub_id_and_else_suggested() -> None:
    assert model_named("meta-llama/Llama-3.1-8B").model == model_named("Llama 3.1 8B").model
    address = "https://huggingface.co/meta-llama/Llama-3.1-8B/"
    assert model_named(address).model == model_named("Llama 3.1 8B").model
    with pytest.raises(BadInput, match=r"llama-3\.1-8b"):
        model_named("llama-3.1-9b")


def test_a_uuid_is_one_card_however_many_there_are() -> None:
    with pytest.raises(BadInput, match="A UUID names one GPU") as caught:
        machine_named(replace(Draft(), gpu="GPU-1", count=2), LOCAL)
    assert caught.value.field == "count"


def test_the_same_quantization_of_the_same_model_is_laid_out_once() -> None:
    draft = replace(Draft(), weights="q4_k_m")
    first, again = model_named("llama-3.1-8b").model, model_named("llama-3.1-8b").model
    assert first is not again
    assert weights_of(draft, first) is weights_of(draft, again)
    assert weights_of(draft, model_named("qwen3-8b").model) != weights_of(draft, first)
    assert weights_of(replace(draft, weights="q8_0"), first) != weights_of(draft, first)

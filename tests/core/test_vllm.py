"""vLLM: what it logged of itself, beside what is predicted."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from llmplanner.core.engine import Vllm
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import BF16, INT4
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import Plan, Serve, Split
from llmplanner.core.room import share_of
from llmplanner.core.serving.vllm import budgets
from llmplanner.core.verdict import verdict
from llmplanner.models import catalogue

GIB = 2**30
H100 = Device("H100 SXM5 80GB", 81_559 * 2**20)
CARD = Device("RTX 4090", 24_564 * 2**20)
PEAKS = Path(__file__).parents[1] / "data" / "vllm_activation_peaks.csv"
LOGS = list(csv.DictReader(PEAKS.read_text(encoding="utf-8").splitlines()))


def named(name: str) -> Model:
    return catalogue.model(name, Path("nowhere"))


def served(model: Model, engine: Vllm, context: int = 8192, tensor: int = 1) -> Estimate:
    machine = Machine((H100,) * tensor)
    return estimate(Plan(model, Serve(context, 1), machine, Split(tensor=tensor), BF16, engine))


def terms(found: Estimate) -> dict[str, Term]:
    return {term.name: term for term in found.devices[0].peak.terms}


@pytest.mark.parametrize("row", LOGS, ids=lambda row: f"{row['model']}-{row['tokens']}-{row['tensor']}")
def test_logged_peaks_of_the_profiled_pass(row: dict[str, str]) -> None:
    engine = Vllm(batched_tokens=int(row["tokens"]), sequences=int(row["sequences"]))
    tensor = int(row["tensor"])
    found = terms(served(named(row["model"]), engine, 32_768 if tensor == 1 else 8192, tensor=tensor))
    parts = [found[name] for name in ("activations", "logits") if name in found]
    logged = float(row["peak_GiB"]) * GIB
    if row["sampler"] == "flashinfer":
        assert sum(int(part.low) for part in parts) == pytest.approx(logged, rel=0.06)
    else:
        assert sum(int(part.bytes) for part in parts) == pytest.approx(logged, rel=0.04)


@pytest.mark.parametrize(
    ("name", "tokens", "logged"),
    [
        ("qwen3-235b-a22b", 178_880, 8304.6),  # vLLM issue 21348, a quarter of it: four cards
        ("qwen3-4b", 22_304, 3133.4),  # 1,394 blocks of 16
        ("qwen2.5-0.5b", 3_041_600, 35_645.4),
    ],
)
def test_logged_pools_of_blocks(name: str, tokens: int, logged: float) -> None:
    model = named(name)
    tensor = 4 if name.startswith("qwen3-235") else 1
    found = terms(served(replace(model, context_length=None), Vllm(), tokens, tensor=tensor))
    assert int(found["kv_cache"].bytes) / 2**20 == pytest.approx(logged, rel=0.012)


def test_sliding_layers_share_the_pool() -> None:
    """gpt-oss: half of its 24 layers see 128 tokens, and keep what the next pass of 8,192 may still need."""
    model = named("gpt-oss-20b")
    term = terms(served(model, Vllm(batched_tokens=8192), 32_768))["kv_cache"]
    whole, sliding = (int(part.bytes) for part in sorted(term.parts, key=lambda part: part.name))
    assert whole == 768 * 2**20  # 12 layers of 2 x 8 heads of 64 in 16 bits
    assert sliding == 12 * 16 * 2048 * (-(-(128 - 1 + 8192) // 16) + 1)


def test_budgets_follow_the_card() -> None:
    assert budgets(Vllm(), H100, 4096) == (8192, 1024)
    assert budgets(Vllm(), Device("A100 80GB", 80 * GIB), 4096) == (2048, 256)
    assert budgets(Vllm(), CARD, 4096) == (2048, 256)
    assert budgets(Vllm(batched_tokens=512, sequences=3), H100, 100) == (300, 3)


def test_what_is_left_goes_to_keys_and_values() -> None:
    machine = Machine((replace(H100, memory_usable=int(79.14 * GIB)),))
    engine = Vllm(batched_tokens=2048, sequences=256)
    left = estimate(Plan(named("llama-3-8b"), Serve(8192), machine, Split(), BF16, engine)).capacity
    assert left is not None
    assert left.bytes == pytest.approx(54.93 * GIB, rel=0.01)  # logged: 71.22 GiB for it all
    assert left.requests == left.tokens // 8192


def test_a_share_that_is_too_small_does_not_fit() -> None:
    model, device = named("llama-3-8b"), replace(CARD, memory_free=CARD.memory_total)
    plan = Plan(model, Serve(8192, 1), Machine((device,)), Split(), BF16, Vllm(share=0.5))
    said = verdict(plan, estimate(plan))
    assert said.empty.state == "no"
    assert said.empty.available_bytes == share_of(device, 0.5)
    assert "will not start" not in said.message
    full = replace(plan, engine=Vllm(share=0.9))
    assert verdict(full, estimate(full)).empty.state in {"fits", "tight"}


def test_formats_that_it_does_not_keep_are_refused() -> None:
    plan = Plan(named("llama-3-8b"), Serve(512, 1, kv_format=INT4), Machine((CARD,)), Split(), BF16, Vllm())
    with pytest.raises(BadInput, match="FP8") as caught:
        estimate(plan)
    assert caught.value.field == "kv"


def test_a_share_that_is_not_free_does_not_start() -> None:
    device = replace(H100, memory_free=40 * GIB)
    plan = Plan(named("llama-3-8b"), Serve(8192, 1), Machine((device,)), Split(), BF16, Vllm())
    message = verdict(plan, estimate(plan)).message
    assert "vLLM will not start" in message
    assert "vllm_share to 0.5" in message


def test_experts_in_mxfp4_may_be_padded() -> None:
    """An A100's log of gpt-oss-20b: 13.72 GiB, where the file has 12.82."""
    model = named("gpt-oss-20b")
    assert model.checkpoint is not None
    plan = Plan(model, Serve(8192), Machine((H100,)), Split(), model.checkpoint, Vllm())
    term = terms(estimate(plan))["weights"]
    assert int(term.bytes) / GIB == pytest.approx(12.82, abs=0.01)
    assert int(term.high) / GIB == pytest.approx(13.72, rel=0.01)


def test_what_is_left_has_bounds() -> None:
    left = served(named("llama-3-8b"), Vllm()).capacity
    assert left is not None
    assert left.low is not None
    assert left.high is not None
    assert left.low < left.bytes < left.high

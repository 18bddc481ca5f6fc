"""Against published runs: their days, GPU-hours and energy, and limits that are broken by known amounts."""

import pytest

from llmplanner.core.cost import (
    Limits,
    Run,
    allowed_flops,
    at_hand,
    binding_limit,
    devices_to_meet,
    energy,
    limit_uses,
)
from llmplanner.core.domain import BLOOMBERG_GPT, raw_needed
from llmplanner.core.duration import days, device_hours, devices_per_pf_day, implied_efficiency
from tests.reference import needs_reference, rows


@pytest.mark.parametrize(
    ("peak", "devices"), [(125e12, 8.0), (312e12, 3.205), (989.4e12, 1.011), (112e12, 8.93)]
)
def test_devices_of_one_pf_day(peak: float, devices: float) -> None:
    assert float(devices_per_pf_day(peak)) == pytest.approx(devices, rel=1e-3)


def test_eight_a100_at_forty_percent() -> None:
    assert float(devices_per_pf_day(312e12, 0.4)) == pytest.approx(8.0, abs=0.02)


def test_narayanan_days() -> None:
    """GPT-3 on 1,024 A100 at 140 TFLOP/s in 34 days, recomputation in (arXiv:2104.04473 eq. 4)."""
    assert float(days(8 * 175e9 * 300e9, 1024, 140e12, 1.0)) == pytest.approx(34, abs=0.2)


def test_llama_energy() -> None:
    """LLaMA-65B: 1,022,362 h x 400 W x PUE 1.1 = 449 MWh (arXiv:2302.13971 Table 15)."""
    assert float(energy(1_022_362, 400, 1.1)) / 1000 == pytest.approx(449, abs=1)


@needs_reference
def test_published_hours_give_the_efficiency_stated_with_them() -> None:
    peaks = {"A100": 312e12, "H100": 989.4e12, "H800": 989.4e12, "V100-SXM": 125e12, "TPUv4": 275e12}
    counted = 0
    for row in rows("training_runs.csv"):
        if row["hw"] in peaks and row["chip_hours"] and row["mfu_implied_6ND_over_chip_hours_x_peak"]:
            mfu = implied_efficiency(float(row["flops_6ND_calc"]), float(row["chip_hours"]), peaks[row["hw"]])
            stated = float(row["mfu_implied_6ND_over_chip_hours_x_peak"])
            assert float(mfu) == pytest.approx(stated, rel=2e-3), row["model"]
            counted += 1
    assert counted >= 25


GPT3_ON_A100 = Run(flops=3.142e23, devices=1024, peak=312e12, efficiency=0.4, price=2.0)


def test_days_hours_and_money_agree() -> None:
    assert GPT3_ON_A100.hours == pytest.approx(1024 * GPT3_ON_A100.days * 24)
    assert GPT3_ON_A100.cost == pytest.approx(2 * GPT3_ON_A100.hours)
    assert float(device_hours(8.64e19, 1e15, 1.0)) == pytest.approx(24)


def test_time_binds_and_more_gpus_meet_it() -> None:
    limits = Limits(days=14, cost=5e6)
    uses = limit_uses(GPT3_ON_A100, limits)
    binding = binding_limit(uses)
    assert binding is not None
    assert binding.name == "time"
    assert binding.share == pytest.approx(GPT3_ON_A100.days / 14)
    enough = devices_to_meet(GPT3_ON_A100, 14)
    assert days(GPT3_ON_A100.flops, enough, 312e12, 0.4) <= 14
    assert days(GPT3_ON_A100.flops, enough - 1, 312e12, 0.4) > 14


def test_what_a_limit_allows_is_what_uses_it_up() -> None:
    limits = Limits(devices=1024, days=14, cost=500_000)
    for use in limit_uses(GPT3_ON_A100, limits):
        assert use.flops is not None
        grown = Run(use.flops, 1024, 312e12, 0.4, 2.0)
        again = {other.name: other for other in limit_uses(grown, limits)}
        assert again[use.name].share == pytest.approx(1.0)


LLAMA_ON_ONE_4090 = Run(flops=6 * 8.03e9 * 15e12, devices=1, peak=165.2e12, efficiency=0.35, price=2.0)


def test_limits_are_those_of_the_gpus_at_hand() -> None:
    """By hand: 8 GPUs x 30 days do 24.9B tokens of Llama 3.1 8B, 10,000 dollars buy 21.6B: money binds."""
    uses = limit_uses(LLAMA_ON_ONE_4090, Limits(devices=8, days=30, cost=10_000))
    tokens = {use.name: (use.flops or 0) / (6 * 8.03e9) for use in uses}
    assert tokens["time"] == pytest.approx(24.9e9, rel=2e-3)
    assert tokens["hardware"] == tokens["time"]
    assert tokens["money"] == pytest.approx(21.6e9, rel=2e-3)
    assert (allowed_flops(uses) or 0) / (6 * 8.03e9) == tokens["money"]
    binding = binding_limit(uses)
    assert binding is not None
    assert binding.name == "money"


def test_time_speaks_for_the_gpus_at_hand() -> None:
    hardware, time = limit_uses(LLAMA_ON_ONE_4090, Limits(devices=8, days=30))
    assert hardware.share == pytest.approx(time.share)
    assert time.needed == pytest.approx(at_hand(LLAMA_ON_ONE_4090, Limits(devices=8)).days)
    assert devices_to_meet(LLAMA_ON_ONE_4090, 30) == pytest.approx(hardware.needed, abs=1)
    assert binding_limit((hardware, time)) == time


def test_gpus_alone_are_the_plans_against_those_at_hand() -> None:
    (use,) = limit_uses(GPT3_ON_A100, Limits(devices=512))
    assert (use.needed, use.share) == (1024, 2.0)
    assert allowed_flops((use,)) is None


def test_money_of_nothing_is_broken_and_without_a_price_unknown() -> None:
    (use,) = limit_uses(GPT3_ON_A100, Limits(cost=0))
    assert use.share == float("inf")
    free = Run(1e20, 1, 312e12, 0.4, None)
    assert limit_uses(free, Limits(cost=10)) == ()
    assert binding_limit(()) is None


def test_domain_data() -> None:
    assert BLOOMBERG_GPT.share == pytest.approx(0.512, abs=5e-4)
    assert float(raw_needed(570e9, 0.0127)) == pytest.approx(45e12, rel=5e-3)


def test_nothing_is_paid_at_a_price_of_nothing() -> None:
    gift = Run(1e20, 1, 312e12, 0.4, 0.0)
    (use,) = limit_uses(gift, Limits(cost=0))
    assert use.share == 0
    assert use.flops is None

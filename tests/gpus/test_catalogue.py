"""The catalogue against what drivers print and vendors publish, and the names by which cards are found."""

import re

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.gpus.catalogue import by_name, catalogue, match
from tests.reference import needs_reference, rows

MIB = 2**20
SEEN = [
    row
    for row in rows("gpu_names_mib.csv")
    if row["total_mib"]
    and not re.search(r"MIG|GTX 680|1070 Ti|1060|P400|5880|Graphics Device", row["nvml_name"])
]  # left out: a slice of a card, implausible fixtures, cards without a measured total


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtx-4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("rtx4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("GeForce RTX 4090", "rtx-4090"),  # as drivers before 2021 spell it
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "rtx-4090-laptop"),
        ("L4", "l4"),
        ("NVIDIA L40", "l40"),
        ("l40s", "l40s"),
        ("A10", "a10"),
        ("h100-sxm", "h100-sxm"),
        ("H100 SXM5", "h100-sxm"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("Quadro RTX 6000", "quadro-rtx-6000"),
        ("RTX 4060Ti 16 GB", "rtx-4060-ti-16"),
        ("NVIDIA GH200 480GB", "gh200-96"),  # 480 is the CPU's memory
        ("GB200", "gb200"),
        ("NVIDIA GB10", "gb10"),
        ("Tesla T4", "t4"),
        ("MI300X", "mi300x"),
        ("TPU v5e", "tpu-v5e"),
        ("M3 Max 128 GB", "apple-m3-max-128"),
        ("DGX Spark", "gb10"),
    ],
)
def test_finds_the_card_that_is_named(text: str, expected: str) -> None:
    assert by_name(text).id == expected


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("H100", ("h100-pcie", "h100-sxm", "h100-nvl")),
        ("RTX 6000", ("quadro-rtx-6000", "rtx-6000-ada", "rtx-pro-6000-ws")),
        ("RTX 3080", ("rtx-3080-10", "rtx-3080-12")),
        ("RTX 4090 D", ("rtx-4090",)),
        ("H100 160GB", ("h100-sxm",)),
        ("gb20", ("gb200",)),
        ("m3 max", ("128 GB", "apple-m3-max-128")),  # sold with 48 and 64 GB too
        ("M4", ("32 GB", "apple-m4-32")),
        ("", ("rtx-4090",)),
        ("no such card at all", ("rtx-4090",)),
    ],
)
def test_what_is_ambiguous_or_unknown_is_said_with_names_to_give(
    text: str, suggested: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput) as caught:
        by_name(text)
    assert caught.value.field == "gpu"
    for name in suggested:
        assert name in str(caught.value)


@needs_reference
@pytest.mark.parametrize("row", SEEN, ids=lambda row: row["nvml_name"])
def test_knows_the_cards_that_drivers_report(row: dict[str, str]) -> None:
    card = match(row["nvml_name"], int(row["total_mib"]) * MIB)
    assert card is not None
    assert f"{card.memory_gb:g}" == row["marketing_gb"]
    if row["cuda_total_mib"] and card.memory_usable_bytes:
        assert card.memory_usable_bytes == int(row["cuda_total_mib"]) * MIB


@needs_reference
@pytest.mark.parametrize(
    "row", [row for row in SEEN if row["mem_clock_mhz"]], ids=lambda row: row["nvml_name"]
)
def test_bandwidth_follows_from_clock_and_bus(row: dict[str, str]) -> None:
    card = match(row["nvml_name"], int(row["total_mib"]) * MIB)
    assert card is not None
    if card.bandwidth is not None:
        measured = 2 * float(row["mem_clock_mhz"]) * 1e6 * float(row["bus_bits"]) / 8
        assert card.bandwidth == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize(
    ("name", "tflops"),  # dense BF16 with FP32 sums, from NVIDIA's architecture whitepapers and datasheets
    [
        ("rtx-3090", 71.2),
        ("rtx-4090", 165.2),
        ("rtx-5090", 209.5),
        ("rtx-a6000", 154.8),
        ("rtx-6000-ada", 364.2),
        ("rtx-pro-6000-ws", 503.8),
        ("a100-sxm-80", 312),
        ("h100-sxm", 989.4),
    ],
)
def test_peaks_are_dense_and_the_vendors(name: str, tflops: float) -> None:
    assert by_name(name).peak_flops["bf16"] == pytest.approx(tflops * 1e12, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "mib", "expected"),
    [
        ("NVIDIA GeForce RTX 3080", 10240, "rtx-3080-10"),
        ("NVIDIA GeForce RTX 3080", 12288, "rtx-3080-12"),
        (
            "NVIDIA GeForce RTX 2080 Ti",
            11019,
            "rtx-2080-ti",
        ),  # drivers before R510 leave the reserved part out
        ("NVIDIA RTX A6000", 46068, "rtx-a6000"),  # with ECC on
        ("Tesla V100-SXM2-16GB", 3000, None),  # a slice of a shared card
        ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40448, None),
        ("NVIDIA GeForce RTX 2080 Ti", 22528, None),  # rebuilt with twice the memory
        ("Graphics Device", 24576, None),
        ("", 24576, None),
        ("NVIDIA GB10", None, "gb10"),
    ],
)
def test_a_local_card_is_matched_only_where_that_is_certain(
    name: str, mib: int | None, expected: str | None
) -> None:
    card = match(name, None if mib is None else mib * MIB)
    assert (card and card.id) == expected


def test_every_card_is_found_by_its_own_id_and_name_and_says_its_source() -> None:
    cards = catalogue()
    assert len({card.id for card in cards}) == len(cards) > 120
    for card in cards:
        assert by_name(card.id) == card
        assert by_name(card.name) is card
        assert card.source.memory_bytes
        assert not card.peak_flops or card.source.specification
        assert card.price_usd_per_hour is None or (card.source.price and card.price_dates)


def test_machines_that_share_their_memory_say_how_much_in_their_name() -> None:
    for card in catalogue():
        if card.unified:
            assert f"{card.memory_gb:g}GB" in card.name.replace(" ", "")


def test_as_a_device_the_catalogues_facts_are_kept() -> None:
    card = by_name("rtx-4090").device()
    assert card.memory_total == 24564 * MIB
    assert card.memory_usable == 24210 * MIB
    assert card.memory_free is None
    assert card.bandwidth == 1008e9

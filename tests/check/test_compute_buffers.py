"""Compute buffers on CUDA devices against those that llama.cpp and ik_llama.cpp logged."""

import csv
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from llmplanner.check.compute_buffers import Buffered, compute_buffers, logged
from llmplanner.core.errors import BadInput
from tests.reference import needs_reference, rows

MIB = 2**20
OPTIONS = Path(__file__).parent.parent / "data" / "ik_llama_options.csv"
Found = tuple[str, Buffered, float]  # the row and the device, what is predicted, and what it was in bytes


@cache
def joined() -> dict[str, dict[str, str]]:
    """The rows that name buffers of CUDA devices, with the options that their logs state."""
    with OPTIONS.open(newline="", encoding="utf-8") as file:
        options = {row["id"]: row for row in csv.DictReader(file)}
    found = {row["id"]: row | options.get(row["id"], {}) for row in rows("measured_inference.csv")}
    return {name: row for name, row in found.items() if "llama.cpp" in row["engine"] and logged(row)}


@cache
def answered() -> tuple[tuple[Found, ...], dict[str, str]]:
    """What is predicted of each buffer, and why the other rows have no answer."""
    found: list[Found] = []
    reasons: dict[str, str] = {}
    for name, row in joined().items():
        try:
            buffers = compute_buffers(row)
        except BadInput as error:
            reasons[name] = str(error)
            continue
        found += [(f"{name} {card}", buffers[card], size * MIB) for card, size in logged(row).items()]
    return tuple(found), reasons


@needs_reference
def test_logged_buffers_within_a_fiftieth_at_the_median_and_a_tenth_at_the_ninetieth() -> None:
    found, _ = answered()
    off = sorted(abs(one.bytes / size - 1) for _, one, size in found)
    assert len(off) > 95
    assert median(off) < 0.02
    assert off[int(0.9 * len(off))] < 0.1
    assert off[-1] < 0.3
    assert sum(one.low <= size <= one.high for _, one, size in found) >= 0.9 * len(found)


@needs_reference
@pytest.mark.parametrize(
    ("name", "card", "off"),
    [
        ("I094", "CUDA0", 1e-3),  # the latent expanded in FP32, at once
        ("I088", "CUDA0", 1e-3),  # scores in slices of -amb 1024, four batches at a time
        ("I014", "CUDA1", 1e-3),  # the latent expanded in slices, 153,600 cells, batches of 4,096
        ("I003", "CUDA0", 0.01),  # the same in batches of 512, experts on the host
        ("I025", "CUDA0", 1e-3),  # llama.cpp itself, the host's experts copied in
        ("I123", "CUDA0", 0.01),  # all layers on the card but the output, which is copied in
        ("I105", "CUDA0", 1e-3),  # a model that the catalogue lacks, by the sizes that the row states
        ("I106", "CUDA0", 1e-3),  # the same under the fork, whose norms have a place of their own
        ("I119", "CUDA0", 0.05),  # four batches at a time
        ("I026", "CUDA0", 1e-3),  # repacked experts stay on the host, those of seven layers are on the card
    ],
)
def test_each_way_of_latent_attention_and_experts(name: str, card: str, off: float) -> None:
    row = joined()[name]
    assert compute_buffers(row)[card].bytes == pytest.approx(logged(row)[card] * MIB, rel=off)


@needs_reference
def test_what_is_not_stated_is_not_guessed() -> None:
    _, reasons = answered()
    assert {reasons["I089"], reasons["I090"], reasons["I095"]} == {
        "The row does not state which tensors -ot put on which card."
    }
    bare = {key: value for key, value in joined()["I003"].items() if key not in {"amb", "fmoe", "experts"}}
    with pytest.raises(BadInput, match="does not state -amb"):
        compute_buffers(bare)
    with pytest.raises(BadInput, match="whether experts were repacked"):
        compute_buffers(bare | {"amb": "512", "fmoe": "1"})
    with pytest.raises(BadInput, match="no such model"):
        compute_buffers(bare | {"arch": "another", "model": "Nobody's"})


@needs_reference
def test_a_smaller_slice_takes_less_until_the_slices_themselves_weigh() -> None:
    """All slices are expanded before the first is attended to: -amb saves the FP32 product alone."""
    row = joined()["I003"]
    sizes = [compute_buffers(row | {"amb": amb})["CUDA0"].bytes for amb in ("0", "2048", "512", "128")]
    assert sizes == sorted(sizes, reverse=True)
    kept = 128 * (192 + 128) * 32768 * 2  # keys and values of 128 heads in FP16
    assert sizes[-1] > kept

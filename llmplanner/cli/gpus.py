"""`llmplanner gpus`: the GPUs of this computer."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict

from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.core.machine import Device
from llmplanner.core.quantities import gib_text
from llmplanner.gpus import local
from llmplanner.gpus.local import Probe

LONGEST_NAME = 48  # columns; the longest of NVIDIA's own names has 44


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Nothing beyond what every command takes."""


def run(arguments: argparse.Namespace) -> int:
    """Looks once and prints what is there. Having no GPU is an answer, not an error."""
    probe = local.look()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")  # for programs that compute; NVML ignores it
    if arguments.json:
        devices = [_entry(device, probe) for device in probe.devices]
        print_json(
            {
                "state": probe.state,
                "message": probe.message,
                "devices": devices,
                "troubles": list(probe.troubles),
                "unusable": [asdict(card) for card in probe.unusable],
                "cuda_visible_devices": visible,
            }
        )
        return 0
    if probe.devices:
        print_lines(*_cards(probe.devices), "")
    print_lines(*paragraph(probe.message))
    if probe.driver is not None:
        print_lines(f"Driver {probe.driver}.")
    if visible is not None:
        print_lines(*paragraph(f"CUDA_VISIBLE_DEVICES is {visible!r}: programs started here see only these."))
    return 0


def _entry(device: Device, probe: Probe) -> dict[str, object]:
    return {
        "name": device.name,
        "uuid": device.uuid,
        "memory_total": device.memory_total,
        "memory_free": device.memory_free,
        "memory_reserved": device.memory_reserved,
        "unified": device.unified,
        "wddm": device.wddm,
        "driver": probe.driver,
        "catalogue_name": device.catalogue_name,
    }


def _cards(devices: Sequence[Device]) -> list[str]:
    """A line of sizes for each card, and under it what it is known by."""
    heading, *sizes = table([("name", "total", "free now"), *map(_row, devices)], "lrr")
    lines = [heading]
    for line, device in zip(sizes, devices, strict=True):
        name = device.catalogue_name
        known = f"{name} in the catalogue" if name else "not in the catalogue"
        lines += [line, *paragraph(f"{device.uuid or 'UUID not known'}: {known}", 2)]
    return lines


def _row(device: Device) -> tuple[str, str, str]:
    return (_cut(device.name), _size(device.memory_total), _size(device.memory_free))


def _cut(name: str) -> str:
    """A name cut where it would push the sizes out of a terminal."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _size(size: int | None) -> str:
    return "not known" if size is None else gib_text(size)

"""The memory that a process can have of a device: now, and of the card with nothing on it."""

from llmplanner.core.machine import Device

WDDM_PERCENT = 5  # what Windows holds back of a card that drives the desktop
UNIFIED_PERMILLE = 870  # DGX Spark users cap at 0.85 to 0.87 of the computer's memory
USABLE_PERMILLE = 985  # of NVML's total, where neither a reserve nor CUDA's own total is known


def available_now(device: Device) -> int | None:
    """What a new process could take at this moment."""
    if device.memory_free is None:
        return None
    return max(device.memory_free - _held_back(device), 0)


def available_empty(device: Device) -> int | None:
    """What one process could take of the card if it ran alone."""
    total = device.memory_total
    if total is None:
        return device.memory_usable
    if device.unified:
        return total * UNIFIED_PERMILLE // 1000
    if device.memory_reserved is not None:
        room = total - device.memory_reserved
    elif device.memory_usable is not None:
        room = device.memory_usable
    else:
        room = total * USABLE_PERMILLE // 1000
    return max(room - _held_back(device), 0)


def _held_back(device: Device) -> int:
    """What Windows keeps from every process on a card under its own driver model."""
    return (device.memory_total or 0) * WDDM_PERCENT // 100 if device.wddm else 0


def share_of(device: Device, share: float) -> int | None:
    """Bytes of a card of which a program takes a share for itself; None where its memory is not known."""
    room = available_empty(device)
    return None if room is None else int(room * share)

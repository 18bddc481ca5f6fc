"""What training keeps off its devices: where it lies, and how long the links are busy with it in a step.

Sources: Ren et al. 2021 (arXiv:2101.06840) sections 3 and 4; Rajbhandari et al. 2021 (arXiv:2104.07857)
section 5; the links' rates are what PCIe 4.0 can carry at most, of 16 and of 4 lanes. What link a device has
is not known; PCIe 5.0 is twice as fast.
"""

from collections.abc import Iterable
from dataclasses import replace

from llmplanner.core import zero
from llmplanner.core.estimate import MEMORY, Host, Part
from llmplanner.core.plan import Offload, OffloadTo
from llmplanner.core.quantities import gb_text
from llmplanner.core.step import Step
from llmplanner.core.terms.gradients import gradients
from llmplanner.core.terms.master_weights import master_weights
from llmplanner.core.terms.optimizer import state
from llmplanner.core.terms.trained import weights
from llmplanner.core.zero import WEIGHTS

PER_COMPUTER = 8  # GPUs of the common servers; a plan does not say how its devices are put into computers
LINK = 31.5e9  # bytes per second and way: 16 lanes × 16 GT/s × 128/130 ÷ 8
DISK = 7.9e9  # 4 lanes: one drive
DRIVE = "disk of the computer"


def host(steps: Iterable[Step]) -> Host | None:
    """What a computer holds for its devices, the fullest of which count; None where nothing is offloaded."""
    each = [_of_device(step) for step in steps if step.split.offload is not Offload.NONE]
    return max(each, key=lambda one: one.bytes) if each else None


def _of_device(step: Step) -> Host:
    """The parts of a device's share times the devices of a computer; seconds are of one device's link."""
    split = step.split
    whole = replace(step, split=replace(split, offload=Offload.NONE))
    kept = [*state(whole), *master_weights(whole)]
    made, updated = gradients(whole), _updated(whole, all_=split.gathers)
    count = min(split.devices, PER_COMPUTER)
    many = "1 GPU" if count == 1 else f"{count} GPUs of a computer"
    parts = tuple(
        Part(part.name, count * part.bytes, f"{many} × ({part.formula})") for part in (*kept, *made, *updated)
    )
    times = step.train.accumulation
    read = 2 * times if split.offload is Offload.PARAMETERS else 1  # in forward and backward pass, or once
    down, up = times * _sum(made), read * _sum(updated)
    to_disk = split.offload_to is OffloadTo.DISK
    swapped = 2 * count * _sum(kept) + count * (down + up) if to_disk else 0
    seconds, formula = (down + up) / LINK, f"({gb_text(down)} down + {gb_text(up)} up) ÷ {gb_text(LINK)}/s"
    told = f"{formula}, the most of PCIe 4.0 × 16, assumed"
    if to_disk:
        seconds += swapped / DISK
        told = f"{told}; {gb_text(swapped)} of {count} devices ÷ {gb_text(DISK)}/s, the most of one drive"
    return Host(parts, seconds, told, DRIVE if to_disk else MEMORY)


def _updated(step: Step, *, all_: bool) -> list[Part]:
    """The weights on the host: all, or a copy of those that the step there updates and sends up."""
    split = replace(step.split, zero=WEIGHTS if step.split.zero else 0)
    divided = replace(step, split=split)
    if all_:
        return weights(divided)
    amount = zero.held(divided, step.trained_bytes, WEIGHTS)
    text = f"{step.trained_bytes:,} B of {step.parameters:,} parameters{zero.told(divided, WEIGHTS)}"
    return [Part("weights, to be sent up", amount, text)]


def _sum(parts: Iterable[Part]) -> int:
    return sum(int(part.bytes) for part in parts)

"""What a card cannot run at all, by the formats of its matrix units; where those are not known, nothing.

Sources: vLLM 0.10, gpu_worker.py (BF16 from compute capability 8.0); torch._scaled_mm (FP8 from 8.9);
FlashAttention 2's README (Ampere, Ada, Hopper or newer).
"""

from llmplanner.core.engine import AttentionKernel, Transformers, Vllm
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import BF16
from llmplanner.core.machine import Device, alike
from llmplanner.core.plan import Plan, Precision, Serve, computed_in


def check_card(plan: Plan) -> None:
    """Raises BadInput, with the field, where a card of the plan cannot run what the plan asks of it."""
    devices = plan.machine.devices[: plan.split.devices]
    for device in devices[:1] if alike(devices) else devices:
        _check(plan, device)


def _check(plan: Plan, device: Device) -> None:
    if isinstance(plan.workload, Serve):
        flash = isinstance(plan.engine, Transformers) and plan.engine.attention is AttentionKernel.FLASH
        if isinstance(plan.engine, Vllm) and computed_in(plan.weights, plan.model) == BF16:
            _need(device, "bf16", "vLLM does not compute in BF16 on {}; take fp16 weights.", "weights")
    else:
        step = plan.workload.step
        flash = step.attention is AttentionKernel.FLASH
        if step.precision is Precision.FP8_MIXED:
            _need(device, "fp8", "{} multiplies no FP8; take another precision.", "precision")
    if flash:
        _need(
            device, "bf16", "FlashAttention 2 does not run on {}, older than Ampere; take sdpa.", "attention"
        )


def _need(device: Device, form: str, sentence: str, field: str) -> None:
    if device.peak_flops and form not in device.peak_flops and device.vendor == "NVIDIA":
        raise BadInput(sentence.format(device.name), field)

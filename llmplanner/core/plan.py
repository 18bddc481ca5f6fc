"""A plan: a model, a workload, a machine and how the work is split over it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Union

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.formats import BF16, FP16, FP32, Format, format_named
from llmplanner.core.machine import Machine
from llmplanner.core.model import Model

if TYPE_CHECKING:  # one plan is answered without NumPy: its import would be the longest part of a start
    import numpy as np
    from numpy.typing import NDArray

WIDE = 24  # bits a weight, on average: more of them are mostly FP32, fewer are not
Weights = Format | Checkpoint  # every parameter in one format, or as certain files hold them
Count = Union[int, "NDArray[np.int64]"]  # one number, or a map of them that broadcasts


class Precision(StrEnum):
    """How a training step computes."""

    FP32 = "fp32"
    BF16 = "bf16"  # weights, gradients and optimizer state in BF16
    BF16_MIXED = "bf16-mixed"  # FP32 weights under autocast
    FP16_MIXED = "fp16-mixed"  # the same sizes, with a loss scale


class AttentionKernel(StrEnum):
    """How attention is computed."""

    EAGER = "eager"
    SDPA = "sdpa"
    FLASH = "flash"


class Checkpointing(StrEnum):
    """Which activations are computed again in the backward pass."""

    NONE = "none"
    FULL = "full"  # every layer, non-reentrant


class Optimizer(StrEnum):
    """Optimizers, by the names of the command line."""

    ADAMW = "adamw"  # PyTorch's foreach default
    ADAMW_FUSED = "adamw-fused"
    ADAMW_LOOP = "adamw-loop"
    SGD = "sgd"
    SGD_MOMENTUM = "sgd-momentum"


@dataclass(frozen=True, slots=True)
class Serve:
    """Answering. In an encoder-decoder, `context` is the decoder's tokens, `prompt` the encoder's."""

    context: Count  # tokens per sequence, prompt and answer together
    batch: Count = 1  # sequences at once
    prompt: Count | None = None  # tokens prefilled at once; None: the whole context
    kv_format: Format | None = None  # None: the weights' 16-bit format


@dataclass(frozen=True, slots=True)
class Train:
    """One optimizer step on each device: what pre-training and full fine-tuning have in common."""

    sequence: Count  # tokens per sequence
    micro_batch: Count = 1  # sequences per device and forward pass
    precision: Precision = Precision.BF16_MIXED
    optimizer: Optimizer = Optimizer.ADAMW
    attention: AttentionKernel = AttentionKernel.SDPA
    checkpointing: Checkpointing = Checkpointing.NONE
    target: Count | None = None  # decoder tokens of an encoder-decoder; None: as many as the encoder's


@dataclass(frozen=True, slots=True)
class FineTune:
    """Full fine-tuning: every parameter is trained."""

    step: Train


@dataclass(frozen=True, slots=True)
class Pretrain:
    """Pre-training from nothing on `tokens` tokens."""

    step: Train
    tokens: int


@dataclass(frozen=True, slots=True)
class Split:
    """How the work is divided. The number of devices is the product of the sizes."""

    data: int = 1
    tensor: int = 1
    zero: int = 0  # ZeRO stage, 0 to 3, over the data-parallel devices

    @property
    def devices(self) -> int:
        """How many devices the split takes."""
        return self.data * self.tensor


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be estimated. `weights` is how a served model's weights are stored."""

    model: Model
    workload: Serve | FineTune | Pretrain
    machine: Machine
    split: Split
    weights: Weights


def computed_in(weights: Weights, model: Model) -> Format:
    """The format in which a model with such weights computes, and keeps its KV cache unless told otherwise.

    Weights of fewer than 16 bits are stored so and unpacked for each matrix product: those of a file to the
    16-bit format that the model states, BF16 where it states none.
    """
    if isinstance(weights, Format):
        return weights if weights in {FP32, FP16, BF16} else BF16
    stated = format_named(model.dtype)
    wide = weights.bits > WIDE
    return stated if stated in ({FP32, FP16, BF16} if wide else {FP16, BF16}) else BF16


def at_weights(plan: Plan, weights: Weights) -> Plan:
    """The same serving plan with other weights. A KV cache in the format computed in moves with it."""
    workload = plan.workload
    if not isinstance(workload, Serve):
        return replace(plan, weights=weights)
    follows = workload.kv_format in {None, computed_in(plan.weights, plan.model)}
    kv_format = computed_in(weights, plan.model) if follows else workload.kv_format
    return replace(plan, weights=weights, workload=replace(workload, kv_format=kv_format))

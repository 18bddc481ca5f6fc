"""A plan: a model, a workload, an engine, a machine and how the work is split over it."""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from typing import TYPE_CHECKING, Union

from llmplanner.core.blocks import CacheFormat
from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.engine import AttentionKernel, Engine, LlamaCpp, Transformers
from llmplanner.core.formats import BF16, FP16, FP32, Format, format_named
from llmplanner.core.machine import Machine
from llmplanner.core.model import Model
from llmplanner.core.zero import WEIGHTS

if TYPE_CHECKING:  # one plan is answered without NumPy: its import would be the longest part of a start
    import numpy as np
    from numpy.typing import NDArray

TRANSFORMERS = Transformers()  # as it is when nothing is set
WIDE = 24  # bits a weight, on average: more of them are mostly FP32, fewer are not
Weights = Format | Checkpoint  # every parameter in one format, or as certain files hold them
Count = Union[int, "NDArray[np.int64]"]  # one number, or a map of them that broadcasts


class Precision(StrEnum):
    """How a training step computes."""

    FP32 = "fp32"
    BF16 = "bf16"  # weights, gradients and optimizer state in BF16
    BF16_MIXED = "bf16-mixed"  # FP32 weights under autocast
    FP16_MIXED = "fp16-mixed"  # the same sizes, with a loss scale
    BF16_MASTER = "bf16-master"  # BF16 weights and gradients; FP32 master weights and optimizer state
    FP8_MIXED = "fp8-mixed"  # FP32 weights; operands of the matrix products in FP8


class Checkpointing(StrEnum):
    """Which activations are computed again in the backward pass."""

    NONE = "none"
    SELECTIVE = "selective"  # the attention core: scores, softmax, dropout (Korthikanti et al. 2022, sec. 5)
    SELECTIVE_OP = "selective-op"  # all but every other matrix product and attention (torchtitan's "op")
    FULL = "full"  # every layer, non-reentrant

    @property
    def by_layer(self) -> bool:
        """Whether layers are computed again from their inputs."""
        return self in {Checkpointing.SELECTIVE_OP, Checkpointing.FULL}


class Loss(StrEnum):
    """How the cross-entropy is taken of the logits."""

    WHOLE = "whole"  # all tokens' logits at once, as PyTorch's own loss
    CHUNKED = "chunked"  # a part of the tokens at a time
    FUSED = "fused"  # with the head's product in one kernel, which also makes the gradients


class OffloadTo(StrEnum):
    """Where what is offloaded lies."""

    CPU = "cpu"
    DISK = "disk"


class Offload(StrEnum):
    """What training keeps off the device."""

    NONE = "none"
    OPTIMIZER = "optimizer"  # optimizer state and master weights; the step runs on the host
    PARAMETERS = "parameters"  # the weights as well


class Sharding(StrEnum):
    """Whose rules say what ZeRO gathers."""

    FSDP = "fsdp"  # a wrapped layer at a time
    DEEPSPEED = "deepspeed"  # up to stage3_max_live_parameters


class Optimizer(StrEnum):
    """Optimizers, by the names of the command line."""

    ADAMW = "adamw"  # PyTorch's foreach default
    ADAMW_FUSED = "adamw-fused"
    ADAMW_LOOP = "adamw-loop"
    ADAMW_BF16 = "adamw-bf16"  # moments in BF16 whatever the weights are in
    ADAMW_8BIT = "adamw-8bit"  # of bitsandbytes
    PAGED_ADAMW_8BIT = "paged-adamw-8bit"
    ADAMW_32BIT = "adamw-32bit"  # of bitsandbytes: in FP32 whatever the weights are in
    ADAMW_4BIT = "adamw-4bit"  # of torchao
    ADAMW_FP8 = "adamw-fp8"  # of torchao
    ADAM_AMSGRAD = "adam-amsgrad"
    ADAM_MINI = "adam-mini"
    ADAMAX = "adamax"
    NADAM = "nadam"
    RADAM = "radam"
    SGD = "sgd"
    SGD_MOMENTUM = "sgd-momentum"
    ADAGRAD = "adagrad"
    RMSPROP = "rmsprop"
    LION = "lion"  # of bitsandbytes
    LION_8BIT = "lion-8bit"
    ADAFACTOR = "adafactor"  # of Transformers
    ADAFACTOR_TORCH = "adafactor-torch"
    MUON = "muon"  # of the layers' matrices, AdamW of the rest
    SHAMPOO = "shampoo"
    SOAP = "soap"
    GALORE = "galore"


@dataclass(frozen=True, slots=True)
class Full:
    """Every parameter is trained, but for those that are frozen."""

    frozen_layers: int = 0  # the first layers, an encoder's before a decoder's, and with them the embeddings


ALL_LINEAR = "all-linear"  # PEFT's word for every linear but the head's
ATTENTION = "attention"


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) beside linears that stay as they are.

    The base's weights are stored as `Plan.weights` says: below 16 bits that is QLoRA (arXiv:2305.14314).
    """

    rank: int
    targets: tuple[str, ...] = (ALL_LINEAR,)  # last parts of linears' names; all-linear; attention
    dropout: float = 0.0
    dora: bool = False  # with a trained magnitude for each output (arXiv:2402.09353)
    embeddings: bool = False  # token embedding and head are trained in full
    quantized: bool = False  # the base lies in Plan.weights' format and is unpacked for each product


@dataclass(frozen=True, slots=True)
class Adapters:
    """Bottleneck adapters behind attention and feed-forward (Houlsby et al. 2019, arXiv:1902.00751)."""

    width: int


Method = Full | Lora | Adapters
FULL = Full()


@dataclass(frozen=True, slots=True)
class Serve:
    """Answering. In an encoder-decoder, `context` is the decoder's tokens, `prompt` the encoder's."""

    context: Count  # tokens per sequence, prompt and answer together
    batch: Count = 1  # sequences at once
    prompt: Count | None = None  # tokens prefilled at once; None: the whole context
    kv_format: CacheFormat | None = None  # of the keys; None: the weights' 16-bit format, in llama.cpp FP16
    value_format: CacheFormat | None = None  # None: that of the keys


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
    method: Method = FULL
    loss: Loss = Loss.WHOLE
    accumulation: int = 1  # micro-batches before a step; with pipeline stages those in flight
    padded: bool = False  # an attention mask is passed
    keep_logits: bool = False  # the caller holds the model's output until after the backward pass
    kernels: bool = False  # fused, for recurrent layers: mamba-ssm, causal-conv1d, flash-linear-attention


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
    """How the work is divided. The number of devices is the product of the sizes.

    Expert-parallel devices each work on tokens of their own: for all but the experts they are data parallel.
    """

    data: int = 1
    tensor: int = 1
    zero: int = 0  # ZeRO stage, 0 to 3, over the data-parallel devices
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    sequence_parallel: bool = False  # what tensor parallelism leaves whole is divided by tokens
    chunks: int = 1  # model chunks on each stage of an interleaved pipeline
    group: int | None = None  # hybrid sharding: devices that share one copy; None: all
    sharding: Sharding = Sharding.FSDP
    offload: Offload = Offload.NONE
    offload_to: OffloadTo = OffloadTo.CPU

    @property
    def devices(self) -> int:
        """How many devices the split takes."""
        return prod((self.data, self.tensor, self.pipeline, self.context, self.expert))

    @property
    def replicas(self) -> int:
        """Devices that hold the same weights, but for routed experts, and work on tokens of their own."""
        return self.data * self.context * self.expert

    @property
    def sharing(self) -> int:
        """Devices among which ZeRO divides what a replica holds: all of them, or those of a group."""
        return self.group or self.replicas

    def offloads(self, stage: int) -> bool:
        """Whether what ZeRO divides from this stage on is on the host; gradients are where the step runs."""
        return self.offload is Offload.PARAMETERS or (self.offload is Offload.OPTIMIZER and stage < WEIGHTS)

    @property
    def parts_with_gradients(self) -> bool:
        """Whether gradients leave the device that made them, from the ZeRO stage on that divides them."""
        return self.sharing > 1 or self.offload is not Offload.NONE

    @property
    def gathers(self) -> bool:
        """Whether weights come to a device only while they are used: from the others, or from the host."""
        return self.zero >= WEIGHTS and (self.sharing > 1 or self.offload is Offload.PARAMETERS)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be estimated.

    `weights` is how a served model's weights, or a frozen base's, are stored. `runtime` is what was measured
    of a process that holds nothing yet, in bytes; None: the published range.
    """

    model: Model
    workload: Serve | FineTune | Pretrain
    machine: Machine
    split: Split
    weights: Weights
    engine: Engine = TRANSFORMERS
    runtime: int | None = None


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
    if not isinstance(workload, Serve) or isinstance(plan.engine, LlamaCpp):
        return replace(plan, weights=weights)
    follows = workload.kv_format in {None, computed_in(plan.weights, plan.model)}
    kv_format = computed_in(weights, plan.model) if follows else workload.kv_format
    return replace(plan, weights=weights, workload=replace(workload, kv_format=kv_format))

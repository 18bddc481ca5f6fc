"""What every piece of a walk needs to know, and the operations that they are made of."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from llmplanner.core.autograd.tape import Arithmetic, Cause, Tape, Unit, Value, Weight
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Dropout, Module
from llmplanner.core.plan import FULL, Full, Lora, Loss, Method
from llmplanner.core.tensors import tensor_shapes


@dataclass(frozen=True, slots=True)
class Walk:
    """What every piece needs to know beside its inputs."""

    tape: Tape = field(compare=False)  # two walks that are alike keep the same
    arithmetic: Arithmetic
    kernel: AttentionKernel
    dropout: Dropout
    causal: bool = True  # a decoder's
    scores_fp32: bool = False  # GPT-J: of queries and keys in FP32
    trained: bool = True  # the model's own parameters met on this walk
    method: Method = FULL
    checkpointed: bool = False  # layer by layer; Transformers then asks for the embeddings' gradient as well
    padded: bool = False  # a mask of padding is passed
    loss: Loss = Loss.WHOLE
    core_again: bool = False  # scores and what is made of them are computed again
    kernels: bool = False  # fused, for recurrent layers
    prefix: str = ""  # of the names of linears; empty outside the layers

    @property
    def reads_padding(self) -> bool:
        """Whether the mask is of this stack's own tokens: an encoder-decoder's is of its encoder's."""
        return self.padded and not self.tape.reads_another

    @property
    def between(self) -> Unit:
        """What the residual stream is counted per."""
        return Unit.TOKEN if self.arithmetic.slices == 1 else Unit.SLICE

    @property
    def packed(self) -> bool:
        """Whether matrices lie in fewer bits than are computed in: those of a quantized base's layers."""
        return isinstance(self.method, Lora) and self.method.quantized and self.prefix != ""

    @property
    def saves_modules(self) -> bool:
        """Whether token embedding and head are trained as copies beside the frozen ones (modules_to_save)."""
        return isinstance(self.method, Lora) and self.method.embeddings

    def of_embeddings(self) -> "Walk":
        """The walk of what is trained as the token embedding is."""
        method = self.method
        frozen = isinstance(method, Full) and method.frozen_layers > 0
        return replace(self, trained=(self.trained and not frozen) or self.saves_modules)


def parameter(walk: Walk, shape: tuple[int, ...]) -> Weight:
    """Notes a parameter of the model."""
    weight = Weight(shape, walk.arithmetic.weight, walk.trained)
    walk.tape.parameters.append(weight)
    return weight


def own(walk: Walk, modules: Iterable[Module]) -> None:
    """Parameters that no piece of the walk reads by itself, such as scales; they keep next to nothing."""
    for module in modules:
        for shape in tensor_shapes(module):
            parameter(walk, shape)


def cast(walk: Walk, x: Value, size: int | None = None) -> Value:
    """The value as an operand of a matrix product, or in so many bytes: a copy at every use."""
    size = walk.arithmetic.operand if size is None else size
    return x if x.size == size else walk.tape.op(Value(x.width, size, x.unit), (x,))


def sliced(walk: Walk, x: Value, like: Value) -> Value:
    """What a product made, counted as `like` is: under sequence parallel a device has a slice of the sum."""
    return x if x.unit is like.unit else walk.tape.op(Value(x.width, x.size, like.unit), (x,))


def copied(walk: Walk, weight: Weight, cause: Cause, reader: Value) -> tuple[Value, ...]:
    """What a product of `reader` reads in place of a weight of another width: autocast's copy of it.

    The gradient of the reader needs it; that of the weight is cast back. A gathered weight is told in the
    term communication.
    """
    arithmetic = walk.arithmetic
    if not arithmetic.autocast or weight.size == arithmetic.operand:
        return ()
    if arithmetic.gathered and not weight.added:
        return ()
    copy = walk.tape.op(Value(weight.elements, arithmetic.operand, Unit.ONCE), (), trained=weight.trained)
    walk.tape.save(cause, copy, when=reader.grad)
    return (copy,)


def drop(walk: Walk, probability: float, x: Value) -> Value:
    """Dropout: a mask of one byte per element and a new value."""
    if probability == 0:
        return x
    walk.tape.keep(Cause.DROPOUT, x.width, 1, x.unit, when=x.grad)
    return walk.tape.op(Value(x.width, x.size, x.unit), (x,))

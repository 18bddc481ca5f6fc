"""LLaMA-Adapter as litgpt builds it: a learned prompt in each layer; in version 2 scales and biases too.

The model stays frozen and gradients flow through all of it, as beside a LoRA of rank 1 on the attention's
output: that keeps what the gated prompt keeps, a value for each of its outputs. Source: Zhang et al. 2023
(arXiv:2303.16199), Gao et al. 2023 (arXiv:2304.15010); litgpt/adapter.py and adapter_v2.py.
"""

from llmplanner.check.answer import Row
from llmplanner.check.cells import float_of
from llmplanner.core.model import Attention, Linear, Model
from llmplanner.core.plan import ATTENTION, Lora
from llmplanner.core.tensors import layer_pieces

PROMPT, FIRST = 10, 2  # adapter_prompt_length, adapter_start_layer
MILLION = 10**6


def method(model: Model, *, packed: bool) -> Lora:
    """The nearest of the planner's methods."""
    inner = model.stacks[-1].groups[0].layer.attention
    name = inner.output.name.rpartition(".")[2] if isinstance(inner, Attention) else ATTENTION
    return Lora(1, (name,), quantized=packed)


def is_second(row: Row, model: Model) -> bool:
    """Whether the row is of version 2: it trains far more than the prompts."""
    stated = float_of(row.get("trainable_params_M", "").strip())
    layers = model.stacks[-1].depth - FIRST
    return "v2" in row.get("method", "") or (stated or 0) * MILLION > 2 * layers * PROMPT * model.hidden_size


def kept(model: Model) -> int:
    """Bytes that version 2 keeps of each token: matrices' outputs before their scales, norms' outputs."""
    width = model.head.linear.outputs if model.head.linear is not None else 0
    for stack in model.stacks:
        for group in stack.groups:
            linears = (
                piece.module for piece in layer_pieces(group.layer) if isinstance(piece.module, Linear)
            )
            outputs = sum(each.outputs for each in linears)
            width += len(group.indices) * (outputs + 2 * model.hidden_size)
    return 2 * width

"""What devices hold to talk to each other, by the papers and by documented defaults; not measured."""

from llmplanner.core.autograd.tape import Unit
from llmplanner.core.estimate import Bytes, Part
from llmplanner.core.model import Attention, Experts, LatentAttention, Model
from llmplanner.core.plan import Offload, Sharding
from llmplanner.core.step import Step, shown
from llmplanner.core.terms.trained import Estimated
from llmplanner.core.zero import GRADIENTS

MB = 10**6
LIVE = 10**9  # elements: DeepSpeed's stage3_max_live_parameters
PREFETCH = 5 * 10**7  # elements: its stage3_prefetch_bucket_size
BUCKET = 5 * 10**8  # elements: its reduce_bucket_size
SIXTEEN = 2  # bytes of what a quantized base keeps unpacked
UNEVEN = 2  # tokens that the fullest device's experts receive, over the mean (GShard's capacity factor)


def forward(step: Step) -> list[Part]:
    """What is alive in the forward pass."""
    return [*buckets(step), *gathered(step), *handed(step, 1)]


def backward(step: Step) -> list[Part]:
    """What is alive in the backward pass: gradients of what is handed over travel beside it."""
    return [*buckets(step), *gathered(step), *reduced(step), *handed(step, 2)]


def update(step: Step) -> list[Part]:
    """What is alive while the optimizer steps."""
    return buckets(step)


def buckets(step: Step) -> list[Part]:
    """DistributedDataParallel copies gradients into buckets, which live as long as it does.

    As views of them (`gradient_as_bucket_view`) the gradients take nothing more. ZeRO 1 without DeepSpeed is
    PyTorch's ZeroRedundancyOptimizer, which stands on the same.
    """
    split = step.split
    if split.replicas == 1 or split.zero >= GRADIENTS or _by_deepspeed(step):
        return []
    amount = step.trained_bytes
    text = f"{amount:,} B of {step.parameters:,} gradients in buckets of 25 MB"
    return [Estimated("gradient buckets", amount, text, 0, amount + 25 * MB)]


def gathered(step: Step) -> list[Part]:
    """ZeRO 3: weights on their way to the layer that uses them, in the format computed in."""
    if not step.arithmetic.gathered:
        return []
    return [_live(step) if _by_deepspeed(step) else _units(step)]


def _units(step: Step) -> Part:
    """FSDP: the layer in use, the next one, and what stands outside the layers, which is never freed between.

    Source: Zhao et al. 2023 (arXiv:2304.11277), sections 3 and 4.
    """
    size, root = step.arithmetic.operand, outside(step)
    layer, told = _layer(step)
    text = f"2 × {told} of a layer + {size} B × {root:,} outside the layers"
    amount = 2 * layer + size * root
    return Estimated("gathered weights", amount, text, layer, amount + layer)


def _layer(step: Step) -> tuple[int, str]:
    """Bytes of the largest layer as it is gathered, in words too: a quantized one comes packed."""
    elements, size, base = unit(step), step.arithmetic.operand, step.base
    if base is None or base.wide >= step.weights:
        return size * elements, f"{size} B × {elements:,}"
    packed, among = base.bytes - SIXTEEN * base.wide, step.weights - base.wide
    amount = -(-elements * packed // among)
    return amount, f"{amount:,} B of {elements:,} as {base.name}"


def _live(step: Step) -> Part:
    """DeepSpeed: up to stage3_max_live_parameters stay, and a prefetch bucket is under way."""
    size, whole = step.arithmetic.operand, step.weights
    elements = min(whole, LIVE + PREFETCH)
    text = f"{size} B × {elements:,} parameters, of {whole:,} at most {LIVE:,} and {PREFETCH:,} prefetched"
    least = size * max(unit(step), outside(step))
    return Estimated("gathered weights", size * elements, text, min(least, size * elements), size * elements)


def reduced(step: Step) -> list[Part]:
    """Gradients that are whole until they are summed and divided, or on their way to the host."""
    if _by_deepspeed(step):
        return [_reduce_bucket(step)]
    if step.split.zero < GRADIENTS or not step.split.parts_with_gradients:
        return []
    layer = max(each.trained for each in step.layers)
    root = sum(each.trained for each in step.ends)
    size = step.arithmetic.read
    text = f"{size} B × {max(layer, root):,} parameters, the most of a layer or of what stands outside"
    largest = size * max(layer, root)
    return [Estimated("gradients before they are divided", largest, text, size * layer, 2 * largest)]


def _reduce_bucket(step: Step) -> Part:
    """DeepSpeed reduces, and offloads, gradients a bucket at a time; two where it overlaps with computing."""
    size, elements = step.arithmetic.read, min(step.parameters, BUCKET)
    text = f"{size} B × {elements:,} of {step.parameters:,} parameters, at most {BUCKET:,}"
    return Estimated("gradients in a bucket", size * elements, text, 0, 2 * size * elements)


def _by_deepspeed(step: Step) -> bool:
    """Whether DeepSpeed's rules hold: it alone offloads the optimizer by itself."""
    split = step.split
    sharded = split.zero > 0 and split.parts_with_gradients and split.sharding is Sharding.DEEPSPEED
    return sharded or split.offload is Offload.OPTIMIZER


def handed(step: Step, ways: int) -> list[Part]:
    """Activations that devices hand to each other while one layer runs; `ways`: 2 with their gradients."""
    split = step.split
    size, tokens = ways * step.arithmetic.operand, step.tokens
    parts = []
    if step.arithmetic.slices > 1:
        width = step.model.hidden_size
        parts.append(_activation("gathered by tensor parallel", size, width, tokens))
    if split.context > 1:
        width = _keys_and_values(step.model)
        ring = _activation("keys and values, two blocks", size, 2 * width, tokens)
        most = ring.bytes * split.context // 2  # PyTorch's default gathers all blocks at once
        parts.append(Estimated(ring.name, ring.bytes, ring.formula, ring.bytes, most))
    if split.expert > 1 and (chosen := _chosen(step.model)):
        sent = _activation("sent to experts and back", size, 2 * chosen * step.model.hidden_size, tokens)
        parts.append(Estimated(sent.name, sent.bytes, sent.formula, sent.bytes // 2, sent.bytes * UNEVEN))
    if split.pipeline > 1:
        width, slices = step.model.hidden_size, step.ends[0].counts[Unit.SLICE]
        parts.append(_activation("between stages", size, 2 * width, slices))
    return parts


def _activation(name: str, size: int, width: int, tokens: Bytes) -> Part:
    return Part(name, size * width * tokens, f"{size} B × {width:,} × {shown(tokens)} tokens")


def _keys_and_values(model: Model) -> int:
    """Elements of keys and values of a token, in the widest layer."""
    inner = (group.layer.attention for stack in model.stacks for group in stack.groups)
    return max((_width(each) for each in inner if each is not None), default=0)


def _width(attention: Attention | LatentAttention) -> int:
    if isinstance(attention, LatentAttention):
        return attention.heads * (attention.nope_dim + attention.rope_dim + attention.value_dim)
    return attention.kv_heads * (attention.key_dim + attention.value_dim)


def _chosen(model: Model) -> int:
    """Experts that a token goes to; none in a model without."""
    blocks = (group.layer.feed_forward for stack in model.stacks for group in stack.groups)
    return max((block.run for block in blocks if isinstance(block, Experts)), default=0)


def unit(step: Step) -> int:
    """Parameters of the largest layer, which is what FSDP gathers at once."""
    return max(each.elements for each in step.layers)


def outside(step: Step) -> int:
    """Parameters outside the layers: embeddings, final norm, head."""
    return sum(each.elements for each in step.ends)

"""vLLM's cache: blocks of tokens in a pool that layers of several kinds share.

Layers of one kind are cut into groups of equal size, and a block of the pool serves one group: the pool
holds as many layers as the smallest kind has. Source: vLLM 0.10, vllm/v1/core/kv_cache_utils.py.
"""

from dataclasses import dataclass

from llmplanner.core.blocks import CacheFormat
from llmplanner.core.estimate import Bytes, Part, Term, smallest
from llmplanner.core.model import Kind, LatentAttention, Model
from llmplanner.core.plan import Count
from llmplanner.core.terms.kv_cache import counted, keeps, said, width

SOURCE = "vLLM 0.10, vllm/v1/core/kv_cache_utils.py; Kwon et al. 2023 (arXiv:2309.06180) sec. 4"
EVEN = 2  # kinds whose sizes differ by less than half are filled up to one size


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of equal length. Shapes: context and batch broadcast."""

    context: Count  # tokens
    batch: Count
    block: int  # tokens of a block
    budget: int  # tokens of a pass


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers that keep the same of a token."""

    count: int
    width: int  # elements per token and layer
    window: int | None

    def blocks(self, requests: Requests) -> Count:
        """Blocks of one request. A window keeps what the next pass may still need, and a block more."""
        context, block = requests.context, requests.block
        whole = -(-context // block)
        if self.window is None:
            return whole
        room = smallest(self.window - 1 + requests.budget, context)
        return smallest(-(-room // block) + 1, whole)


def layers(model: Model) -> tuple[Layers, ...]:
    """The layers that keep keys and values of their own, those alike together."""
    found: dict[tuple[int, int | None], int] = {}
    for stack in model.stacks:
        if stack.role is not Kind.DECODER:
            continue
        for group in stack.groups:
            attention = group.layer.attention
            if attention is None or not keeps(attention):
                continue
            window = None if isinstance(attention, LatentAttention) else attention.window
            key = (width(attention), window)
            found[key] = found.get(key, 0) + len(group.indices)
    return tuple(Layers(count, size, window) for (size, window), count in found.items())


def kv_blocks(model: Model, form: CacheFormat, requests: Requests) -> Term:
    """The blocks that requests take of the pool. Shapes: as the requests'."""
    kinds = layers(model)
    size = _group(kinds)
    parts = tuple(_part(kind, size, form, requests) for kind in kinds)
    total: Bytes = sum((part.bytes for part in parts), start=0)
    return Term(
        "kv_cache",
        total,
        total,
        total,
        " + ".join(part.formula for part in parts) or "no layer keeps keys and values",
        SOURCE,
        note="What these requests take of the pool; vLLM fills the rest of its share with free blocks.",
        parts=parts,
        measured="Three logged pools of models with known sizes: within 1.2 %",
        change="--context, --batch or --kv fp8-e4m3 (vLLM: --max-model-len, --kv-cache-dtype)",
    )


def _group(kinds: tuple[Layers, ...]) -> int:
    """Layers of one group: as many as the smallest kind has, or as the largest where they are near."""
    if not kinds:
        return 1
    counts = [kind.count for kind in kinds]
    return max(counts) if max(counts) * EVEN < min(counts) * (EVEN + 1) else min(counts)


def _part(kind: Layers, size: int, form: CacheFormat, requests: Requests) -> Part:
    held, block = -(-kind.count // size) * size, requests.block
    blocks = kind.blocks(requests)
    amount = requests.batch * blocks * form.bytes_for(held * block * kind.width)
    filled = f" ({kind.count} filled up)" if held != kind.count else ""
    words = (
        f"{counted(requests.batch, 'sequences')} × {said(blocks)} blocks of {block} tokens"
        f" × {held} layers{filled}"
        f" × {kind.width:,} × {form.bits} bit ÷ 8"
    )
    name = "full attention" if kind.window is None else f"sliding attention, window {kind.window:,}"
    return Part(name, amount, words)

"""A compute buffer for people: how large it is, when it is fullest, and of what."""

from dataclasses import dataclass

from llmplanner.core.estimate import Part, Term
from llmplanner.core.quantities import gib_text
from llmplanner.core.serving.llamacpp.allocator import Fullest, Tensor

SOURCE = "llama.cpp v0.5.0, ggml/src/ggml-alloc.c, src/llama-graph.cpp and src/models/, walked for one layer"
NOTE = "Reserved once, for a prompt's largest batch."
CHANGE = "a smaller physical batch: --set ubatch=256 (llama.cpp: -ub 256)"
COPIED = "more of the model on the GPUs, or llama.cpp's --no-op-offload: prompts are read more slowly then"
SCORES = "--set flash_attention=true (llama.cpp: -fa on), or a smaller physical batch (-ub 256)"


NOTHING = Part("", 0, "")
SMALL = 1000  # a tensor of less than a thousandth of the buffer is told with others


@dataclass(frozen=True, slots=True)
class Sureness:
    """How far off such a buffer was found to be: bounds in per cent of it, and the words."""

    low: int
    high: int
    measured: str = ""


ALONE = Sureness(
    93, 108, "within 0.1 % of nine in ten of 693 buffers that llama.cpp's CPU build reserved, 2.2 % at most"
)
SHARED = Sureness(  # what is copied in finds its place between what is there
    85, 120, "median 2 %, nine in ten within 7 %, of 364 buffers that llama.cpp reserves on GPUs that share"
)
UNLIKE = Sureness(70, 150, "within 15 % of small models of its kind")


@dataclass(frozen=True, slots=True)
class Buffer:
    """One compute buffer: bytes and bounds, and what was alive when it was fullest."""

    bytes: int
    low: int
    high: int
    moment: str
    parts: tuple[Part, ...]
    measured: str = ""

    @property
    def formula(self) -> str:
        """The parts, with their values put in."""
        return f"at its fullest, {self.moment}: " + " + ".join(part.formula for part in self.parts)

    @property
    def term(self) -> Term:
        """As a term of a device's estimate."""
        change = SCORES if self.moment.startswith("attention scores") else CHANGE
        if max(self.parts, key=lambda part: int(part.bytes), default=NOTHING).name.endswith("copied in"):
            change = COPIED
        text = (self.formula, SOURCE, NOTE)
        return Term("activations", self.bytes, self.low, self.high, *text, self.parts, self.measured, change)


EMPTY = Buffer(0, 0, 0, "nothing is computed here", ())


def told(found: Fullest, sure: Sureness) -> Buffer:
    """What was found: tensors of a name together, and the room between them."""
    named: dict[str, list[Tensor]] = {}
    for tensor in found.alive:
        name = tensor.name if tensor.bytes > found.bytes // SMALL else ""
        named.setdefault(name, []).append(tensor)
    little = named.pop("", [])
    parts = tuple(_part(name, tensors) for name, tensors in named.items())
    if little:
        total = sum(tensor.bytes for tensor in little)
        parts += (Part("positions and the like", total, f"{gib_text(total)} of positions and the like"),)
    between = found.bytes - sum(int(part.bytes) for part in parts)
    if between > 0:
        parts += (Part("room between them", between, f"{gib_text(between)} between them"),)
    size = found.bytes
    return Buffer(size, size * sure.low // 100, size * sure.high // 100, found.moment, parts, sure.measured)


def _part(name: str, tensors: list[Tensor]) -> Part:
    total = sum(tensor.bytes for tensor in tensors)
    sizes = [_size(tensor) for tensor in tensors]
    if len(set(sizes)) == 1 and len(sizes) > 1:
        return Part(name, total, f"{name} {len(sizes)} × {sizes[0]}")
    return Part(name, total, f"{name} {' + '.join(sizes)}")


def _size(tensor: Tensor) -> str:
    if tensor.size == 1:  # as stored, in bytes
        return gib_text(tensor.bytes)
    return f"{tensor.width:,} × {tensor.rows:,} × {tensor.size} B"

"""What a vLLM process takes of a GPU beside tensors: libraries, CUDA graphs, buffers of communication."""

from llmplanner.core.estimate import Part, Term
from llmplanner.core.quantities import gib_text

MIB = 2**20
OUTSIDE, OUTSIDE_LOW, OUTSIDE_HIGH = 307 * MIB, 41 * MIB, 410 * MIB  # non_torch_memory in logs
GRAPHS, GRAPHS_LOW, GRAPHS_HIGH = 256 * MIB, 133 * MIB, 512 * MIB
TALK, TALK_HIGH = 358 * MIB, 1_600_000_000  # as for training: one communicator of NCCL's
SOURCE = (
    "Logged non_torch_memory 0.04 to 0.39 GiB (vLLM issues 11251, 14452; mellea PR 416); "
    "graphs 0.13 to 0.36 GiB (vLLM PR 11349; gpustack/runner PR 251)"
)


def process(devices: int, *, graphs: bool, measured: int | None) -> Term:
    """CUDA graphs and what is outside of PyTorch; `measured`: the latter on this machine, in bytes."""
    outside = measured if measured is not None else OUTSIDE
    parts = [Part("outside of PyTorch", outside, gib_text(outside))]
    low, high = (outside, outside) if measured is not None else (OUTSIDE_LOW, OUTSIDE_HIGH)
    if graphs:
        parts.append(Part("CUDA graphs", GRAPHS, gib_text(GRAPHS)))
        low, high = low + GRAPHS_LOW, high + GRAPHS_HIGH
    if devices > 1:
        parts.append(Part("NCCL buffers", TALK, gib_text(TALK)))
        high += TALK_HIGH
    return Term(
        "runtime",
        sum(int(part.bytes) for part in parts),
        low,
        high,
        " + ".join(f"{part.formula} {part.name}" for part in parts),
        SOURCE,
        note="Differs by card, driver and release; since vLLM 0.21 the graphs count within its share.",
        parts=tuple(parts),
        change="--set cuda_graphs=off (vLLM: --enforce-eager)",
    )

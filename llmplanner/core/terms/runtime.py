"""Memory of a process on the GPU that is no tensor of the model."""

from typing import NamedTuple

from llmplanner.core.estimate import Bytes, Part, Term
from llmplanner.core.terms.fragmentation import Fragments

NVIDIA = "NVIDIA"
MIB = 2**20
GIB = 2**30
CONTEXT = GIB * 2 // 5  # 0.40 GiB
CONTEXT_LOW = GIB // 4  # RTX 3090, torch 2.7: 256 MiB (InvokeAI issue 9413)
CONTEXT_HIGH = GIB * 11 // 20  # H100, driver 590: 518 MiB
WORKSPACE = 8_519_680  # cuBLAS before Hopper: 4096 KiB x 2 + 16 KiB x 8 (PyTorch getChosenWorkspaceSize)
WORKSPACE_HIGH = 33 * MIB  # Hopper: 32 MiB (PyTorch PR 89027) and 1 MiB of cublasLt (PR 139300)
NCCL = GIB * 35 // 100  # one communicator: 342 to 392 MiB (NVIDIA aiconfigurator, NCCL 2.27.3)
NCCL_HIGH = GIB * 8 // 5  # 1.6 GB (NVIDIA/nccl issue 864)
SOURCE = "Measured contexts: RTX 3090 256 MiB, RTX 6000 Ada 426 MiB, H100 518 MiB; PyTorch PR 86509, 89027"
MEASURED = "measured of a process on this computer that holds nothing yet"
NOTE = "Differs by card, driver and PyTorch release."


class Piece(NamedTuple):
    """One thing that a process takes, and its range."""

    name: str
    bytes: Bytes
    low: Bytes
    high: Bytes
    text: str  # its size
    how: str = ""  # it follows from the plan


CUDA = Piece("CUDA context", CONTEXT, CONTEXT_LOW, CONTEXT_HIGH, "0.40 GiB")
CUBLAS = Piece("cuBLAS workspace", WORKSPACE, WORKSPACE, WORKSPACE_HIGH, "8.1 MiB")
TALK = Piece("NCCL buffers", NCCL, 0, NCCL_HIGH, "0.35 GiB")
OWN = frozenset({CUDA.name, CUBLAS.name, TALK.name})  # of NVIDIA's cards


def runtime(
    devices: int, vendor: str = NVIDIA, fragments: Fragments | None = None, measured: int | None = None
) -> Term:
    """What a process takes: `pieces` of it.

    No figure of another vendor's cards is published: NVIDIA's stands in for them, in a band down to nothing.
    """
    elsewhere = vendor != NVIDIA and measured is None
    found = pieces(devices, fragments, measured)
    if elsewhere:
        found = _elsewhere(found)
    amount, low, high = (
        sum(amounts, start=0)
        for amounts in zip(*((one.bytes, one.low, one.high) for one in found), strict=True)
    )
    text = " + ".join(f"{each.text} {each.name}" for each in found)
    parts = tuple(Part(each.name, each.bytes, each.text) for each in found)
    source, note = MEASURED if measured is not None else SOURCE, "" if measured is not None else NOTE
    if elsewhere:
        source = f"No published measurement for {vendor}: as on a card of NVIDIA's"
        note = f"What a process on a card of {vendor} takes beside the model was not measured."
    if fragments is not None:
        source += f"; {fragments.source}"
    change = fragments.change if fragments is not None else ""
    return Term("runtime", amount, low, high, text, source, note, parts, change=change)


def _elsewhere(found: tuple[Piece, ...]) -> tuple[Piece, ...]:
    """The pieces on another vendor's card: those of NVIDIA's libraries as one, known up to their bounds."""
    own = [piece for piece in found if piece.name in OWN]
    amount = sum(int(piece.bytes) for piece in own)
    high = sum(int(piece.high) for piece in own)
    whole = Piece("driver and libraries", amount, 0, high, f"{amount / GIB:.2f} GiB")
    return (whole, *(piece for piece in found if piece.name not in OWN))


def pieces(
    devices: int, fragments: Fragments | None = None, measured: int | None = None
) -> tuple[Piece, ...]:
    """Context and workspace, or `measured` in their place; NCCL's buffers where `devices` talk to each other.

    In training also what the allocator reserves beside the tensors.
    """
    if measured is None:
        found = [CUDA, CUBLAS]
    else:
        found = [Piece("process", measured, measured, measured, f"{measured / GIB:.2f} GiB")]
    if devices > 1:
        found.append(TALK)
    if fragments is not None:
        size = f"{fragments.bytes / GIB:.2f} GiB" if isinstance(fragments.bytes, int) else ""
        bounds = fragments.bytes, fragments.low, fragments.high
        found.append(Piece(fragments.name, *bounds, size, f"({fragments.text})"))
    return tuple(found)

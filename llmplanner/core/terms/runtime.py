"""Memory of a process on the GPU that is no tensor of the model."""

from llmplanner.core.estimate import Part, Term

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


def runtime(devices: int, vendor: str = NVIDIA) -> Term:
    """CUDA context, cuBLAS workspace and, where `devices` talk to each other, NCCL's buffers.

    No figure of another vendor's cards is published: NVIDIA's stands in for them, in a band down to nothing.
    """
    return _cuda(devices > 1) if vendor == NVIDIA else _elsewhere(vendor, _cuda(devices > 1))


def _elsewhere(vendor: str, cuda: Term) -> Term:
    amount = int(cuda.bytes)
    return Term(
        "runtime",
        amount,
        0,
        cuda.high,
        f"{amount / GIB:.2f} GiB for driver and libraries, as on a card of NVIDIA's",
        f"No published measurement for {vendor}",
        note=f"What a process on a card of {vendor} takes beside the model was not measured.",
    )


def _cuda(talk: bool) -> Term:
    parts = [Part("CUDA context", CONTEXT, "0.40 GiB"), Part("cuBLAS workspace", WORKSPACE, "8.1 MiB")]
    if talk:
        parts.append(Part("NCCL buffers", NCCL, "0.35 GiB"))
    return Term(
        "runtime",
        sum(part.bytes for part in parts),
        CONTEXT_LOW + WORKSPACE,
        CONTEXT_HIGH + WORKSPACE_HIGH + (NCCL_HIGH if talk else 0),
        " + ".join(f"{part.formula} {part.name}" for part in parts),
        "Measured contexts: RTX 3090 256 MiB, RTX 6000 Ada 426 MiB, H100 518 MiB; PyTorch PR 86509, 89027",
        note="Differs by card, driver and PyTorch release.",
        parts=tuple(parts),
    )

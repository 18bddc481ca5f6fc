"""What a llama.cpp process takes of a GPU beside its buffers, and the buffer of its outputs on the host."""

from llmplanner.core.estimate import Part, Term
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Count
from llmplanner.core.quantities import gib_text
from llmplanner.core.serving.llamacpp.cells import Cells
from llmplanner.core.terms.kv_cache import counted, said
from llmplanner.core.terms.runtime import (
    CONTEXT,
    CONTEXT_HIGH,
    CONTEXT_LOW,
    NVIDIA,
    WORKSPACE,
    WORKSPACE_HIGH,
)

SOURCE = "Measured contexts: RTX 3090 256 MiB, RTX 6000 Ada 426 MiB, H100 518 MiB; cuBLAS: PyTorch PR 89027"
NOTE = "Differs by card and driver. cuBLAS is for products of 16-bit and wide matrices; others do without."
FP32_BYTES = 4


def runtime(device: Device, measured: int | None) -> Term:
    """The CUDA context and cuBLAS's workspace; `measured`: of an empty process on this machine, in bytes."""
    if measured is not None:
        told = f"{gib_text(measured)}, measured on this machine"
        return Term("runtime", measured, measured, measured, told, "this machine")
    nvidia = device.vendor == NVIDIA
    parts = (Part("CUDA context", CONTEXT, "0.40 GiB"), Part("cuBLAS workspace", WORKSPACE, "8.1 MiB"))
    return Term(
        "runtime",
        CONTEXT + WORKSPACE,
        CONTEXT_LOW if nvidia else 0,
        CONTEXT_HIGH + WORKSPACE_HIGH,
        " + ".join(f"{part.formula} {part.name}" for part in parts),
        SOURCE if nvidia else f"No published measurement for {device.vendor}; as on a card of NVIDIA's",
        NOTE,
        parts,
        change="--set runtime=GiB, once it is measured on this machine",
    )


def output_buffer(model: Model, sizes: Cells) -> Part:
    """Logits, and the embedding where the model gives one, of each sequence's last token; on the host.

    An encoder's come for every token of a batch. Source: llama.cpp v0.5.0, src/llama-context.cpp
    (output_reserve).
    """
    embedded = model.kind is not Kind.DECODER
    width = model.vocab_size + (model.hidden_size if embedded else 0)
    rows: Count = sizes.ubatch if model.kind is Kind.ENCODER else sizes.sequences
    what = counted(rows, "tokens" if model.kind is Kind.ENCODER else "sequences")
    added = f" + {said(model.hidden_size)}" if embedded else ""
    words = f"{what} × ({model.vocab_size:,}{added}) × 4 B" if embedded else f"{what} × {width:,} × 4 B"
    return Part("output buffer (logits)", rows * (width * FP32_BYTES), words)

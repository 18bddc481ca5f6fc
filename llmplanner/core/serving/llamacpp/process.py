"""What a llama.cpp process takes of a GPU beside its buffers, and the buffer of its outputs on the host."""

from llmplanner.core.estimate import Part, Term
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Count
from llmplanner.core.quantities import gib_text
from llmplanner.core.serving.llamacpp.cells import Cells
from llmplanner.core.terms.kv_cache import counted
from llmplanner.core.terms.runtime import NVIDIA

MIB = 2**20
OUTSIDE = 453 * MIB  # "unaccounted" of llama.cpp's own breakdown: 451 to 456 MiB, RTX 4090 (PR 15860)
OUTSIDE_LOW = 256 * MIB  # the context alone: RTX 3090 (InvokeAI issue 9413)
OUTSIDE_HIGH = 753 * MIB  # RTX PRO 6000 Blackwell, in the same breakdown
SOURCE = (
    "llama.cpp's breakdown at exit: 451, 451 and 456 MiB on RTX 4090 (PR 15860), 753 MiB on RTX PRO 6000; "
    "a context alone 256 MiB on RTX 3090"
)
NOTE = "CUDA context with its kernels, cuBLAS, and the pool for temporaries of products; differs by card."
FP32_BYTES = 4


def runtime(device: Device, measured: int | None) -> Term:
    """What no buffer of the program accounts for; `measured`: of an empty process here, in bytes."""
    if measured is not None:
        told = f"{gib_text(measured)}, measured on this machine"
        return Term("runtime", measured, measured, measured, told, "this machine")
    nvidia = device.vendor == NVIDIA
    return Term(
        "runtime",
        OUTSIDE,
        OUTSIDE_LOW if nvidia else 0,
        OUTSIDE_HIGH,
        f"{gib_text(OUTSIDE)} outside of the buffers",
        SOURCE if nvidia else f"No published measurement for {device.vendor}; as on a card of NVIDIA's",
        NOTE,
        measured="within 1 % of three RTX 4090; two fifths below one RTX PRO 6000" if nvidia else "",
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
    many = counted(rows, "tokens" if model.kind is Kind.ENCODER else "sequences")
    each = f"({model.vocab_size:,} + {model.hidden_size:,})" if embedded else f"{width:,}"
    words = f"{many} × {each} × {FP32_BYTES} B"
    return Part("output buffer (logits)", rows * (width * FP32_BYTES), words)

"""Mixers with a state of fixed size: what a fused scan keeps, by the papers; no such step was measured.

Where no kernel is installed and PyTorch's own code is known: scans.py.
"""

from llmplanner.core.autograd.pieces import linear
from llmplanner.core.autograd.scans import written_out
from llmplanner.core.autograd.tape import Cause, Value
from llmplanner.core.autograd.walk import Walk, own
from llmplanner.core.model import Recurrent


def recurrent(walk: Walk, piece: Recurrent, x: Value) -> Value:
    """The mixer over x: its matrices, a convolution, the scan and the output matrix.

    The convolution and the gates keep what the matrices made, the scan its inputs and its output; states are
    computed again in the backward pass. Source: Gu and Dao 2023 (arXiv:2312.00752) sec. 3.3.2.
    """
    if piece.scan is not None and not walk.kernels:
        return written_out(walk, piece, piece.scan, x)
    size, width = walk.arithmetic.operand, piece.output.inputs
    made = tuple(linear(walk, each, x, Cause.RECURRENCE) for each in piece.inputs)
    flows = walk.trained or any(each.grad for each in made)
    walk.tape.save(Cause.RECURRENCE, *made, when=flows)
    scanned = walk.tape.op(
        walk.tape.keep(Cause.RECURRENCE, width, size, when=flows), made, trained=walk.trained
    )
    inner = tuple(
        linear(walk, each, Value(each.inputs, size) if each.inputs != width else scanned, Cause.RECURRENCE)
        for each in piece.inner
    )
    flows = flows or any(each.grad for each in inner)
    if not piece.state:  # a short convolution between two gates (LFM2): what it reads is a product
        walk.tape.keep(Cause.RECURRENCE, width, size, when=flows)
    walk.tape.save(Cause.RECURRENCE, *inner, when=flows)
    own(walk, piece.parameters)
    kept = walk.tape.keep(Cause.RECURRENCE, width, size, when=flows)
    out = walk.tape.op(kept, (scanned, *inner), trained=walk.trained)
    return linear(walk, piece.output, out, Cause.RECURRENCE)

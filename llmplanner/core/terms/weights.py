"""Memory of the weights as a server loads them."""

from llmplanner.core.checkpoint import Amount, Checkpoint
from llmplanner.core.estimate import Part, Term
from llmplanner.core.formats import Format
from llmplanner.core.model import Experts, Linear, Model
from llmplanner.core.plan import Weights
from llmplanner.core.quantities import gib_text
from llmplanner.core.tensors import layer_pieces, parameters, weight

UNQUANTIZED_BYTES = 2  # per parameter of what quantizers leave alone
INT4_BLOCK = (
    64  # elements that share one FP32 scale (bitsandbytes NF4, Dettmers et al. 2023, arXiv:2305.14314)
)
SCALE_BYTES = 4
SIXTEEN = 16
UNSURE = 20  # a twentieth more or less: a judgement, for want of measurements
DIVIDED = "By parameters; which tensors an engine leaves whole on every device: within the bounds."
ESTIMATED = "As a file of this kind is made; which tensors are kept wider differs: within the bounds."


def weights(whole: Model, share: Model, stored: Weights) -> Term:
    """The weights of a device that holds `share` of the model: as files hold them, or all in one format."""
    if isinstance(stored, Checkpoint):
        return _of_files(stored, parameters(whole).total, parameters(share).total)
    return _in_one_format(share, stored)


def _of_files(stored: Checkpoint, whole: int, share: int) -> Term:
    """What the files hold; over several devices in proportion to the parameters of each."""
    parts = tuple(_part(amount, whole, share) for amount in stored.amounts)
    total = sum(part.bytes for part in parts)
    divided, exact = share != whole, stored.exact and share == whole
    slack = 0 if exact else total // UNSURE
    formula = " + ".join(part.formula for part in parts) or "0 B"
    return Term(
        "weights",
        total,
        total - slack,
        total + slack,
        f"({formula}) × {share:,} of {whole:,} parameters" if divided else formula,
        stored.source,
        DIVIDED if divided else "" if stored.exact else ESTIMATED,
        parts,
    )


def _part(amount: Amount, whole: int, share: int) -> Part:
    size = amount.bytes if share == whole else -(-amount.bytes * share // whole)
    many = "tensor" if amount.tensors == 1 else "tensors"
    told = f"{gib_text(amount.bytes)} of {amount.format} ({amount.tensors:,} {many})"
    return Part(amount.format, size, told)


def _in_one_format(model: Model, form: Format) -> Term:
    """Every parameter in one format. Published 8- and 4-bit files keep more: see `high`.

    `high` keeps all but the layers' matrices in 16 bits and adds one FP32 scale for each output row (INT8,
    Dettmers et al. 2022, arXiv:2208.07339) or for each block of 64 (INT4).
    """
    count = parameters(model).total
    amount = form.bytes_for(count)
    high, note = amount, ""
    if form.bits < SIXTEEN:
        matrices, rows = _matrices(model)
        scales = -(-matrices // INT4_BLOCK) if form.bits < SIXTEEN // 2 else rows
        kept = UNQUANTIZED_BYTES * (count - matrices)
        high = form.bytes_for(matrices) + SCALE_BYTES * scales + kept
        note = "Published files keep embeddings, norms and head in 16 bits, plus scales: the upper bound."
    return Term(
        "weights",
        amount,
        amount,
        max(amount, high),
        f"{count:,} parameters × {form.bits} bit ÷ 8",
        "Sum over the tensor inventory; Transformers 5.23.0 class definitions",
        note,
    )


def _matrices(model: Model) -> tuple[int, int]:
    """Elements of the layers' weight matrices, and their output rows; routers are not quantized."""
    elements = rows = 0
    for stack in model.stacks:
        for group in stack.groups:
            block = group.layer.feed_forward
            router = block.router if isinstance(block, Experts) else None
            for piece in layer_pieces(group.layer):
                if isinstance(piece.module, Linear) and piece.module is not router:
                    times = piece.copies * len(group.indices)
                    elements += times * weight(piece.module)
                    rows += times * piece.module.outputs
    return elements, rows

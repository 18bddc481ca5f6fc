"""A layer on shapes, and the two ends of a model: embeddings in front, head and loss behind."""

from llmplanner.core.autograd.attention import attention
from llmplanner.core.autograd.feed_forward import feed_forward
from llmplanner.core.autograd.lora import adapted, bottleneck
from llmplanner.core.autograd.pieces import activate, add, linear, norm
from llmplanner.core.autograd.recurrent import recurrent
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value, Weight
from llmplanner.core.autograd.walk import Walk, cast, drop, own, parameter, sliced
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Attention, Head, LatentAttention, Layer, Linear, Model, Norm
from llmplanner.core.plan import Full, Loss


def layer(walk: Walk, piece: Layer, x: Value, memory: Value | None = None) -> Value:
    """One layer over the residual stream x; `memory` is the encoder's output, for cross-attention."""
    probability = walk.dropout.hidden
    _biases(walk, piece)
    before = x
    read = x if piece.post_norm else norm(walk, piece.attention_norm, _narrowed(walk, x))
    if piece.attention is not None or piece.recurrent is not None:
        attended = sliced(walk, _mixed(walk, piece, read), x)
        attended = drop(walk, probability, norm(walk, piece.attention_output_norm, attended))
        attended = bottleneck(walk, attended, Cause.ATTENTION)
        x = _sum(walk, piece, piece.attention_norm, x, attended)
    if piece.cross_attention is not None:
        crossed = x if piece.post_norm else norm(walk, piece.cross_norm, x)
        crossed = sliced(walk, attention(walk, piece.cross_attention, crossed, memory), x)
        crossed = drop(walk, probability, crossed)
        x = _sum(walk, piece, piece.cross_norm, x, crossed)
    walk.tape.waiting.append(x)
    own(walk, piece.extras)
    if piece.feed_forward is None:
        return x
    shared = piece.parallel and piece.feed_forward_norm is None  # both branches read one norm's output
    source = read if shared else before if piece.parallel else x
    fed = source if piece.post_norm else norm(walk, piece.feed_forward_norm, source)
    fed = sliced(walk, feed_forward(walk, piece.feed_forward, fed), x)
    fed = drop(walk, probability, norm(walk, piece.feed_forward_output_norm, fed))
    fed = bottleneck(walk, fed, Cause.FEED_FORWARD)
    return _sum(walk, piece, piece.feed_forward_norm, x, fed)


def _narrowed(walk: Walk, x: Value) -> Value:
    """The residual stream as the norm's weight is, where it is wider (Mamba)."""
    return cast(walk, x, walk.arithmetic.read) if x.size > walk.arithmetic.read else x


def _mixed(walk: Walk, piece: Layer, x: Value) -> Value:
    """What attention, recurrence or both side by side make of x."""
    branches = []
    if piece.attention is not None:
        branches.append(attention(walk, piece.attention, x))
    if piece.recurrent is not None:
        branches.append(recurrent(walk, piece.recurrent, x))
    return branches[0] if len(branches) == 1 else add(walk, *branches)


def _biases(walk: Walk, piece: Layer) -> None:
    """A stack's first layer makes the positions' biases: a bucket a pair; zeros for cross-attention."""
    first, crossed = piece.attention, piece.cross_attention
    if not isinstance(first, Attention) or first.relative_bias is None:
        return
    parameter(walk, (first.relative_bias.rows, first.relative_bias.width))
    walk.tape.lasting.append(Value(first.heads, walk.arithmetic.operand, Unit.PAIR))
    walk.tape.pass_by(Value(6, INT64, Unit.PAIR))  # distances, on their way to buckets
    walk.tape.keep(Cause.POSITIONS, 1, INT64, Unit.PAIR, when=walk.trained)
    if crossed is not None and walk.kernel is not AttentionKernel.EAGER:
        size, alone = walk.arithmetic.operand, not walk.padded
        walk.tape.keep(Cause.POSITIONS, crossed.heads, size, Unit.CROSS_PAIR, when=alone)


def _sum(walk: Walk, piece: Layer, after: Norm | None, x: Value, branch: Value) -> Value:
    """The residual sum and the norm that follows it in a post-norm layer."""
    total = add(walk, x, branch)
    return norm(walk, after, total) if piece.post_norm else total


def embed(walk: Walk, model: Model, place: int) -> Value:
    """Embeddings of a stack and what follows them."""
    table = model.token_embedding
    if place == 0:
        for rows in (table, *model.embeddings):
            parameter(walk, (rows.rows, rows.width))
        _saved(walk, (table.rows, table.width))
    x = Value(table.width, walk.arithmetic.residual, walk.between)
    first = x
    behind = not table.rows and _trained_before(walk, model, place)
    x.grad = walk.trained or walk.saves_modules or walk.checkpointed or behind
    if model.embeddings:
        x = walk.tape.op(Value(x.width, x.size, x.unit), (x,), passes=True)
    norms, after = model.embedding_norms_by_stack, model.embedding_norm
    narrow = after is not None and after.width == table.width  # ELECTRA: the projection follows the norm
    for each in () if narrow else model.projections[:1]:
        x = linear(walk, each, x, Cause.HEAD)
    x = norm(walk, norms[place] if norms else after, x)
    x = drop(walk, walk.dropout.embedding, x)
    for each in model.projections[:1] if narrow else ():
        x = linear(walk, each, x, Cause.HEAD)
    asked = walk.checkpointed and not (walk.trained or walk.saves_modules)
    if asked and x is not first:  # else it is the first layer's input
        walk.tape.save(Cause.POSITIONS, first)
    return x


def _trained_before(walk: Walk, model: Model, place: int) -> bool:
    """Whether the stages before this one, which holds a stack's later layers, train anything."""
    if not isinstance(walk.method, Full):
        return True
    first = min(group.indices[0] for group in model.stacks[place].groups)
    return walk.method.frozen_layers < first


def _saved(walk: Walk, *shapes: tuple[int, ...]) -> None:
    """The trained copy of a module that lies beside the frozen one."""
    if walk.saves_modules:
        size = walk.arithmetic.weight
        walk.tape.parameters.extend(Weight(shape, size, added=True) for shape in shapes)


def positions(walk: Walk, model: Model, place: int, *, flows: bool) -> None:
    """What the layers of a stack share: token numbers and their positions, cosines and sines.

    `flows`: a gradient flows through the layers.
    """
    layers = [group.layer.attention for group in model.stacks[place].groups]
    rotary = max((rotary_dim(each) for each in layers), default=0)
    if rotary:  # cosines and sines
        walk.tape.keep(Cause.POSITIONS, 2 * rotary, walk.arithmetic.residual, Unit.POSITION, when=flows)
    if place > 0:
        walk.tape.keep(
            Cause.POSITIONS, 1 + walk.trained, INT64
        )  # the labels shifted, the decoder's token ids
    for table in model.embeddings[:1]:
        offset = model.context_length is not None and table.rows > model.context_length
        unit = Unit.TOKEN if offset else Unit.POSITION
        walk.tape.keep(
            Cause.POSITIONS, 1, INT64, unit, when=walk.trained or (walk.checkpointed and walk.causal)
        )


def rotary_dim(piece: Attention | LatentAttention | None) -> int:
    """Rotated dimensions of a head; 0 where nothing is rotated."""
    if piece is None:
        return 0
    return piece.rotary_dim if isinstance(piece, Attention) else piece.rope_dim


def finish(walk: Walk, model: Model, place: int, x: Value) -> Value:
    """The final norm of a stack and, after the last, the logits and their loss. Returns the hidden state."""
    x = drop(walk, walk.dropout.final, norm(walk, model.stacks[place].final_norm, x))
    if place < len(model.stacks) - 1:
        return x
    for each in model.projections[1:]:
        x = linear(walk, each, x, Cause.HEAD)
    if model.head.linear is not None:
        _logits(walk, model.head, model.head.linear, x)
    for beside in (model.pooler, model.pair_head):
        if beside is not None:
            _beside(walk, beside)
    own(walk, model.extras)
    return x


def _beside(walk: Walk, piece: Linear) -> None:
    """A linear that reads one token of each sequence, which is next to nothing: its parameters count."""
    own(walk, [piece])
    method = adapted(walk, piece, Cause.HEAD, head=False)
    if method is not None:
        shapes = ((method.rank, piece.inputs), (piece.outputs, method.rank))
        walk.tape.parameters.extend(Weight(shape, FP32, added=True) for shape in shapes)


def _logits(walk: Walk, head: Head, matrix: Linear, x: Value) -> None:
    """The head and its loss: cross-entropy saves the log-softmax of every token."""
    if head.transform is not None:
        x = activate(walk, head.transform_activation, linear(walk, head.transform, x, Cause.HEAD), Cause.HEAD)
        x = norm(walk, head.norm, x)
    met, read = len(walk.tape.parameters), walk.of_embeddings() if head.tied or walk.saves_modules else walk
    if walk.loss is Loss.FUSED:
        _fused_loss(read, matrix, x)
    else:
        logits = linear(read, matrix, x, Cause.HEAD, head=True)
        if head.softcap:
            walk.tape.save(Cause.LOSS, logits)
        walk.tape.keep(Cause.LOSS, logits.width, loss_size(walk, head))
    walk.tape.parameters[met:] = _heads(walk, head, walk.tape.parameters[met:])
    if head.spare_bias:
        parameter(walk, (matrix.outputs,))
    if head.loss_fp32:
        walk.tape.keep(Cause.LOSS, 1, INT64)  # labels, shifted
    walk.tape.keep(Cause.LOSS, 2, FP32, Unit.ONCE)  # the loss and the weight of its mean


def _fused_loss(walk: Walk, matrix: Linear, x: Value) -> None:
    """Head and loss in one: the forward pass makes the gradients of x and of the matrix, and keeps them.

    Source: Liger-Kernel (arXiv:2410.10989) section 3.2; its ops/fused_linear_cross_entropy.py.
    """
    own(walk, [matrix])
    product = walk.tape.op(Value(0, x.size, x.unit), (x,), trained=walk.trained)
    walk.tape.keep(Cause.LOSS, x.width, x.size, x.unit)
    size, elements = walk.arithmetic.weight, matrix.inputs * matrix.outputs
    walk.tape.keep(Cause.LOSS, elements, size, Unit.ONCE, when=walk.trained)
    walk.tape.op(Value(0, x.size, x.unit), (product,))


def _heads(walk: Walk, head: Head, found: list[Weight]) -> list[Weight]:
    """The head's parameters: a tied matrix counts as the token embedding; a trained copy lies beside."""
    own = [each._replace(trained=walk.trained) for each in found if not each.added]
    copies = [each._replace(trained=True, added=True) for each in own] if walk.saves_modules else []
    return [*(own[1:] if head.tied else own), *copies, *(each for each in found if each.added)]


def loss_size(walk: Walk, head: Head) -> int:
    """Bytes per element of the log-softmax: FP32, but for T5 and BERT wholly in 16 bits."""
    return FP32 if head.loss_fp32 or walk.arithmetic.autocast else walk.arithmetic.operand

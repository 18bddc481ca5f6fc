"""Recurrent layers as PyTorch's own code runs them, where no fused kernel is installed: what it keeps.

Read, operation by operation, in Transformers 5.23: mamba_selective_scan, mamba2_chunk_scan,
torch_chunk_gated_delta_rule and the mixers around them; held against steps of that code.
"""

from llmplanner.core.autograd.pieces import linear, multiply
from llmplanner.core.autograd.tape import FP32, Cause, Unit, Value
from llmplanner.core.autograd.walk import Walk, cast, own
from llmplanner.core.model import Norm, Recurrent, Scan, ScanKind

KEPT = Cause.RECURRENCE
PADDED = Unit.CHUNKED


def written_out(walk: Walk, piece: Recurrent, scan: Scan, x: Value) -> Value:
    """The mixer over x, in plain operations."""
    made = [linear(walk, each, x, KEPT) for each in piece.inputs]
    ways = {ScanKind.SELECTIVE: _selective, ScanKind.CHUNKED: _chunked, ScanKind.DELTA: _delta}
    out = ways[scan.kind](walk, piece, scan, made)
    own(walk, piece.parameters)
    return linear(walk, piece.output, out, KEPT)


def _new(walk: Walk, like: Value, inputs: tuple[Value, ...], width: int = 0, size: int = 0) -> Value:
    """What an operation makes that saves nothing: like one of its inputs, but for what is stated."""
    return walk.tape.op(Value(width or like.width, size or like.size, like.unit), inputs)


def _kept(walk: Walk, like: Value, inputs: tuple[Value, ...], width: int = 0, size: int = 0) -> Value:
    """What an operation makes whose derivative needs the result, such as exp and sigmoid."""
    out = Value(width or like.width, size or like.size, like.unit)
    walk.tape.save(KEPT, out, when=any(each.grad for each in inputs))
    return walk.tape.op(out, inputs)


def _of_input(walk: Walk, x: Value, size: int = 0, *, trained: bool = False) -> Value:
    """A function of each element whose derivative needs the input, such as SiLU and softplus."""
    walk.tape.save(KEPT, x, when=x.grad)
    return walk.tape.op(Value(x.width, size or x.size, x.unit), (x,), trained=trained)


def _times(walk: Walk, a: Value, b: Value) -> Value:
    """A product with what is broadcast over a: its gradient is made whole, then summed."""
    walk.tape.save(KEPT, a, when=b.grad)
    walk.tape.save(KEPT, b, when=a.grad)
    size = max(a.size, b.size)
    return walk.tape.op(Value(a.width, size, a.unit), (a, b), Value(a.width, size, a.unit))


def _padded(walk: Walk, x: Value) -> Value:
    """A copy in whole chunks."""
    return walk.tape.op(Value(x.width, x.size, PADDED), (x,))


def _narrow(walk: Walk) -> int:
    """Bytes of what products of FP32 values read and make: autocast's."""
    return walk.arithmetic.operand if walk.arithmetic.autocast else FP32


def _product(walk: Walk, a: Value, b: Value, out: Value) -> Value:
    """A batched product saves its operands."""
    a, b = cast(walk, a, out.size), cast(walk, b, out.size)
    walk.tape.save(KEPT, a, when=b.grad)
    walk.tape.save(KEPT, b, when=a.grad)
    return walk.tape.op(out, (a, b))


def _laid(walk: Walk, x: Value, size: int) -> Value:
    """What einsum reads of x: a copy laid out anew, but for one chunk alone, which is read as it lies."""
    unit = Unit.LAID if size == x.size and x.unit is PADDED else x.unit
    return walk.tape.op(Value(x.width, size, unit), (x,))


def _einsum(walk: Walk, a: Value, b: Value, out: Value) -> Value:
    """A product that lays its operands out anew."""
    return _product(walk, _laid(walk, a, out.size), _laid(walk, b, out.size), out)


def _masked(walk: Walk, scores: Value, pairs: Value) -> Value:
    """Scores of each chunk times their decays. Autocast casts the scores' gradient once it is made.

    By then a layer that is computed again has let both factors go.
    """
    walk.tape.save(KEPT, scores, when=pairs.grad)
    walk.tape.save(KEPT, pairs, when=scores.grad)
    like = scores.width, pairs.size, scores.unit
    wide = 0 if scores.size == pairs.size else pairs.size - scores.size * walk.checkpointed
    return walk.tape.op(Value(*like), (scores, pairs), Value(scores.width, wide, scores.unit))


def _convolved(walk: Walk, scan: Scan, x: Value) -> Value:
    """The causal convolution and its SiLU. The kernel overhangs a sequence's end, which is kept with it."""
    if walk.arithmetic.autocast:  # to the kernel's format, and back
        x = cast(walk, cast(walk, x, FP32))
    size = walk.arithmetic.operand
    walk.tape.save(KEPT, x, when=walk.trained)
    out = walk.tape.op(Value(scan.convolved, size), (x,), trained=walk.trained)
    walk.tape.keep(KEPT, scan.convolved * (scan.kernel - 1), size, Unit.SEQUENCE, when=out.grad)
    return _of_input(walk, out)


def _steps(walk: Walk, x: Value) -> Value:
    """Step sizes: softplus of a sum with the bias, which autocast takes in FP32."""
    total = walk.tape.op(Value(x.width, x.size, x.unit), (x,), trained=walk.trained)
    return _of_input(walk, cast(walk, total, FP32) if walk.arithmetic.autocast else total)


def _selective(walk: Walk, piece: Recurrent, scan: Scan, made: list[Value]) -> Value:
    """Mamba: a state of every channel for every token, one token after the other."""
    tape, size = walk.tape, walk.arithmetic.operand
    width, states = piece.output.inputs, scan.heads * scan.keys * scan.values
    mixed, gate = tape.split(made[0], width, width)
    tape.keep(KEPT, 2 * states, FP32, Unit.ONCE, when=walk.trained)  # A, and its exponential
    inner = _convolved(walk, scan, mixed)
    read = _new(walk, inner, (inner,))
    steps, keys, queries = _projected(walk, piece, scan, read)
    steps = _steps(walk, steps)
    tape.save(KEPT, steps, when=walk.trained)
    whole = Value(states, FP32)
    decay = _kept(walk, whole, (tape.op(Value(states, FP32), (steps,), whole),))
    written = _times(
        walk, tape.op(Value(states, FP32), (steps, cast(walk, keys, FP32)), whole), _wide(walk, inner)
    )
    tape.save(KEPT, steps, queries)
    flows = decay.grad
    tape.keep(KEPT, states, FP32, when=flows)  # each token's state
    if size != FP32:
        tape.keep(KEPT, states, size, when=flows)  # as the product with C reads it
    tape.pass_by(written)
    twice = Value(2 * states, FP32)  # a token's gradient stands in zeros of the whole, to be added
    scanned = tape.op(Value(width, size), (decay, written, queries), twice)
    tape.save(KEPT, inner, when=walk.trained)
    total = tape.op(Value(width, FP32), (scanned, inner), trained=walk.trained)
    gated = multiply(walk, total, _of_input(walk, gate), KEPT)
    gated = cast(walk, gated, made[0].size)
    return _new(walk, gated, (gated,))


def _projected(walk: Walk, piece: Recurrent, scan: Scan, x: Value) -> tuple[Value, Value, Value]:
    """Step sizes of every channel, and what is written to the states and read from them."""
    states = scan.keys * scan.groups
    if not piece.inner:  # parameters without a linear (Zamba)
        steps = walk.tape.op(Value(x.width, x.size), (x,), trained=walk.trained)
        walk.tape.save(KEPT, x, when=walk.trained)
        keys, queries = (walk.tape.op(Value(states, x.size), (x,), trained=walk.trained) for _ in "BC")
        return steps, keys, queries
    found = linear(walk, piece.inner[0], x, KEPT)
    rank, keys, queries = walk.tape.split(found, found.width - 2 * states, states, states)
    return linear(walk, piece.inner[1], rank, KEPT), keys, queries


def _wide(walk: Walk, x: Value) -> Value:
    return cast(walk, x, FP32)


def _chunked(walk: Walk, piece: Recurrent, scan: Scan, made: list[Value]) -> Value:
    """Mamba-2: scores inside each chunk of tokens, and a state between chunks."""
    tape, narrow, heads, chunk = walk.tape, _narrow(walk), scan.heads, scan.chunk
    width, states, grouped = piece.output.inputs, heads * scan.keys, scan.groups * scan.keys
    gate, mixed, steps = tape.split(made[0], width, scan.convolved, heads)
    inner = _convolved(walk, scan, mixed)
    values, keys, queries = tape.split(inner, width, grouped, grouped)
    steps = _of_input(walk, _steps(walk, steps))  # softplus, clamped
    values = _wide(walk, values)
    whole = _padded(walk, values)
    tape.save(KEPT, whole, when=walk.trained)
    beside = tape.op(Value(width, FP32, PADDED), (whole,), trained=walk.trained)  # D x
    values = _padded(walk, _times(walk, values, _wide(walk, steps)))
    rate = _wide(walk, steps)
    tape.save(KEPT, rate, when=walk.trained)
    rate = _padded(walk, tape.op(Value(heads, FP32), (rate,), trained=walk.trained))
    keys, queries = (
        _padded(walk, _new(walk, each, (_wide(walk, each),), width=states, size=FP32))
        for each in (keys, queries)
    )
    summed = _new(walk, rate, (rate,))
    lower = _segments(walk, rate, chunk)
    scores = _einsum(walk, queries, keys, Value(heads * chunk, narrow, PADDED))
    mixed = _masked(walk, scores, lower)
    inside = _product(walk, mixed, _laid(walk, values, narrow), Value(width, narrow, PADDED))
    decayed = _times(walk, keys, _kept(walk, summed, (_new(walk, summed, (summed,)),)))
    if narrow == FP32:  # read as they lie
        for each in (queries, values, decayed):
            tape.keep(KEPT, each.width, FP32, Unit.ALONE, when=each.grad)
    carried = _carried(walk, scan, decayed, values)
    across = _einsum(walk, queries, carried, Value(width, narrow, PADDED))
    across = _times(walk, across, _kept(walk, summed, (summed,)))
    total = _new(walk, across, (inside, across), size=FP32)
    tape.pass_by(queries, values, mixed, inside, across, total, beside)
    total = tape.op(Value(width, FP32, PADDED), (total, beside), passes=True)
    out = Value(width, FP32, base=total)
    return _gated_norm(walk, piece, scan, tape.op(out, (total,)), gate)


def _segments(walk: Walk, rate: Value, chunk: int) -> Value:
    """Sums of all segments of each chunk, exponentiated: a matrix for every head and chunk."""
    tape = walk.tape
    tape.keep(KEPT, 2 * chunk * chunk, 1, Unit.ONCE, when=rate.grad)  # masks
    masked = _new(walk, rate, (rate,), width=rate.width * chunk)
    twice = Value(2 * masked.width, FP32, PADDED)  # a sum from behind turns its gradient around, twice
    summed = tape.op(Value(masked.width, FP32, PADDED), (masked,), twice)
    cut = _new(walk, summed, (summed,))
    tape.pass_by(masked, summed, cut)
    return _kept(walk, cut, (cut,))


def _carried(walk: Walk, scan: Scan, keys: Value, values: Value) -> Value:
    """The state at each chunk's start: what the chunks before it wrote, one state and their number more."""
    tape, narrow = walk.tape, _narrow(walk)
    state = scan.heads * scan.keys * scan.values
    written = _einsum(walk, keys, values, Value(state, narrow, Unit.CHUNK))
    flows = written.grad
    tape.keep(KEPT, state, narrow, Unit.SEQUENCE, when=flows)
    tape.keep(KEPT, scan.heads, FP32 + narrow, Unit.CHUNK_PAIR, when=flows)
    joined = _kept(walk, written, (written,))
    return _new(walk, joined, (joined,))


def _gated_norm(walk: Walk, piece: Recurrent, scan: Scan, x: Value, gate: Value) -> Value:
    """The gate, then a norm of each group in FP32; a mixer without norm gates alone."""
    normed = any(isinstance(each, Norm) for each in piece.parameters)
    act = _of_input(walk, _wide(walk, gate) if normed else gate)
    gated = multiply(walk, x, act, KEPT)
    if not normed:
        return gated
    tape = walk.tape
    tape.save(KEPT, gated, when=gated.grad)
    tape.keep(KEPT, scan.groups, FP32, when=gated.grad)  # reciprocal rms
    normal = tape.op(Value(x.width, FP32), (gated,), Value(2 * x.width, FP32))
    tape.save(KEPT, normal, when=walk.trained)
    return tape.op(Value(x.width, FP32), (normal,), trained=walk.trained)


def _delta(walk: Walk, piece: Recurrent, scan: Scan, made: list[Value]) -> Value:
    """Gated delta net: a triangular system a chunk, and a state between chunks."""
    tape, narrow, heads, chunk = walk.tape, _narrow(walk), scan.heads, scan.chunk
    size, width, key_width = walk.arithmetic.operand, piece.output.inputs, heads * scan.keys
    made_of, flows = tuple(made), any(each.grad for each in made)
    mixed, gate, beta, steps = (
        tape.op(Value(n, size), made_of) for n in (scan.convolved, width, heads, heads)
    )
    own_keys = (scan.convolved - width) // 2
    inner = _convolved(walk, scan, mixed)
    queries, keys, values = tape.split(inner, own_keys, own_keys, width)
    beta = _kept(walk, beta, (beta,))
    steps = tape.op(Value(heads, FP32), (steps,), trained=walk.trained)
    rate = _of_input(walk, steps)
    tape.save(KEPT, rate, when=walk.trained)
    rate = _padded(walk, tape.op(Value(heads, FP32), (rate,), trained=walk.trained))
    queries, keys = (_unit_length(walk, scan, each) for each in (queries, keys))
    queries = _padded(walk, _new(walk, queries, (queries,)))
    keys, values, beta = (_padded(walk, _wide(walk, each)) for each in (keys, values, beta))
    value_beta, key_beta = _times(walk, values, beta), _times(walk, keys, beta)
    summed = _new(walk, rate, (rate,))
    tape.keep(KEPT, chunk * chunk, 1, Unit.ONCE, when=flows)  # the mask
    masked = _new(walk, summed, (_new(walk, summed, (summed,), width=heads * chunk),), width=heads * chunk)
    pairs = _kept(walk, masked, (masked,))
    square = heads * chunk
    if size == FP32:  # nothing was copied before: both products lay out what they read
        tape.keep(KEPT, 4 * key_width, FP32, Unit.WHOLE, when=flows)
    system = _masked(walk, _product(walk, key_beta, keys, Value(square, narrow, PADDED)), pairs)
    inside = _masked(walk, _product(walk, queries, keys, Value(square, narrow, PADDED)), pairs)
    decayed = _times(walk, key_beta, _kept(walk, summed, (summed,)))
    tape.save(KEPT, system, when=flows)
    news = _kept(walk, values, (system, value_beta))
    read = _kept(walk, keys, (system, decayed), width=key_width)
    queries = _times(walk, queries, _kept(walk, summed, (summed,)))
    keys = _times(walk, keys, _kept(walk, summed, (_new(walk, summed, (summed,)),)))
    out = _rule(walk, scan, (news, read, queries, keys, inside))
    return _normed_gate(walk, scan, tape.op(Value(width, size), (out,)), gate)


def _unit_length(walk: Walk, scan: Scan, x: Value) -> Value:
    """Queries or keys of all value heads, in FP32, each scaled to length one."""
    width = scan.heads * scan.keys
    if x.width != width:
        x = _new(walk, x, (x,), width=width)
    x = _wide(walk, x)
    walk.tape.save(KEPT, x, when=x.grad)
    walk.tape.keep(KEPT, scan.heads, FP32, when=x.grad)
    return walk.tape.op(Value(width, FP32), (x,), Value(2 * width, FP32))


def _rule(walk: Walk, scan: Scan, read: tuple[Value, ...]) -> Value:
    """Chunk after chunk: what the state holds is read, corrected and written. `inside` is the last of `read`.

    The last chunk writes to a state that nobody reads.
    """
    tape, size, flows = walk.tape, walk.arithmetic.operand, any(each.grad for each in read)
    news, _, _, keys, inside = read
    state = scan.heads * scan.keys * scan.values
    kept: list[tuple[int, int, Unit]]
    if walk.arithmetic.autocast:  # copies for each product
        kept = [
            (3 * keys.width + news.width, size, Unit.LINKED),
            (news.width + inside.width, size, PADDED),
            (2 * state, size, Unit.CHUNK),
            (state, FP32, Unit.LINK),
        ]
    else:
        tape.save(KEPT, inside, when=flows)
        kept = [
            (2 * keys.width, FP32, Unit.SEVERAL),  # what reads and writes a state, where one is carried on
            (news.width, FP32, PADDED),
            (state, FP32, Unit.CHUNK),
        ]
    for width, bytes_, unit in kept:
        tape.keep(KEPT, width, bytes_, unit, when=flows)
    tape.pass_by(*read)
    return tape.op(Value(news.width, FP32, PADDED), read, Value(inside.width, FP32, PADDED))


def _normed_gate(walk: Walk, scan: Scan, x: Value, gate: Value) -> Value:
    """A norm of each head in FP32, weighted, then the gate."""
    tape, wide = walk.tape, _wide(walk, x)
    tape.save(KEPT, wide, when=x.grad)
    tape.keep(KEPT, scan.heads, FP32, when=x.grad)
    normal = tape.op(Value(x.width, FP32), (wide,), Value(2 * x.width, FP32))
    normal = cast(walk, normal, x.size)
    tape.save(KEPT, normal, when=walk.trained)
    weighted = tape.op(Value(x.width, max(x.size, walk.arithmetic.read)), (normal,), trained=walk.trained)
    return multiply(walk, weighted, _of_input(walk, _wide(walk, gate)), KEPT)

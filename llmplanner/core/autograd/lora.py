"""What a method adds beside or behind the model's own pieces: low-rank adapters and bottlenecks.

Source: PEFT 0.21.2, tuners/lora (layer.py, dora.py, variants.py) and tuners_utils.py.
"""

from llmplanner.core.autograd.tape import FP32, Cause, Unit, Value, Weight
from llmplanner.core.autograd.walk import Walk, cast, copied, drop
from llmplanner.core.model import Linear
from llmplanner.core.plan import ALL_LINEAR, ATTENTION, Adapters, Lora


def adapted(walk: Walk, piece: Linear, cause: Cause, *, head: bool) -> Lora | None:
    """The method where it adapts this linear: by name as PEFT matches it, by being any but the head's."""
    method = walk.method
    if not isinstance(method, Lora):
        return None
    if ALL_LINEAR in method.targets:
        return None if head else method
    if ATTENTION in method.targets and cause is Cause.ATTENTION:
        return method
    name = f".{walk.prefix}{piece.name}"
    return method if any(name.endswith(f".{target}") for target in method.targets) else None


def low_rank(  # noqa: PLR0913, PLR0917 - a matrix, what it reads and what it makes
    walk: Walk, method: Lora, piece: Linear, x: Value, base: Value, cause: Cause
) -> Value:
    """Adds B(A(dropout(x))) times a scale to the base: in the adapters' format, or autocast's.

    Every adapter casts its input for itself.
    """
    tape, size = walk.tape, walk.arithmetic.adapter
    wide = cast(walk, x, size)
    read = drop(walk, method.dropout, wide)
    held = (x, wide, base)
    if method.dora:  # identity; BA, the base, BA scaled, their sum
        copies = Value(piece.inputs**2 + 4 * piece.inputs * piece.outputs, FP32, Unit.ONCE)
        tape.pass_by(*held, read, copies)
    inner = _product(walk, (method.rank, piece.inputs), read, cause, size)
    outer = _product(walk, (piece.outputs, method.rank), inner, cause, size)
    if method.dora:
        return _magnitude(walk, piece, read, base, outer, cause)
    scaled = tape.op(Value(outer.width, outer.size, outer.unit), (outer,))
    tape.pass_by(*held, outer, scaled)
    total = tape.op(Value(base.width, max(base.size, outer.size), base.unit), (base, scaled))
    return cast(walk, total, base.size)


def _magnitude(  # noqa: PLR0913, PLR0917 - a matrix, what it and its adapter read and make
    walk: Walk, piece: Linear, read: Value, base: Value, outer: Value, cause: Cause
) -> Value:
    """DoRA: adds (s - 1) base + s B(A(x)), s the trained magnitude over the norm of the adapted columns.

    The norm is taken anew of the whole matrix. With dropout the base is computed anew too, of what is left.
    """
    tape, elements = walk.tape, piece.inputs * piece.outputs
    tape.parameters.append(Weight((piece.outputs,), walk.arithmetic.adapter, added=True))
    again = base
    if _dropped(walk):
        read = cast(walk, read) if walk.arithmetic.autocast else read
        tape.keep(cause, elements, read.size, Unit.ONCE, when=read.grad)  # the base's matrix, cast
        again = tape.op(Value(piece.outputs, read.size, read.unit), (read,))
    tape.keep(cause, 2 * piece.outputs, FP32, Unit.ONCE)  # the norm and s
    tape.keep(cause, piece.outputs, FP32, Unit.ONCE, when=again.grad)  # s - 1
    tape.save(cause, again, outer)
    grown = tape.op(Value(base.width, FP32, base.unit), (again,), trained=True)
    scaled = tape.op(Value(outer.width, FP32, outer.unit), (outer,), trained=True)
    total = tape.op(Value(base.width, FP32, base.unit), (base, grown, scaled))
    return cast(walk, total, base.size)


def _dropped(walk: Walk) -> bool:
    return isinstance(walk.method, Lora) and walk.method.dropout > 0


def bottleneck(walk: Walk, x: Value, cause: Cause) -> Value:
    """What attention or feed-forward made plus a narrow GELU network of it, in the weights' own format.

    Source: Houlsby et al. 2019 (arXiv:1902.00751) section 2.1 and figure 2.
    """
    if not isinstance(walk.method, Adapters):
        return x
    tape, size, width = walk.tape, walk.arithmetic.weight, walk.method.width
    inner = _product(walk, (width, x.width), x, cause, size, bias=True)
    tape.save(cause, inner)
    active = tape.op(Value(width, inner.size, inner.unit), (inner,))
    outer = _product(walk, (x.width, width), active, cause, size, bias=True)
    return tape.op(Value(x.width, max(x.size, outer.size), x.unit), (x, outer), passes=True)


def _product(  # noqa: PLR0913 - a matrix, what it reads and how it is stored
    walk: Walk, shape: tuple[int, int], x: Value, cause: Cause, size: int, *, bias: bool = False
) -> Value:
    """A trained matrix that the method adds, which saves its input."""
    weight = Weight(shape, size, added=True)
    walk.tape.parameters.append(weight)
    if bias:
        walk.tape.parameters.append(Weight(shape[:1], size, added=True))
    x = cast(walk, x) if walk.arithmetic.autocast else x
    copy = copied(walk, weight, Cause.CASTS, x)
    walk.tape.save(cause, x)
    return walk.tape.op(Value(shape[0], x.size, x.unit), (x, *copy), trained=True)

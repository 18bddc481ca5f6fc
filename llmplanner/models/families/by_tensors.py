"""Builds a decoder from the tensors of its layers, as GGUF files name them, where no family describes it.

The table is that of models/gguf/tensors.py. Every tensor counts; attention, feed-forward, experts and
recurrence are known by their tensors' names (gguf-py/gguf/constants.py in ggml-org/llama.cpp), and what
has no place among them stands beside its layer. Biases go with their matrices.
"""

from collections.abc import Mapping

import msgspec

from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Head,
    Kind,
    LatentAttention,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, MOST_WIDTH, Entries, shown
from llmplanner.models.families.dialect import Dialect, Part, dtype

Shape = tuple[int, ...]
MATRIX, STACK_OF_MATRICES = 2, 3  # dimensions
RECURRENT = ("ssm_", "time_mix_", "shortconv.")
RECURRENT_OUTPUTS = ("ssm_out", "time_mix_output", "shortconv.out_proj")
NOTE = (
    'No family here describes this file of the architecture "{}": it is taken as a decoder made of the '
    "file's tensors, and what it computes between them, in memory for a moment, is an estimate."
)


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    """Layers alike: where they stand, their heads, the tokens that they see, their tensors."""

    at: list[int]
    heads: int
    kv_heads: int
    window: int | None
    shares_cache: bool
    tensors: dict[str, list[int]]


class _Left:
    """The tensors of a layer that have not found their place yet."""

    def __init__(self, tensors: Mapping[str, list[int]]) -> None:
        self._tensors = {name: tuple(shape) for name, shape in tensors.items()}

    def shape(self, name: str) -> Shape:
        """Of a weight that is still there; none where it is not."""
        return self._tensors.get(f"{name}.weight", ())

    def embedding(self, name: str) -> Embedding | None:
        """A table of rows."""
        shape = self.shape(name)
        if len(shape) != MATRIX:
            return None
        del self._tensors[f"{name}.weight"]
        return Embedding(name, *shape)

    def has_matrices(self, *names: str) -> bool:
        """Whether all of these are there, as matrices."""
        return all(len(self.shape(name)) == MATRIX for name in names)

    def linear(self, name: str) -> Linear | None:
        """A matrix with its bias."""
        if len(self.shape(name)) != MATRIX:
            return None
        outputs, inputs = self._tensors.pop(f"{name}.weight")
        bias = self._tensors.get(f"{name}.bias") == (outputs,)
        if bias:
            del self._tensors[f"{name}.bias"]
        return Linear(name, inputs, outputs, bias)

    def linears(self, *names: str) -> tuple[Linear, ...]:
        """Those of the matrices that are there."""
        return tuple(found for name in names if (found := self.linear(name)) is not None)

    def norm(self, *names: str) -> Norm | None:
        """The first of the norms that is there, with its bias."""
        for name in names:
            if len(self.shape(name)) == 1:
                (width,) = self._tensors.pop(f"{name}.weight")
                bias = self._tensors.get(f"{name}.bias") == (width,)
                if bias:
                    del self._tensors[f"{name}.bias"]
                return Norm(name, NormKind.LAYER if bias else NormKind.RMS, width, bias=bias)
        return None

    def experts(self, *names: str) -> tuple[Linear, ...]:
        """One expert's share of matrices that are stored for all experts together."""
        found = []
        for name in names:
            if len(self.shape(name)) == STACK_OF_MATRICES:
                _, outputs, inputs = self._tensors.pop(f"{name}.weight")
                found.append(Linear(f"{name}.{{expert}}", inputs, outputs))
        return tuple(found)

    def rest(self, *starts: str) -> tuple[Parameter, ...]:
        """All others, or those whose names start so."""
        names = [name for name in self._tensors if not starts or name.startswith(starts)]
        return tuple(Parameter(name, self._tensors.pop(name)) for name in names)


def build(entries: Entries, part: Part) -> Model:
    """A decoder or an encoder. Raises BadInput."""
    del part  # the tensors say whether there is a head
    hidden, vocabulary = entries.size("hidden_size"), entries.size("vocab_size", MOST_ROWS)
    tensors, kinds = _tables(entries)
    outside = _Left(tensors)
    embedding = outside.embedding("token_embd")
    if embedding is None or (embedding.rows, embedding.width) != (vocabulary, hidden):
        raise entries.refuse("tensors", "holds no token embedding of these sizes; open the file again")
    tables = (outside.embedding("position_embd"), outside.embedding("token_types"))
    causal = entries.flag("causal")
    role = Kind.DECODER if causal else Kind.ENCODER
    groups = tuple(LayerGroup(_layer(entries, kind), tuple(kind.at)) for kind in kinds)
    final_norm = outside.norm("output_norm")
    output = outside.linear("output")
    head = output or (Linear("output", embedding.width, vocabulary) if causal else None)
    return Model(
        kind=role,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=entries.optional_size("max_position_embeddings", MOST_ROWS),
        dtype=dtype(entries),
        token_embedding=embedding,
        embeddings=tuple(table for table in tables if table is not None),
        embedding_norm=outside.norm("token_embd_norm"),
        stacks=(Stack(role, "blk.{layer}.", groups, final_norm),),
        head=Head(head, tied=output is None and causal),
        extras=outside.rest(),
        note=NOTE.format(shown(entries.text("architecture"))[1:-1]),
    )


def _tables(entries: Entries) -> tuple[Mapping[str, list[int]], tuple[_Kind, ...]]:
    """The tensors outside the layers, and the kinds of layers, whose sizes are checked. Raises BadInput."""
    try:
        tensors = msgspec.convert(entries.raw("tensors"), dict[str, list[int]])
        kinds = msgspec.convert(entries.raw("layers"), list[_Kind])
    except msgspec.ValidationError as error:
        raise entries.refuse(
            "layers", f"is not as this program writes it ({error}); open the file again"
        ) from error
    order = sorted(index for kind in kinds for index in kind.at)
    if not order or len(order) > MOST_LAYERS or order != list(range(len(order))):
        raise entries.refuse("layers", "does not name every layer once; open the file again")
    for table in (tensors, *(kind.tensors for kind in kinds)):
        for name, shape in table.items():
            if not all(1 <= size <= MOST_ROWS for size in shape):
                raise entries.refuse(
                    "tensors", f"has a size that cannot be in {name[:40]!r}; open the file again"
                )
    for kind in kinds:
        if not (
            (kind.heads == 0 or 1 <= kind.kv_heads <= kind.heads <= MOST_WIDTH)
            and (kind.window is None or kind.window > 0)
        ):
            raise entries.refuse("layers", "has heads or a window that cannot be; open the file again")
    return tensors, tuple(kinds)


def _layer(entries: Entries, kind: _Kind) -> Layer:
    left = _Left(kind.tensors)
    before = left.norm("attn_norm", "ln1")
    between = left.norm("ffn_norm") or left.norm("post_attention_norm", "attn_norm_2", "ln2")
    recurrent = _recurrent(entries, left)
    attention = _latent(entries, kind, left) or _attention(entries, kind, left)
    feed_forward = _experts(entries, left) or _feed_forward(left, "ffn_gate", "ffn_up", "ffn_down")
    return Layer(
        attention=attention,
        feed_forward=feed_forward,
        attention_norm=before,
        feed_forward_norm=between,
        attention_output_norm=left.norm("post_attention_norm"),
        feed_forward_output_norm=left.norm("post_ffw_norm"),
        recurrent=recurrent,
        extras=left.rest(),
    )


def _attention(entries: Entries, kind: _Kind, left: _Left) -> Attention | None:
    output = left.shape("attn_output")
    reads = left.has_matrices("attn_qkv") or left.has_matrices("attn_q")
    if not kind.heads or len(output) != MATRIX or not reads:
        return None
    keys, values = left.shape("attn_k")[:1], left.shape("attn_v")[:1]
    value_dim = values[0] // kind.kv_heads if values else output[1] // kind.heads
    key_dim = keys[0] // kind.kv_heads if keys else entries.optional_size("head_dim") or value_dim
    inputs = left.linears("attn_qkv") or left.linears("attn_q", "attn_k", "attn_v")
    written = left.linear("attn_output")
    if written is None or not key_dim or not value_dim:
        raise entries.refuse("layers", "has an attention whose sizes do not fit; open the file again")
    query_norm, key_norm = left.norm("attn_q_norm"), left.norm("attn_k_norm")
    return Attention(
        inputs=inputs,
        output=written,
        heads=kind.heads,
        kv_heads=kind.kv_heads,
        key_dim=key_dim,
        value_dim=value_dim,
        window=kind.window,
        rotary_dim=min(entries.optional_size("qk_rope_head_dim") or 0, key_dim),
        query_norm=query_norm,
        key_norm=key_norm,
        shares_cache=kind.shares_cache,
        extras=left.rest("attn_"),
    )


def _latent(entries: Entries, kind: _Kind, left: _Left) -> LatentAttention | None:
    """DeepSeek's attention. Its second matrix is stored whole, or as one for keys and one for values."""
    output, rank = left.shape("attn_output"), entries.optional_size("kv_lora_rank") or 0
    matrices = left.has_matrices("attn_output", "attn_kv_a_mqa")
    if not (matrices and kind.heads and rank and len(left.shape("attn_kv_a_norm")) == 1):
        return None
    down, norm = left.linear("attn_kv_a_mqa"), left.norm("attn_kv_a_norm")
    query = left.linears("attn_q_a", "attn_q_b") or left.linears("attn_q")
    written = left.linear("attn_output")
    rope = down.outputs - rank if down is not None else 0
    value = output[1] // kind.heads
    nope = query[-1].outputs // kind.heads - rope if query else 0
    if down is None or norm is None or written is None or min(rope, value, nope) < 1:
        raise entries.refuse("layers", "has an attention whose sizes do not fit; open the file again")
    up = left.linear("attn_kv_b") or Linear("attn_kv_b", rank, kind.heads * (nope + value))
    left.rest("attn_k_b.", "attn_v_b.")  # the same matrix, cut in two
    return LatentAttention(
        query=query,
        query_norm=left.norm("attn_q_a_norm"),
        kv_down=down,
        kv_norm=norm,
        kv_up=up,
        output=written,
        heads=kind.heads,
        kv_rank=rank,
        nope_dim=nope,
        rope_dim=rope,
        value_dim=value,
        extras=left.rest("attn_"),
    )


def _recurrent(entries: Entries, left: _Left) -> Recurrent | None:
    """A mixer known by its output matrix. What reads the layer's input is wide as the hidden state."""
    written = next((name for name in RECURRENT_OUTPUTS if left.has_matrices(name)), "")
    output = left.linear(written)
    if output is None:
        return None
    hidden = entries.size("hidden_size")
    candidates: tuple[str, ...] = ("ssm_in", "shortconv.in_proj", "attn_qkv", "attn_gate", "ssm_ba")
    candidates += tuple(f"time_mix_{name}" for name in ("receptance", "key", "value", "gate"))
    inputs = left.linears(*(name for name in candidates if left.shape(name)[1:] == (hidden,)))
    inner = left.linears("ssm_x", "ssm_dt")
    return Recurrent(
        kind="recurrence",
        inputs=inputs,
        inner=inner,
        output=output,
        parameters=left.rest(*RECURRENT),
        conv_state=entries.size("conv_state", MOST_ROWS, least=0),
        state=entries.size("state", MOST_ROWS, least=0),
    )


def _feed_forward(left: _Left, gate: str, up: str, down: str) -> FeedForward | None:
    written = left.shape(down)
    if len(written) != MATRIX or len(left.shape(up)) != MATRIX:
        return None
    inputs, output = left.linears(gate, up), left.linear(down)
    if output is None:
        return None
    gated = len(inputs) > 1 or inputs[0].outputs == 2 * output.inputs
    return FeedForward(inputs, output, output.inputs, Activation.SILU, gated)


def _experts(entries: Entries, left: _Left) -> Experts | None:
    count = left.shape("ffn_down_exps")[:1]
    up = "ffn_gate_up_exps" if left.shape("ffn_gate_up_exps") else "ffn_up_exps"
    names = ("ffn_gate_exps", up, "ffn_down_exps") if left.shape("ffn_gate_exps") else (up, "ffn_down_exps")
    shapes = [left.shape(name) for name in names]
    alike = all(len(shape) == STACK_OF_MATRICES and shape[:1] == count for shape in shapes)
    if not alike or not left.has_matrices("ffn_gate_inp"):
        return None
    *inputs, output = left.experts(*names)
    router = left.linear("ffn_gate_inp")
    if router is None:
        return None
    width = output.inputs
    top_k = min(entries.optional_size("num_experts_per_tok") or 1, count[0])
    expert = FeedForward(
        tuple(inputs), output, width, Activation.SILU, gated=len(inputs) > 1 or inputs[0].outputs > width
    )
    return Experts(
        router=router,
        count=count[0],
        top_k=top_k,
        expert=expert,
        shared=_feed_forward(left, "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"),
        extras=left.rest("ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "exp_probs_b"),
    )


DIALECTS = (
    Dialect(
        "gguf",
        {"causal": True, "conv_state": 0, "state": 0},
        ("hidden_size", "vocab_size"),
        {"": Part.LANGUAGE_MODEL},
        build,
    ),
)

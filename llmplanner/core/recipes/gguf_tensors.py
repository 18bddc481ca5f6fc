"""The tensors of the GGUF file that llama.cpp's converter would write of a model at 16 bits.

Names and shapes follow from the role of each piece: experts are fused into one tensor, a fused gate and up of
experts is taken apart, the up-projection of latent attention is split into keys and values. Vectors, norms,
biases, routers, tables of positions and what recurrent layers keep beside their matrices are FP32.

Source: ggml-org/llama.cpp, conversion/base.py and gguf-py/gguf/tensor_mapping.py, at llama.cpp 0.5.0-dev.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from llmplanner.core.checkpoint import Checkpoint, StoredTensor, checkpoint
from llmplanner.core.model import (
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Kind,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Module,
    Norm,
    Parameter,
    Recurrent,
    Stack,
)
from llmplanner.core.recipes import FILE_SOURCE, MATRIX_MATTERS
from llmplanner.core.recipes.file_types import FILE_TYPES
from llmplanner.core.recipes.ggml import bytes_of
from llmplanner.core.recipes.llamacpp import EMBEDDINGS, HEAD, Architecture, quantized
from llmplanner.core.tensors import distinct, weight

QUERY_KEY_VALUE = 3
MIXERS = {
    "in_proj": "ssm_in",
    "x_proj": "ssm_x",
    "dt_proj": "ssm_dt",
    "in_proj_qkv": "attn_qkv",
    "in_proj_z": "attn_gate",
    "in_proj_a": "ssm_alpha",
    "in_proj_b": "ssm_beta",
    "in_proj_ba": "ssm_ba",
}
KEPT_FP32 = ("_norm.weight", "ffn_gate_inp.weight", "position_embd.weight", "token_types.weight")
OUTPUT_GATES = (".g_proj", ".gate_proj")  # of attention
HEAD_WRITTEN_TWICE = frozenset({"falcon"})  # the published files hold the tied matrix as the head too
CHECKED = frozenset(  # whose tensors were held against those of released models
    {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma2", "gemma3_text", "phi3"}
    | {"deepseek_v2", "deepseek_v3", "gpt_oss", "glm4_moe", "nemotron_h", "step3p5"}
    | {"qwen3_next", "qwen3_5_text", "qwen3_5_moe_text"}
)
ONE_HEAD_COUNT = ("qwen3_next", "qwen3_5")  # hybrids whose files state one for all layers; others one a layer
CALLED_IN_FILES = {"nemotron-nas": "deci"} | dict.fromkeys(("mistral", "mixtral", "internlm3"), "llama")
TAKEN_APART = ("wqkv", "W_pack")  # fused matrices that the converter splits: InternLM 2, Baichuan
LATENT_AS_IT_IS = frozenset({"minicpm3"})  # whose up-projection of keys and values stays one


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor within its layer. `counts`: its elements are parameters."""

    tail: str
    shape: tuple[int, ...]
    counts: bool = True


Entries = Iterator[_Entry]


def architecture_of(model: Model) -> Architecture:
    """GGUF's keys for the model, as far as quantization depends on them."""
    stack = model.stacks[0]
    layers = {index: group.layer for group in stack.groups for index in group.indices}
    first = layers[0].attention if 0 in layers else None
    if first is None and model.model_type.startswith(ONE_HEAD_COUNT):
        first = next((layer.attention for layer in layers.values() if layer.attention), None)
    heads = first.heads if first is not None else 0
    one = isinstance(first, LatentAttention) and model.model_type not in LATENT_AS_IT_IS
    kv_heads = first.kv_heads if isinstance(first, Attention) else 1 if one else heads
    blocks = (group.layer.feed_forward for each in model.stacks for group in each.groups)
    experts = max((block.count for block in blocks if isinstance(block, Experts)), default=0)
    name = CALLED_IN_FILES.get(model.model_type, model.model_type)
    return Architecture(name, stack.depth, heads, kv_heads, experts)


def gguf_tensors(model: Model) -> tuple[StoredTensor, ...]:
    """Every tensor of the model's GGUF file at 16 bits, in no particular order."""
    sixteen = "BF16" if model.dtype == "bf16" else "F16"
    outer = (_stored("", entry, sixteen) for entry in _outer(model))
    return (*outer, *(tensor for stack in model.stacks for tensor in _layers(model, stack, sixteen)))


def file_of(model: Model, file_type: str, *, imatrix: bool = False) -> Checkpoint:
    """What llama.cpp's file of the model holds, at any of FILE_TYPES. Raises BadInput where it makes none."""
    made = quantized(gguf_tensors(model), architecture_of(model), FILE_TYPES[file_type], imatrix=imatrix)
    with_matrix = imatrix and file_type in MATRIX_MATTERS
    label = f"{file_type} with importance matrix" if with_matrix else file_type
    return checkpoint(label, made, FILE_SOURCE, exact=model.model_type in CHECKED)


def _side(model: Model, stack: Stack) -> str:
    """What the names of a stack begin with, where there are two."""
    if model.kind is not Kind.ENCODER_DECODER:
        return ""
    return "enc." if stack.role is Kind.ENCODER else "dec."


def _layers(model: Model, stack: Stack, sixteen: str) -> Iterator[StoredTensor]:
    side, split = _side(model, stack), model.model_type not in LATENT_AS_IT_IS
    for group in stack.groups:
        found = _layer(group.layer, two=bool(side), split=split)
        entries = [_stored("", entry, sixteen) for entry in found]
        for index in group.indices[: distinct(group)]:
            prefix = f"{side}blk.{index}."
            for one in entries:
                yield StoredTensor(prefix + one.name, one.shape, one.format, one.elements, one.bytes)


def _stored(prefix: str, entry: _Entry, sixteen: str) -> StoredTensor:
    count = prod(entry.shape)
    name = prefix + entry.tail
    is_matrix = sum(size > 1 for size in entry.shape) > 1
    is_weight = name.endswith(".weight") and not name.endswith(KEPT_FP32)
    form = sixteen if is_matrix and is_weight else "F32"
    return StoredTensor(name, entry.shape, form, count if entry.counts else 0, bytes_of(form, count))


def _outer(model: Model) -> Entries:
    """What stands outside the layers. Of an encoder llama.cpp wants embeddings: no head, no pooler."""
    table = model.token_embedding
    yield _Entry("token_embd.weight", (table.rows, table.width))
    for each in model.embeddings:
        yield from _module(each)
    for norm in (model.embedding_norm, *model.embedding_norms_by_stack):
        yield from _norm(norm, "token_embd_norm")
    for stack in model.stacks:
        yield from _norm(stack.final_norm, f"{_side(model, stack)}output_norm")
    for module in (*model.projections, *model.extras):
        yield from _module(module)
    head = model.head
    if model.kind is Kind.ENCODER or head.linear is None:
        return
    if head.transform is not None:
        yield from _linear(head.transform, "cls")
    yield from _norm(head.norm, "cls_norm")
    if not head.tied:
        yield from _linear(head.linear, HEAD.removesuffix(".weight"))
    elif model.model_type in HEAD_WRITTEN_TWICE:
        yield _Entry(HEAD, (table.rows, table.width), counts=False)
    if head.tied and head.linear.bias:
        yield _Entry("output.bias", (head.linear.outputs,))


def _layer(layer: Layer, *, two: bool, split: bool) -> Entries:
    norms = (
        (layer.attention_norm, "attn_norm"),
        (layer.attention_output_norm, "post_attention_norm"),
        (layer.cross_norm, "cross_attn_norm"),
        (layer.feed_forward_norm, "ffn_norm"),
        (layer.feed_forward_output_norm, "post_ffw_norm"),
    )
    for norm, name in norms:
        yield from _norm(norm, name)
    if isinstance(layer.attention, LatentAttention):
        yield from _latent(layer.attention, split=split)
    elif layer.attention is not None:
        yield from _attention(layer.attention, "", two=two)
    if layer.cross_attention is not None:
        yield from _attention(layer.cross_attention, "cross_", two=two)
    if layer.recurrent is not None:
        yield from _recurrent(layer.recurrent)
    if isinstance(layer.feed_forward, Experts):
        yield from _experts(layer.feed_forward)
    elif layer.feed_forward is not None:
        yield from _feed_forward(layer.feed_forward)
    for module in layer.extras:
        yield from _module(module)


def _attention(attention: Attention, cross: str, *, two: bool) -> Entries:
    names = ("attn_q", "attn_k", "attn_v") if len(_inputs(attention)) == QUERY_KEY_VALUE else ("attn_qkv",)
    if attention.shares_cache:
        names = ("attn_q",)
    for place, linear in enumerate(_inputs(attention)):
        yield from _linear(linear, cross + (names[place] if place < len(names) else _plain(linear.name)))
    yield from _linear(attention.output, f"{cross}attn_o" if two else f"{cross}attn_output")
    yield from _norm(attention.query_norm, "attn_q_norm")
    yield from _norm(attention.key_norm, "attn_k_norm")
    yield from _norm(attention.inner_norm, "attn_sub_norm")
    for norm in attention.head_norms:
        yield from _module(norm)
    if attention.relative_bias is not None:
        yield _Entry("attn_rel_b.weight", (attention.relative_bias.rows, attention.relative_bias.width))
    if attention.sinks is not None:
        yield _Entry("attn_sinks.weight", attention.sinks.shape)
    for module in attention.extras:
        if isinstance(module, Linear) and module.name.endswith(OUTPUT_GATES):
            yield from _linear(module, "attn_gate")
        else:
            yield from _module(module)


def _inputs(attention: Attention) -> tuple[Linear, ...]:
    """The matrices that read the layer's input, as the converter writes them."""
    first = attention.inputs[0]
    if not first.name.endswith(TAKEN_APART):
        return attention.inputs
    widths = (
        attention.heads * attention.key_dim,
        attention.kv_heads * attention.key_dim,
        attention.kv_heads * attention.value_dim,
    )
    return tuple(Linear(first.name, first.inputs, width, first.bias) for width in widths)


def _latent(attention: LatentAttention, *, split: bool) -> Entries:
    names = ("attn_q",) if len(attention.query) == 1 else ("attn_q_a", "attn_q_b")
    for linear, name in zip(attention.query, names, strict=True):
        yield from _linear(linear, name)
    yield from _norm(attention.query_norm, "attn_q_a_norm")
    yield from _linear(attention.kv_down, "attn_kv_a_mqa")
    yield from _norm(attention.kv_norm, "attn_kv_a_norm")
    if split:
        yield _Entry("attn_k_b.weight", (attention.heads, attention.kv_rank, attention.nope_dim))
        yield _Entry("attn_v_b.weight", (attention.heads, attention.value_dim, attention.kv_rank))
    else:
        yield from _linear(attention.kv_up, "attn_kv_b")
    yield from _linear(attention.output, "attn_output")
    for module in attention.extras:
        yield from _module(module)


def _recurrent(mixer: Recurrent) -> Entries:
    width = mixer.output.inputs
    for linear in (*mixer.inputs, *mixer.inner):
        name = linear.name.rpartition(".")[2]
        if name == "in_proj_qkvz":  # gated delta net: queries, keys and values; the gate apart
            yield _Entry("attn_qkv.weight", (linear.outputs - width, linear.inputs))
            yield _Entry("attn_gate.weight", (width, linear.inputs))
        else:
            yield from _linear(linear, MIXERS.get(name) or f"ssm_{_plain(name)}")
    yield from _linear(mixer.output, "ssm_out")
    for module in mixer.parameters:
        if isinstance(module, Linear):
            yield from _linear(module, f"ssm_{_plain(module.name)}")
        else:
            yield from _module(module)


def _feed_forward(block: FeedForward) -> Entries:
    """A dense block; a fused gate and up stays one, as Phi-3's does."""
    names = ("ffn_up",) if len(block.inputs) == 1 else ("ffn_gate", "ffn_up")
    for linear, name in zip(block.inputs, names, strict=True):
        yield from _linear(linear, name)
    yield from _linear(block.output, "ffn_down")
    yield from _norm(block.inner_norm, "ffn_sub_norm")


def _experts(experts: Experts) -> Entries:
    yield from _linear(experts.router, "ffn_gate_inp")
    if experts.correction_bias:
        yield _Entry("exp_probs_b.bias", (experts.count,), counts=False)
    for name, linear in _apart(experts.expert):
        yield _Entry(f"{name}_exps.weight", (experts.count, linear.outputs, linear.inputs))
        if linear.bias:
            yield _Entry(f"{name}_exps.bias", (experts.count, linear.outputs))
    if experts.shared is not None:
        for name, linear in _apart(experts.shared):
            yield from _linear(linear, f"{name}_shexp")
    if experts.shared_gate is not None:
        yield _Entry("ffn_gate_inp_shexp.weight", (weight(experts.shared_gate),))
    for module in experts.extras:
        yield from _module(module)


def _apart(block: FeedForward) -> Iterator[tuple[str, Linear]]:
    """The matrices of a feed-forward by GGUF's names; a fused gate and up as the two that they are."""
    inputs = block.inputs
    if len(inputs) == 1 and block.gated:
        half = Linear(inputs[0].name, inputs[0].inputs, inputs[0].outputs // 2, inputs[0].bias)
        inputs = (half, half)
    names = ("ffn_up",) if len(inputs) == 1 else ("ffn_gate", "ffn_up")
    yield from zip(names, inputs[:2], strict=True)
    for place, linear in enumerate(inputs[2:]):  # ERNIE VL's experts for images, which llama.cpp lacks
        yield f"ffn_up_{place}", linear
    yield "ffn_down", block.output


def _linear(linear: Linear, name: str) -> Entries:
    yield _Entry(f"{name}.weight", (linear.outputs, linear.inputs))
    if linear.bias:
        yield _Entry(f"{name}.bias", (linear.outputs,))


def _norm(norm: Norm | None, name: str) -> Entries:
    if norm is not None and norm.weight:
        yield _Entry(f"{name}.weight", (norm.width,))
    if norm is not None and norm.bias:
        yield _Entry(f"{name}.bias", (norm.width,))


def _module(module: Module) -> Entries:
    """A piece without a part in the architectures that all have in common."""
    name = _plain(module.name)
    if isinstance(module, Linear):
        yield from _linear(module, name)
    elif isinstance(module, Norm):
        yield from _norm(module, f"{name}_norm")
    elif isinstance(module, Embedding):
        yield _Entry(_table(name), (module.rows, module.width))
    elif isinstance(module, Parameter):
        yield _Entry(name, module.shape)


def _table(name: str) -> str:
    """GGUF's name for a look-up table beside the tokens'."""
    if "per_layer" in name:
        return next(table for table in EMBEDDINGS if table.startswith("per_layer"))
    return "token_types.weight" if "type" in name else "position_embd.weight"


def _plain(name: str) -> str:
    """A module's own name in one word, without what a checkpoint puts before it."""
    return name.removesuffix(".weight").rpartition("layers.")[2].replace(".", "_")

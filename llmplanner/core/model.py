"""The architecture of a model as data: which linears, norms and embeddings it is made of, layer by layer.

Every weight matrix carries the name that it has in the published checkpoint, so the tensor inventory is a
walk over these pieces (tensors.py), and memory, FLOPs and sharding are sums over that walk.
"""

from dataclasses import dataclass
from enum import StrEnum

from llmplanner.core.checkpoint import Checkpoint


class Kind(StrEnum):
    """What attends to what."""

    DECODER = "decoder"
    ENCODER = "encoder"
    ENCODER_DECODER = "encoder-decoder"


class NormKind(StrEnum):
    """The forms of normalisation, told apart by what they keep for the backward pass."""

    LAYER = "LayerNorm"
    LAYER_WIDE = "LayerNorm, in FP32"  # OLMo
    LAYER_WRITTEN = "LayerNorm, written out in FP32"  # Cohere
    RMS = "RMSNorm"
    RMS_WIDE = "RMSNorm, weighted in FP32"  # OLMo 2, gpt-oss
    RMS_PLUS_ONE = "RMSNorm, 1 + w"  # Gemma: x * (1 + w), wholly in FP32
    RMS_T5 = "RMSNorm, T5"


class Activation(StrEnum):
    """Activation functions, told apart by what they keep for the backward pass."""

    RELU = "relu"
    RELU_SQUARED = "relu2"  # keeps what it reads, as GELU does
    GELU = "gelu"  # one fused operation, the tanh approximation too
    GELU_NEW = "gelu_new"  # written out in Python: five tensors
    GELU_BLOOM = "bloom_gelu"  # written out too; in training a function of its own, which keeps its input
    SILU = "silu"
    XIELU = "xielu"  # Apertus: with two parameters a layer (arXiv:2411.13010)


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation over the last dimension. `weight` False: not elementwise affine."""

    name: str
    kind: NormKind
    width: int
    weight: bool = True
    bias: bool = False


@dataclass(frozen=True, slots=True)
class Linear:
    """A matrix product. `name` is relative to its layer (or absolute outside layers), without `.weight`."""

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    transposed: bool = False  # stored as inputs x outputs (GPT-2's Conv1D)


@dataclass(frozen=True, slots=True)
class Embedding:
    """A look-up table of rows x width elements."""

    name: str
    rows: int
    width: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor that is no matrix product, norm or table: a convolution's kernel, a vector of scales."""

    name: str  # as in the checkpoint, whole
    shape: tuple[int, ...]


Module = Linear | Norm | Embedding | Parameter


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a layer caches of the tokens before its window: an entry of `width` for every so many of them."""

    every: int
    width: int  # elements, the indexer's included


@dataclass(frozen=True, slots=True)
class Attention:
    """Multi-head, grouped-query or multi-query attention.

    `inputs` are the linears that read the layer's input: query, key and value, or one fused matrix.
    In cross-attention, the query reads the decoder and the other two the encoder's output.
    """

    inputs: tuple[Linear, ...]
    output: Linear
    heads: int
    kv_heads: int
    key_dim: int  # per head, queries too
    value_dim: int  # per head
    window: int | None = None  # tokens seen by a sliding layer; None: all
    rotary_dim: int = 0  # rotated dimensions per head; 0: no rotary embedding
    rotary_joined: bool = (
        False  # the class joins rotated and other dimensions, though there are none of these
    )
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    head_norms: tuple[Norm, ...] = ()  # StableLM 2: one for each head of the queries, then of the keys
    inner_norm: Norm | None = None  # BitNet: of what the output matrix reads
    softcap: bool = False
    cut: bool = False  # XGLM: scores are cut off at the least number there is, which keeps them
    relative_bias: Embedding | None = None  # T5: buckets x heads, in the first layer of a stack
    position_bias: bool = False  # T5: every layer adds the bias, a true mask for SDPA
    alibi: bool = False  # BLOOM: scores are biased by distance, which no fused kernel does
    softmax_fp32: bool = True  # eager: softmax in FP32 and cast back, or left in 16 bits
    output_gate: bool = False  # Qwen3-Next: the query matrix makes a gate of the output too, as wide again
    sinks: Parameter | None = None  # gpt-oss: one learned score a head
    sinks_scale: bool = False  # Granite: they scale the output in place of a column more in the softmax
    differential: bool = False  # DiffLlama: the heads' outputs twice, subtracted and normed (2410.05258)
    copied: bool = False  # Falcon-7B: keys and values are picked from the fused matrix's output by index
    repeated_cache: bool = False  # Falcon-40B: Transformers caches keys and values again for every head
    shares_cache: bool = False  # Gemma 3n: keys and values are those of an earlier layer
    keys_are_values: bool = False  # DeepSeek-V4: cached once
    index_dim: int = 0  # of an indexer's key, which is cached too
    compressed: Compressed | None = None
    gated: bool = False  # the first of `extras` is a matrix that gates the output: of each element or head
    extras: tuple[Module, ...] = ()  # further parameters, whole on every device


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434 sec. 2.1)."""

    query: tuple[Linear, ...]  # (down, up), or one where there is no query rank
    query_norm: Norm | None
    kv_down: Linear  # to kv_rank + rope_dim
    kv_norm: Norm
    kv_up: Linear  # to heads * (nope_dim + value_dim)
    output: Linear
    heads: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    index_dim: int = 0  # of the indexer's key, which is cached too (DeepSeek-V3.2)
    window: int | None = None  # tokens seen by a sliding layer; None: all
    gated: bool = False  # the first of `extras` is a matrix that gates the output: of each element or head
    extras: tuple[Module, ...] = ()


class ScanKind(StrEnum):
    """Recurrences that PyTorch's own code was read of."""

    SELECTIVE = "a state for every token"  # Mamba
    CHUNKED = "scores inside chunks"  # Mamba-2
    DELTA = "delta rule over chunks"


@dataclass(frozen=True, slots=True)
class Scan:
    """The sizes of a recurrence, as its code in plain PyTorch meets them. A state is keys x values a head."""

    kind: ScanKind
    heads: int
    keys: int  # per head: what a state is written and read by
    values: int  # per head
    convolved: int  # channels
    kernel: int
    chunk: int = 1  # tokens taken at once
    groups: int = 1  # of heads that share what they write and read by


@dataclass(frozen=True, slots=True)
class Recurrent:
    """A mixer whose memory of the past has a fixed size: state space, linear attention, short convolution.

    Mamba (arXiv:2312.00752), Mamba-2 (2405.21060), gated delta net (2412.06464), RG-LRU (2402.19427), RWKV.
    """

    kind: str  # for people: "Mamba-2"
    inputs: tuple[Linear, ...]  # read the layer's input
    inner: tuple[Linear, ...]  # between: Mamba's step sizes
    output: Linear
    parameters: tuple[Module, ...]  # kernels of convolutions, decays, norms inside
    conv_state: int  # elements kept of a sequence in the format computed in
    state: int  # elements kept of a sequence in FP32
    heads: int = 1  # what tensor parallelism divides
    scan: Scan | None = None  # None: not known but as a fused kernel runs it


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A dense feed-forward block. Gated: activation(gate) * up; `inputs` are gate and up, or one fused."""

    inputs: tuple[Linear, ...]
    output: Linear
    width: int
    activation: Activation
    gated: bool
    inner_norm: Norm | None = None  # BitNet: of what the output matrix reads
    output_cast: bool = False  # T5: what enters `output` is cast to that matrix's own format first


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts: `count` gated feed-forwards of which each token takes `top_k`.

    `expert` is one expert; its linears' names hold `{expert}`. `correction_bias` is a buffer, no parameter.
    """

    router: Linear
    count: int
    top_k: int
    expert: FeedForward
    shared: FeedForward | None = None
    shared_gate: Linear | None = None
    every: bool = False  # Llama 4: all experts run over every token, on zeros where it did not choose them
    router_fp32: bool = False  # DeepSeek: the router keeps FP32 copies of its input and its weight
    weighted_fp32: bool = False  # Mixtral: the router's weights stay in FP32, and so does what they weight
    correction_bias: bool = False
    extras: tuple[Module, ...] = ()

    @property
    def run(self) -> int:
        """How many experts are computed for a token."""
        return self.count if self.every else self.top_k


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer. What is None is not there: hybrids mix by attention, by recurrence or by both at once.

    `post_norm`: attention_norm and feed_forward_norm stand after the residual sum (BERT, BART, OPT-350m).
    `parallel`: attention and feed-forward read the same residual (GPT-NeoX).
    """

    attention: Attention | LatentAttention | None
    feed_forward: FeedForward | Experts | None
    attention_norm: Norm | None  # before attention and recurrence
    feed_forward_norm: Norm | None
    attention_output_norm: Norm | None = None  # Gemma 2: on the branch, before the residual sum
    feed_forward_output_norm: Norm | None = None
    cross_attention: Attention | None = None
    cross_norm: Norm | None = None
    post_norm: bool = False
    parallel: bool = False
    recurrent: Recurrent | None = None
    extras: tuple[Module, ...] = ()  # further parameters, beside the two branches


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers of the same shape and where they stand in the stack.

    `shared`: they have their parameters in common, as ALBERT's (arXiv:1909.11942) and Zamba's.
    """

    layer: Layer
    indices: tuple[int, ...]
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """One tower of layers. `prefix` holds `{layer}`: "model.layers.{layer}.".

    A layer may stand in two groups: what it shares with others, and what is its own (Zamba).
    """

    role: Kind  # ENCODER or DECODER
    prefix: str
    groups: tuple[LayerGroup, ...]
    final_norm: Norm | None

    @property
    def depth(self) -> int:
        """The number of layers."""
        return len({index for group in self.groups for index in group.indices})


@dataclass(frozen=True, slots=True)
class Head:
    """What turns hidden states into logits. `linear` is None where there is no head (BertModel).

    `tied`: the matrix is the token embedding and is counted once; a bias is still its own.
    `transform` and `norm`: the dense layer and the norm of a masked-LM head.
    """

    linear: Linear | None
    tied: bool
    transform: Linear | None = None
    transform_activation: Activation = Activation.GELU
    norm: Norm | None = None
    loss_fp32: bool = True  # causal models take the loss in FP32; T5 and BERT in the logits' own format
    softcap: bool = False
    spare_bias: str = ""  # BERT untied: a second bias that the class builds and no computation uses


@dataclass(frozen=True, slots=True)
class Dropout:
    """Dropout probabilities in training, as the config states them."""

    hidden: float = 0.0
    attention: float = 0.0
    embedding: float = 0.0
    inner: float = 0.0  # inside the feed-forward, before its output matrix (T5, BART)
    final: float = 0.0  # after the last norm of a stack (T5)


@dataclass(frozen=True, slots=True)
class Model:
    """A transformer as data. Its reader adds what it is called and where it was read."""

    kind: Kind
    hidden_size: int
    vocab_size: int
    context_length: int | None  # tokens; None where positions are relative (T5)
    dtype: str  # the Format that the config names; BF16 where it names none
    token_embedding: Embedding
    embeddings: tuple[Embedding, ...]  # positions, token types
    stacks: tuple[Stack, ...]
    head: Head
    embedding_norm: Norm | None = None
    embedding_norms_by_stack: tuple[Norm, ...] = ()  # BART: one for each stack
    projections: tuple[Linear, ...] = ()  # OPT-350m: embedding width to hidden size and back
    pooler: Linear | None = None
    pair_head: Linear | None = None  # BertForPreTraining: whether one sentence follows the other
    extras: tuple[Module, ...] = ()  # further parameters outside the layers
    dropout: Dropout = Dropout()
    eager: bool = False  # its class has no fused attention: scores are written out
    scores_fp32: bool = False  # and that from queries and keys in FP32
    residual_fp32: bool = False  # Mamba: what flows from layer to layer is in FP32, whatever the weights are
    rotary_fp32: bool = False  # its class rotates queries and keys in FP32
    buffers: int = 0  # bytes beside the parameters, where they are not small: masks, tables of sines
    cast_buffers: int = 0  # elements of those that have the weights' format
    name: str = ""
    model_type: str = ""
    source: str = ""  # where the architecture was read
    checkpoint: Checkpoint | None = None  # what its files hold; None: every parameter in `dtype`
    note: str = ""  # a sentence on what its file states and is not counted, for every answer on the model

    @property
    def layers(self) -> int:
        """Layers of all stacks."""
        return sum(stack.depth for stack in self.stacks)

    @property
    def recurs(self) -> bool:
        """Whether any layer keeps a state of a fixed size."""
        return any(group.layer.recurrent is not None for stack in self.stacks for group in stack.groups)

"""BART and its kin: an encoder and a decoder with learned positions, biases throughout.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import Embedding, Experts, FeedForward, Kind, Layer, Linear, Norm, NormKind
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.seq2seq import Seq2SeqData, build

BART = Seq2SeqData()
MBART = replace(BART, post_norm=False, final_norm="layer_norm")
PEGASUS = replace(MBART, embedding_norm=None, position_offset=0)
M2M_100 = replace(PEGASUS, positions=None)  # its table of sines is a buffer
MARIAN = replace(
    BART,
    embedding_norm=None,
    position_offset=0,
    target="decoder_vocab_size",
    split="share_encoder_decoder_embeddings",
)


def _global_tokens(entries: Entries, body: str) -> tuple[Embedding, ...]:
    """PEGASUS-X: what stands for the blocks of a long text."""
    count = entries.size("num_global_tokens", MOST_ROWS)
    return (Embedding(f"{body}encoder.embed_global", count, entries.size("d_model")),)


def _global_norm(entries: Entries, role: Kind, _kind: int, layer: Layer) -> Layer:
    """PEGASUS-X: the global tokens are normed by themselves."""
    norm = Norm("global_self_attn_layer_norm", NormKind.LAYER, entries.size("d_model"), bias=True)
    return replace(layer, extras=(norm,)) if role is Kind.ENCODER else layer


PEGASUS_X = replace(M2M_100, attention_bias=False, tables=_global_tokens, finish=_global_norm)
BIGBIRD_PEGASUS = replace(
    PEGASUS,
    final_norm="layernorm_embedding",
    attention_bias="use_bias",
    encoder_attention=(
        "self_attn.self.query",
        "self_attn.self.key",
        "self_attn.self.value",
        "self_attn.output",
    ),
)


def _second_projections(entries: Entries, role: Kind, _kind: int, layer: Layer) -> Layer:
    """LED: the tokens that see all others have matrices of their own."""
    if role is Kind.DECODER:
        return layer
    hidden = entries.size("d_model")
    block = "self_attn.longformer_self_attn"
    names = (f"{block}.{name}_global" for name in ("query", "key", "value"))
    return replace(layer, extras=tuple(Linear(name, hidden, hidden, bias=True) for name in names))


_LONGFORMER = "self_attn.longformer_self_attn"
LED = replace(
    BART,
    body="led.",
    positions=("max_encoder_position_embeddings", "max_decoder_position_embeddings"),
    position_offset=0,
    encoder_attention=(
        f"{_LONGFORMER}.query",
        f"{_LONGFORMER}.key",
        f"{_LONGFORMER}.value",
        "self_attn.output",
    ),
    finish=_second_projections,
)


def _sparse(entries: Entries, role: Kind, index: int) -> int:
    """NLLB's mixture: every so many layers have experts."""
    step = entries.size(f"{role.value}_sparse_step", least=0)
    return int(step > 0 and (index + 1) % step == 0)


def _experts(entries: Entries, _role: Kind, kind: int, layer: Layer) -> Layer:
    block = layer.feed_forward
    if not kind or not isinstance(block, FeedForward):
        return layer
    hidden, count = entries.size("d_model"), entries.size("num_experts")
    name = "ffn.experts.expert_{expert}"
    expert = replace(
        block,
        inputs=(replace(block.inputs[0], name=f"{name}.fc1"),),
        output=replace(block.output, name=f"{name}.fc2"),
    )
    router = Linear("ffn.router.classifier", hidden, count, entries.flag("router_bias"))
    return replace(layer, feed_forward=Experts(router, count, min(2, count), expert))


NLLB_MOE = replace(
    M2M_100,
    cross_attention="cross_attention",
    feed_forward=("ffn.fc1", "ffn.fc2"),
    feed_forward_norm="ff_layer_norm",
    kinds=_sparse,
    finish=_experts,
)

SIZES = (
    "d_model",
    "encoder_layers",
    "encoder_ffn_dim",
    "encoder_attention_heads",
    "decoder_layers",
    "decoder_ffn_dim",
    "decoder_attention_heads",
    "vocab_size",
)
NAMES: Mapping[str, tuple[str, ...]] = {
    "d_model": ("d_model", "hidden_size"),
    "encoder_layers": ("encoder_layers", "num_hidden_layers"),
    "encoder_attention_heads": ("encoder_attention_heads", "num_attention_heads"),
}


def dialect(
    model_type: str,
    stem: str,
    data: Seq2SeqData,
    sizes: tuple[int, int, int, int, int] = (1024, 12, 4096, 16, 50265),
    **more: object,
) -> Dialect:
    """`sizes` are the class's defaults: width; layers, feed-forward and heads of a tower; vocabulary."""
    hidden, depth, width, heads, vocabulary = sizes
    towers = {
        f"{tower}_{name}": value
        for tower in ("encoder", "decoder")
        for name, value in (("layers", depth), ("ffn_dim", width), ("attention_heads", heads))
    }
    defaults = {
        "vocab_size": vocabulary,
        "max_position_embeddings": 1024,
        "d_model": hidden,
        **towers,
        "activation_function": "gelu",
        "tie_word_embeddings": True,
        "dropout": 0.1,
        "attention_dropout": 0.0,
        **more,
    }
    head = "MTModel" if stem == "Marian" else "ForConditionalGeneration"
    classes = {f"{stem}{head}": Part.LANGUAGE_MODEL, f"{stem}Model": Part.BODY}
    return Dialect(model_type, defaults, SIZES, classes, partial(build, data), NAMES)


_SPARSE = {"encoder_sparse_step": 4, "decoder_sparse_step": 4, "num_experts": 128, "router_bias": False}
_M2M = {"activation_function": "relu", "attention_dropout": 0.1}

DIALECTS = (
    dialect("bart", "Bart", BART),
    dialect("mbart", "MBart", MBART),
    dialect("plbart", "PLBart", BART, (768, 6, 3072, 12, 50005), attention_dropout=0.1),
    dialect("mvp", "Mvp", replace(BART, refused=("use_prompt",)), (1024, 12, 4096, 16, 50267)),
    dialect("pegasus", "Pegasus", PEGASUS),
    dialect(
        "pegasus_x",
        "PegasusX",
        PEGASUS_X,
        (1024, 16, 4096, 16, 96103),
        max_position_embeddings=16384,
        num_global_tokens=32,
    ),
    dialect(
        "bigbird_pegasus",
        "BigBirdPegasus",
        BIGBIRD_PEGASUS,
        (1024, 16, 4096, 16, 96103),
        max_position_embeddings=4096,
        activation_function="gelu_new",
        use_bias=False,
    ),
    dialect(
        "blenderbot",
        "Blenderbot",
        PEGASUS,
        (2560, 24, 10240, 32, 8008),
        encoder_layers=2,
        max_position_embeddings=128,
    ),
    dialect(
        "blenderbot-small",
        "BlenderbotSmall",
        replace(BART, position_offset=0),
        (512, 8, 2048, 16, 50265),
        max_position_embeddings=512,
    ),
    dialect(
        "marian",
        "Marian",
        MARIAN,
        (1024, 12, 4096, 16, 58101),
        decoder_vocab_size=None,
        share_encoder_decoder_embeddings=True,
    ),
    dialect(
        "led",
        "LED",
        LED,
        max_encoder_position_embeddings=16384,
        max_decoder_position_embeddings=1024,
    ),
    dialect("m2m_100", "M2M100", M2M_100, (1024, 12, 4096, 16, 128112), **_M2M),
    dialect("nllb-moe", "NllbMoe", NLLB_MOE, (1024, 12, 4096, 16, 128112), **_M2M, **_SPARSE),
)

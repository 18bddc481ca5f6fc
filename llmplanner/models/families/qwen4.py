"""Qwen4-Exp: gated delta nets and indexed attention in several residual streams, and embeddings of n-grams.

Defaults: Transformers 5.23.0 class defaults. Tensor names: its classes, and the published ones of Qwen3.5.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from llmplanner.core.model import Attention, Embedding, Layer, Linear, Model, Module, Norm, NormKind
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.delta import QWEN_MIXTURE, QWEN_SIZES, SPARSE_SIZES, gate_output, qwen3_5
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import (
    ATTENTION,
    RECURRENT,
    convolution,
    every,
    kind_of,
    listed,
    mixed,
)

INDEXED = ("indexed_attention", "qwen_sparse_attention", "deepseek_sparse_attention")
MOST_HEADS = 256  # of n-grams in a model: for each, a prime number is found
_PLACE = "place among the layers with n-grams"  # an entry of a layer itself


def _kinds(entries: Entries, count: int) -> tuple[str, ...]:
    """Every attention is indexed, whatever name a file gives it."""
    rule = every("full_attention_interval")
    kinds = listed("layer_types", rule, (RECURRENT, ATTENTION, *INDEXED))(entries, count)
    return tuple(ATTENTION if kind in INDEXED else kind for kind in kinds)


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.RMS_PLUS_ONE, width)


def _streams(entries: Entries, name: str, *, writes: bool) -> tuple[Module, ...]:
    """What mixes the streams into a branch's input and spreads its output."""
    wide = entries.size("hc_count") * entries.size("hidden_size")
    rank = entries.size("hc_lowrank")
    mixing = (
        _norm(f"{name}.hc_norm", wide),
        Linear(f"{name}.input_mix_weight_down", wide, rank),
        Linear(f"{name}.input_mix_weight_up", rank, wide),
    )
    spread = Linear(f"{name}.block_inject_weight", wide, entries.size("hc_count"))
    return (*mixing, spread) if writes else mixing


def _places(entries: Entries) -> tuple[int, ...]:
    """The layers that take in n-grams, counted from 0."""
    places = tuple(sorted({index - 1 for index in entries.indices("ple_layer_ids")}))
    count = entries.size("num_hidden_layers")
    if places and not 0 <= places[0] <= places[-1] < count:
        raise entries.refuse("ple_layer_ids", f"must name layers from 1 to {count:,}")
    return places


def _own(entries: Entries, index: int) -> Mapping[str, object]:
    """Whether a layer takes in n-grams."""
    return {_PLACE: index + 1 in entries.indices("ple_layer_ids")}


def _layer(entries: Entries, layer: Layer) -> Layer:
    layer, hidden = gate_output(entries, layer), entries.size("hidden_size")
    extras = [
        *_streams(entries, "attn_hyper_connection", writes=True),
        *_streams(entries, "mlp_hyper_connection", writes=True),
    ]
    attention, mixer = layer.attention, layer.recurrent
    if isinstance(attention, Attention) and entries.raw("indexer_n_heads") is not None:
        attention = _indexed(entries, attention, hidden)
    if entries.flag(_PLACE):
        if mixer is None or kind_of(entries) == ATTENTION:
            raise entries.refuse("ple_layer_ids", "names a layer that attends; n-grams go to recurrent ones")
        extras.extend(_n_grams(entries))
        kept = (
            _stream_width(entries) * (entries.size("ple_conv_kernel_size") - 1) * entries.size("ngram_size")
        )
        mixer = replace(mixer, conv_state=mixer.conv_state + kept)
    return replace(layer, attention=attention, recurrent=mixer, extras=tuple(extras))


def _indexed(entries: Entries, attention: Attention, hidden: int) -> Attention:
    """With an indexer, which chooses the tokens to attend to by keys of its own."""
    heads, dim = entries.size("indexer_n_heads"), entries.size("indexer_head_dim")
    kv_heads, name = entries.size("indexer_kv_heads"), "self_attn.indexer."
    extras = (
        Linear(f"{name}index_qk_proj", hidden, (heads + kv_heads) * dim),
        _norm(f"{name}q_layernorm", dim),
        _norm(f"{name}k_layernorm", dim),
    )
    return replace(attention, index_dim=kv_heads * dim, extras=extras)


def _stream_width(entries: Entries) -> int:
    return entries.size("hc_count") * entries.size("hidden_size")


def _n_grams(entries: Entries) -> tuple[Module, ...]:
    """How a layer takes in the embeddings of the last tokens together."""
    wide, embedded = _stream_width(entries), _n_gram_width(entries)
    return (
        Linear("ple.key_proj", embedded, wide),
        Linear("ple.value_proj", embedded, entries.size("hidden_size")),
        *(_norm(f"ple.norm_{name}", wide) for name in ("key", "query", "conv")),
        *convolution("ple.conv1d", wide, entries.size("ple_conv_kernel_size")),
    )


def _n_gram_width(entries: Entries) -> int:
    return entries.optional_size("ple_embed_dim") or entries.size("hidden_size")


def _tables(entries: Entries, prefix: str) -> tuple[Embedding, ...]:
    """A table of n-grams for each layer that takes them in: its heads hash into as many rows as a prime."""
    places = _places(entries)
    if not places:
        return ()
    heads = (entries.size("ngram_size", least=2) - 1) * entries.size("heads_per_ngram")
    width, multiple = _n_gram_width(entries), entries.size("make_ngram_vocab_size_divisible_by", MOST_ROWS)
    if heads * len(places) > MOST_HEADS:
        raise entries.refuse("heads_per_ngram", f"makes {heads:,} heads a layer; the most is {MOST_HEADS:,}")
    if width % heads:
        raise entries.refuse("ple_embed_dim", f"is {width:,} and must be a multiple of the {heads:,} heads")
    sizes = _primes(entries.size("ngram_vocab_size_base", MOST_ROWS))
    tables = []
    for place in places:
        rows = sum(islice(sizes, heads))
        name = f"{prefix}layers.{place}.ple.ple_embedding.ngram_embedding"
        tables.append(Embedding(name, multiple * -(-rows // multiple), width // heads))
    return tuple(tables)


def _primes(least: int) -> Iterator[int]:
    """The primes from a number on."""
    number = max(least, 2)
    while True:
        if all(number % divisor for divisor in range(2, int(number**0.5) + 1)):
            yield number
        number += 1


def _model(entries: Entries, part: Part) -> Model:
    prefix = "model." if part is Part.LANGUAGE_MODEL else ""
    tables = _tables(entries, prefix)  # refuses lists of layers that are too long to be looked up in
    mixer = _streams(entries, f"{prefix}hyper_connection_mixer", writes=False)
    return replace(build(QWEN4, entries, part), embeddings=tables, extras=mixer)


QWEN4 = mixed(
    replace(
        LLAMA,
        attention_norm=None,
        feed_forward_norm=None,
        final_norm=None,
        feed_forward_bias=False,
        feed_forward_width="moe_intermediate_size",
        norm=NormKind.RMS_PLUS_ONE,
        query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
        mixture=QWEN_MIXTURE,
        per_layer=_own,
        finish=_layer,
    ),
    _kinds,
    {RECURRENT: qwen3_5},
)

DIALECTS = (
    replace(
        decoder(
            "qwen4_exp_text",
            ("Qwen4ExpForCausalLM", "Qwen4ExpTextModel"),
            QWEN4,
            class_defaults(
                (40, 2048, 16, None, 248320),
                2,
                32768,
                **QWEN_SIZES,
                num_experts=512,
                num_experts_per_tok=10,
                hc_count=4,
                hc_lowrank=320,
                indexer_kv_heads=1,
                ple_conv_kernel_size=4,
                ngram_size=3,
                heads_per_ngram=8,
                ngram_vocab_size_base=20_000_000,
                make_ngram_vocab_size_divisible_by=128,
            ),
        ),
        build=_model,
        sizes=SPARSE_SIZES,
    ),
)

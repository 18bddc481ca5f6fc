"""Nemotron-H: each layer is one of a Mamba-2 mixer, attention, a feed-forward or experts.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from functools import partial

from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    Layer,
    Linear,
    Model,
    Norm,
    NormKind,
    Recurrent,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.assemble import Frame, assemble, grouped
from llmplanner.models.families.decoder import Flag
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.experts import counts
from llmplanner.models.families.mixers import ALIASES, ATTENTION, CHUNK, RECURRENT, Mamba2Sizes, mamba2
from llmplanner.models.families.predictors import with_predictors

_PATTERN = {"M": RECURRENT, "E": "moe", "*": ATTENTION, "-": "mlp"}
_FRAME = Frame(
    body="backbone.",
    embedding="embeddings",
    final_norm="norm_f",
    norm=NormKind.RMS_WIDE,
    attention_dropout="attention_dropout",
)


def _nemotron(entries: Entries, part: Part) -> Model:
    """Nemotron-H: each layer is one of mixer, attention, feed-forward or experts."""
    entries = entries.with_values({"tie_word_embeddings": False})  # whatever the file says
    return assemble(
        _FRAME, entries, part, grouped(_nemotron_kinds(entries), partial(_nemotron_layer, entries))
    )


def _nemotron_kinds(entries: Entries) -> tuple[str, ...]:
    """What each layer is: a list of words, or in early files a letter each."""
    name = "layers_block_type" if entries.stated("layers_block_type") else "hybrid_override_pattern"
    if name == "layers_block_type":
        kinds = tuple(ALIASES.get(kind, kind) for kind in entries.texts(name))
    else:
        kinds = tuple(_PATTERN.get(letter, letter) for letter in entries.text(name))
    unknown = set(kinds) - set(_PATTERN.values())
    if unknown or not kinds:
        problem = f'names "{min(unknown)[:40]}"' if unknown else "is empty"
        raise entries.refuse(name, f"{problem}; the known kinds are {', '.join(_PATTERN.values())}")
    if len(kinds) > MOST_LAYERS:
        raise entries.refuse(name, f"names {len(kinds):,} layers; the most is {MOST_LAYERS:,}")
    return kinds


def _nemotron_layer(entries: Entries, kind: str) -> Layer:
    hidden = entries.size("hidden_size")
    norm = Norm("norm", NormKind.RMS_WIDE, hidden)
    mixes = kind in {RECURRENT, ATTENTION}
    block: FeedForward | Experts | None = None
    if kind == "moe":
        block = _nemotron_experts(entries)
    elif kind == "mlp":
        block = _plain(entries, "mixer.", hidden, entries.size("intermediate_size"), bias="mlp_bias")
    return Layer(
        attention=_nemotron_attention(entries) if kind == ATTENTION else None,
        feed_forward=block,
        attention_norm=norm if mixes else None,
        feed_forward_norm=None if mixes else norm,
        recurrent=_nemotron_mixer(entries) if kind == RECURRENT else None,
    )


def _plain(entries: Entries, prefix: str, inputs: int, width: int, bias: Flag = False) -> FeedForward:
    """A feed-forward without a gate."""
    biased = entries.flag(bias) if isinstance(bias, str) else bias
    return FeedForward(
        inputs=(Linear(f"{prefix}up_proj", inputs, width, biased),),
        output=Linear(f"{prefix}down_proj", width, inputs, biased),
        width=width,
        activation=activation(entries, "mlp_hidden_act"),
        gated=False,
    )


def _nemotron_experts(entries: Entries) -> Experts:
    """Experts without gates; in the larger models they work in a narrower space."""
    hidden, latent = entries.size("hidden_size"), entries.optional_size("moe_latent_size")
    count, top_k = counts(entries, "n_routed_experts", "num_experts_per_tok")
    bias = entries.flag("mlp_bias")
    around = (
        (
            Linear("mixer.fc1_latent_proj", hidden, latent, bias),
            Linear("mixer.fc2_latent_proj", latent, hidden, bias),
        )
        if latent
        else ()
    )
    shared = entries.size("moe_shared_expert_intermediate_size")
    return Experts(
        router=Linear("mixer.gate", hidden, count),
        count=count,
        top_k=top_k,
        expert=_plain(
            entries, "mixer.experts.{expert}.", latent or hidden, entries.size("moe_intermediate_size")
        ),
        shared=_plain(entries, "mixer.shared_experts.", hidden, shared, bias="mlp_bias"),
        correction_bias=True,
        extras=around,
    )


def _nemotron_attention(entries: Entries) -> Attention:
    """Attention without positions."""
    hidden, heads, dim = (entries.size(name) for name in ("hidden_size", "num_attention_heads", "head_dim"))
    kv_heads = entries.optional_size("num_key_value_heads") or heads
    if heads % kv_heads:
        raise entries.refuse("num_key_value_heads", f"is {kv_heads:,} and must divide the {heads:,} heads")
    widths = {"q_proj": heads * dim, "k_proj": kv_heads * dim, "v_proj": kv_heads * dim}
    return Attention(
        inputs=tuple(Linear(f"mixer.{name}", hidden, wide) for name, wide in widths.items()),
        output=Linear("mixer.o_proj", heads * dim, hidden),
        heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
    )


def _nemotron_mixer(entries: Entries) -> Recurrent:
    bias = entries.flag("use_bias")
    sizes = Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=entries.size("mamba_num_heads"),
        head_dim=entries.size("mamba_head_dim"),
        groups=entries.size("n_groups"),
        state=entries.size("ssm_state_size"),
        kernel=entries.size("conv_kernel"),
        bias=bias,
        conv_bias=entries.flag("use_conv_bias"),
        output_bias=bias,
        chunk=entries.optional_size("chunk_size") or CHUNK // 2,
    )
    return mamba2("mixer.", sizes)


DIALECTS = with_predictors(
    (
        Dialect(
            "nemotron_h",
            {
                "vocab_size": 131072,
                "hidden_size": 4096,
                "hybrid_override_pattern": "ME*-",
                "tie_word_embeddings": False,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "attention_dropout": 0.0,
                "intermediate_size": 21504,
                "mlp_hidden_act": "relu2",
                "mlp_bias": False,
                "use_bias": False,
                "mamba_num_heads": 128,
                "mamba_head_dim": 64,
                "n_groups": 8,
                "ssm_state_size": 128,
                "conv_kernel": 4,
                "use_conv_bias": True,
                "n_routed_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 7688,
                "moe_shared_expert_intermediate_size": 7688,
            },
            ("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"),
            {"NemotronHForCausalLM": Part.LANGUAGE_MODEL, "NemotronHModel": Part.BODY},
            _nemotron,
            {
                "layers_block_type": ("layers_block_type", "layer_types"),
                "n_routed_experts": ("n_routed_experts", "num_local_experts"),
                "n_groups": ("n_groups", "mamba_n_groups"),
                "head_dim": ("head_dim", "attention_head_dim"),
                "conv_kernel": ("conv_kernel", "mamba_d_conv"),
                "use_conv_bias": ("use_conv_bias", "mamba_conv_bias"),
            },
        ),
    )
)

"""Mamba and Mamba-2: every layer is one state space mixer, without attention and without feed-forward.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Layer, LayerGroup, Model, Norm, NormKind
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.assemble import Frame, assemble
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.mixers import CHUNK, Mamba2Sizes, MambaSizes, Mixer, mamba, mamba2

FRAME = Frame(body="backbone.", embedding="embeddings", final_norm="norm_f")
SIZES = ("num_hidden_layers", "hidden_size", "vocab_size")
RANK_SHARE = 16  # of the hidden size, where the rank of the step sizes is "auto"


def step_rank(entries: Entries, name: str) -> int:
    """The rank of the step sizes; "auto" is a sixteenth of the hidden size."""
    if entries.raw(name) in (None, "auto"):
        return -(-entries.size("hidden_size") // RANK_SHARE)
    return entries.size(name)


def channels(entries: Entries, expand: str) -> int:
    """The hidden size as many times as stated."""
    return entries.size(expand) * entries.size("hidden_size")


def head_size(entries: Entries, heads: str, head_dim: str, inner: int) -> int:
    """The channels of a head; "auto" divides them all. Raises BadInput where the three do not fit."""
    count = entries.size(heads)
    auto = entries.raw(head_dim) in (None, "auto")
    size = inner // count if auto else entries.size(head_dim)
    if size * count != inner:
        raise entries.refuse(
            heads,
            f"is {count:,} and must divide the {inner:,} channels into heads of equal size; correct one",
        )
    return size


def _mamba(entries: Entries) -> MambaSizes:
    stated = entries.optional_size("intermediate_size")  # Falcon Mamba's files state 16 for expand and mean 2
    return MambaSizes(
        hidden=entries.size("hidden_size"),
        inner=stated or channels(entries, "expand"),
        state=entries.size("state_size"),
        rank=step_rank(entries, "time_step_rank"),
        kernel=entries.size("conv_kernel"),
        bias=entries.flag("use_bias"),
        conv_bias=entries.flag("use_conv_bias"),
    )


def _mamba2(entries: Entries) -> Mamba2Sizes:
    inner = channels(entries, "expand")
    bias = entries.flag("use_bias")
    return Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=entries.size("num_heads"),
        head_dim=head_size(entries, "num_heads", "head_dim", inner),
        groups=entries.size("n_groups"),
        state=entries.size("state_size"),
        kernel=entries.size("conv_kernel"),
        bias=bias,
        conv_bias=entries.flag("use_conv_bias"),
        output_bias=bias,
        chunk=entries.optional_size("chunk_size") or CHUNK,
    )


def _build(mixer: Mixer, entries: Entries, part: Part) -> Model:
    layer = Layer(
        attention=None,
        feed_forward=None,
        attention_norm=Norm("norm", NormKind.RMS, entries.size("hidden_size")),
        feed_forward_norm=None,
        recurrent=mixer(entries),
    )
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    model = assemble(FRAME, entries, part, (LayerGroup(layer, tuple(range(count))),))
    return replace(model, residual_fp32=entries.flag("residual_in_fp32"))


def _dialect(model_type: str, stem: str, mixer: Mixer, defaults: Mapping[str, object]) -> Dialect:
    classes = {f"{stem}ForCausalLM": Part.LANGUAGE_MODEL, f"{stem}Model": Part.BODY}
    shared = {
        "conv_kernel": 4,
        "expand": 2,
        "use_bias": False,
        "use_conv_bias": True,
        "residual_in_fp32": True,
    }
    return Dialect(
        model_type,
        {**shared, **defaults},
        SIZES,
        classes,
        lambda entries, part: _build(mixer, entries, part),
    )


_MAMBA_DEFAULTS = {
    "vocab_size": 50280,
    "hidden_size": 768,
    "state_size": 16,
    "num_hidden_layers": 32,
    "time_step_rank": "auto",
    "tie_word_embeddings": True,
}
_MAMBA2_DEFAULTS = {
    "vocab_size": 32768,
    "hidden_size": 4096,
    "state_size": 128,
    "num_hidden_layers": 64,
    "num_heads": 128,
    "head_dim": 64,
    "n_groups": 8,
    "tie_word_embeddings": False,
}

DIALECTS = (
    _dialect("mamba", "Mamba", lambda entries: mamba("mixer.", _mamba(entries)), _MAMBA_DEFAULTS),
    _dialect(
        "falcon_mamba", "FalconMamba", lambda entries: mamba("mixer.", _mamba(entries)), _MAMBA_DEFAULTS
    ),
    _dialect("mamba2", "Mamba2", lambda entries: mamba2("mixer.", _mamba2(entries)), _MAMBA2_DEFAULTS),
)

"""Which format each tensor of a GGUF file takes when llama.cpp quantizes it, and so its bytes exactly.

The rules follow the tensors' names in the order in which llama.cpp meets them, as some of them count.
Source: ggml-org/llama.cpp, src/llama-quant.cpp, at llama.cpp 0.5.0-dev; 1,956 of its dry runs agree.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.core.recipes.file_types import FileType, Place, Rules
from llmplanner.core.recipes.ggml import bytes_of, fits

# What has no whole blocks in a row falls back on a format of smaller blocks.
SMALLER_BLOCKS = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}

# Matrices that stay as they are, by what their names contain: small ones, and those that routing hangs on.
UNTOUCHED = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight",
    "indexer.k_proj.weight", "indexer.q_proj.weight",
    "time_mix_first.weight", "time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight",
    "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight",
    "time_mix_g1.weight", "time_mix_g2.weight",
    "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
    "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos",
    ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
)  # fmt: skip
TABLES = frozenset({"position_embd.weight", "token_types.weight"})
HEAD = "output.weight"
EMBEDDINGS = frozenset({"token_embd.weight", "per_layer_token_embd.weight"})

# Kinds of tensors by what their names contain, and the field of FileType with their rules.
KINDS = (
    ("attn_qkv.weight", "value"),
    ("attn_kv_b.weight", "value"),
    ("attn_v.weight", "value"),
    ("attn_k.weight", "key"),
    ("attn_q.weight", "query"),
    ("attn_output.weight", "output"),
    ("ffn_up", "up"),
    ("ffn_gate", "gate"),
    ("ffn_down", "down"),
)
SHARED_BY_FOUR = 4
MOST_NAMES = 10_000  # of tensors whose kind is remembered: one file is asked for at many file types
MIXTRAL = 8
CALLED_70B = {"llama": 80, "qwen2": 80, "deci": 80, "jais2": 68}  # layers


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the choice depends on, beside the tensors: GGUF's own keys."""

    name: str  # general.architecture
    layers: int  # block_count
    heads: int  # attention.head_count of the first layer
    kv_heads: int  # attention.head_count_kv of the first layer; 0 where it has no attention
    experts: int = 0  # expert_count

    @property
    def grouped(self) -> bool:
        """Whether four query heads or more share a key head."""
        return self.kv_heads > 0 and self.heads // self.kv_heads >= SHARED_BY_FOUR

    @property
    def is_70b(self) -> bool:
        """Whether llama.cpp calls the size 70B, whose values take more bits as eight heads share them."""
        named = CALLED_70B.get(self.name) == self.layers
        return named and (self.name != "llama" or self.heads != self.kv_heads)


def quantized(
    tensors: Iterable[StoredTensor], architecture: Architecture, file_type: FileType, *, imatrix: bool = False
) -> Iterator[StoredTensor]:
    """The same tensors as llama.cpp stores them, in its order. What it does not quantize stays as it is.

    `imatrix`: an importance matrix is given, which changes some choices. Raises BadInput for a matrix whose
    rows the format cannot divide, as llama.cpp does.
    """
    ordered = sorted(tensors, key=_order)
    chooser = _Chooser(architecture, file_type, imatrix, ordered)
    for tensor in ordered:
        if not is_quantized(tensor):
            yield tensor
            continue
        name = chooser.format_of(tensor)
        yield StoredTensor(
            tensor.name, tensor.shape, name, tensor.elements, bytes_of(name, prod(tensor.shape))
        )


def is_quantized(tensor: StoredTensor) -> bool:
    """Whether llama.cpp gives the tensor the format of the file type at all."""
    name = tensor.name
    is_matrix = sum(size > 1 for size in tensor.shape[:-1]) > 0
    return is_matrix and name.endswith("weight") and name not in TABLES and not _untouched(name)


@lru_cache(MOST_NAMES)
def _untouched(name: str) -> bool:
    return any(part in name for part in UNTOUCHED)


@lru_cache(MOST_NAMES)
def layer_of(name: str) -> int:
    """The number in `blk.NUMBER.`; -1 outside the layers."""
    parts = name.split(".", 2)
    return int(parts[1]) if parts[0] == "blk" and len(parts) > 1 and parts[1].isdecimal() else -1


def _order(tensor: StoredTensor) -> tuple[int, str]:
    return layer_of(tensor.name), tensor.name


@lru_cache(MOST_NAMES)
def _kind_of(name: str) -> str | None:
    if name == HEAD:
        return "head"
    if name in EMBEDDINGS:
        return "embedding"
    return next((kind for part, kind in KINDS if part in name), None)


class _Chooser:
    """Goes through the tensors in order and counts those of each kind, as some rules depend on it."""

    def __init__(
        self, architecture: Architecture, file_type: FileType, imatrix: bool, tensors: list[StoredTensor]
    ) -> None:
        self._architecture = architecture
        self._file_type = file_type
        self._imatrix = imatrix
        self._falcon = architecture.name == "falcon"
        kinds = [_kind_of(tensor.name) for tensor in tensors]
        self._tied = "head" not in kinds
        self._values = kinds.count("value")
        self._met = dict.fromkeys(("value", "down", "gate", "up"), 0)

    def format_of(self, tensor: StoredTensor) -> str:
        """The format of the next tensor."""
        row = tensor.shape[-1]
        if self._file_type.base in {"F32", "F16", "BF16"}:
            return self._file_type.base
        name = self._wanted(tensor, row)
        if fits(name, row):
            return name
        if name not in SMALLER_BLOCKS:
            raise BadInput(
                f"llama.cpp cannot make {self._file_type.name} of this model: the rows of {tensor.name} have "
                f"{row:,} weights, which {name} does not divide; take another quantization.",
                "weights",
            )
        smaller = SMALLER_BLOCKS[name]
        return smaller if fits(smaller, row) else "F16"

    def _wanted(self, tensor: StoredTensor, row: int) -> str:
        kind = _kind_of(tensor.name)
        made = self._file_type
        if kind == "head" or (kind == "embedding" and self._tied):
            return "Q8_0" if self._falcon or not fits(made.base, row) else made.head
        if made.name == "MXFP4_MOE":
            return "MXFP4" if len(tensor.shape) > 2 and tensor.shape[-3] > 1 else "Q8_0"  # noqa: PLR2004 - experts
        if kind == "embedding":
            return made.embedding or made.base
        if kind is None:
            return made.base
        return self._by_rules(kind, self._place(kind, layer_of(tensor.name)))

    def _by_rules(self, kind: str, place: Place) -> str:
        made = self._file_type
        rules: Rules = made.wide if kind in {"gate", "up"} else getattr(made, kind)
        name = next((result for holds, result in rules if holds(place)), made.base)
        if made.lowest:
            return name
        if kind in {"value", "key"} and place.experts == MIXTRAL:
            return "Q8_0"
        if kind == "value" and self._architecture.is_70b and name in {"Q3_K", "Q4_K"}:
            return "Q5_K"
        return name

    def _place(self, kind: str, layer: int) -> Place:
        """Where the next tensor of the kind stands. Experts go by their layer, but for the lowest types."""
        met = self._met.get(kind, 0)
        if kind in self._met:
            self._met[kind] += 1
        by_layer = kind != "value" and self._architecture.experts > 1 and not self._file_type.lowest
        return Place(
            layer if by_layer else met,
            self._values if kind == "value" else self._architecture.layers,
            self._architecture.grouped,
            self._architecture.experts,
            self._falcon,
            self._imatrix,
        )

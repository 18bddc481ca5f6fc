"""llama.cpp's file types as a table: which format each kind of tensor takes.

A file type has a base format, and rules that give some kinds of tensors another: the first rule that holds
for the tensor's place decides. Rules that all file types have in common are in llamacpp.py.

Source: ggml-org/llama.cpp, src/llama-quant.cpp, at llama.cpp 0.5.0-dev.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands: `index` counts tensors of its kind, or layers, out of `count`."""

    index: int
    count: int
    grouped: bool  # four query heads or more share a key head
    experts: int
    falcon: bool
    imatrix: bool  # an importance matrix is given


Rule = tuple[Callable[[Place], bool], str]
Rules = tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class FileType:
    """What `llama-quantize MODEL NAME` makes. Where no rule holds, a tensor takes `base`."""

    name: str
    base: str
    head: str = "Q6_K"  # output matrix, or the token embedding where it serves as one
    embedding: str | None = None  # token embedding beside an output matrix; None: base
    value: Rules = ()
    key: Rules = ()
    query: Rules = ()
    output: Rules = ()
    down: Rules = ()
    wide: Rules = ()  # gate and up
    lowest: bool = False  # about 2 bits: has rules of its own where others share some


def _always(_: Place) -> bool:
    """Every tensor of the kind."""
    return True


def _grouped(place: Place) -> bool:
    """Where keys and values are small beside queries."""
    return place.grouped


def _first_eighth(place: Place) -> bool:
    """The first layers."""
    return place.index < place.count // 8


def _first_sixteenth(place: Place) -> bool:
    """The very first layers."""
    return place.index < place.count // 16


def _middle(place: Place) -> bool:
    """All but the first and the last eighth."""
    return place.count // 8 <= place.index < 7 * place.count // 8


def _sensitive(place: Place) -> bool:
    """The first and the last eighth, and every third layer between."""
    eighth = place.count // 8
    return not _middle(place) or (place.index - eighth) % 3 == 2  # noqa: PLR2004 - the third of three


def _eight(place: Place) -> bool:
    """Mixtral's eight experts."""
    return place.experts == 8 and not place.falcon  # noqa: PLR2004 - as the name says


def _first(count: int) -> Callable[[Place], bool]:
    return lambda place: place.index < count


def _both(*tests: Callable[[Place], bool]) -> Callable[[Place], bool]:
    return lambda place: all(test(place) for test in tests)


def _either(*tests: Callable[[Place], bool]) -> Callable[[Place], bool]:
    return lambda place: any(test(place) for test in tests)


def _falcon(place: Place) -> bool:
    return place.falcon


def _no_falcon(place: Place) -> bool:
    return not place.falcon


def _imatrix(place: Place) -> bool:
    return place.imatrix


def _no_imatrix(place: Place) -> bool:
    return not place.imatrix


def _four_experts(place: Place) -> bool:
    return place.experts >= 4  # noqa: PLR2004 - as the name says


def _eight_experts(place: Place) -> bool:
    return place.experts == 8  # noqa: PLR2004 - as the name says


_EIGHT: Rule = (_eight, "Q5_K")


def _lowest(name: str, base: str, embedding: str, small: str, output: str | None) -> FileType:
    """A file type of about two bits; `small` is the better of its formats for few weights."""
    return FileType(
        name,
        base,
        head="Q5_K",
        embedding=embedding,
        value=((_either(_grouped, _four_experts), "Q4_K"), (_always, small)),
        key=((_eight_experts, "Q4_K"),),
        output=((_eight_experts, "Q5_K"), (_always, output or base)),
        down=((_first_eighth, small),),
        lowest=True,
    )


_ALL = (
    FileType("F32", "F32"),
    FileType("F16", "F16"),
    FileType("BF16", "BF16"),
    FileType("Q4_0", "Q4_0", down=((_both(_imatrix, _first_eighth), "Q4_1"),)),
    FileType("Q4_1", "Q4_1"),
    FileType("Q5_0", "Q5_0", down=((_both(_imatrix, _first_eighth), "Q5_1"),)),
    FileType("Q5_1", "Q5_1"),
    FileType("Q8_0", "Q8_0", head="Q8_0"),
    FileType("Q1_0", "Q1_0"),
    FileType("Q2_0", "Q2_0", embedding="Q4_K"),
    FileType("TQ1_0", "TQ1_0", embedding="Q4_K"),
    FileType("TQ2_0", "TQ2_0", embedding="Q4_K"),
    FileType("MXFP4_MOE", "MXFP4", head="Q8_0"),
    FileType(
        "Q2_K",
        "Q2_K",
        value=((_grouped, "Q4_K"), (_always, "Q3_K")),
        output=(_EIGHT, (_no_falcon, "Q3_K")),
        down=((_always, "Q3_K"),),
    ),
    FileType("Q2_K_S", "Q2_K", value=((_grouped, "Q4_K"),), down=((_first_eighth, "Q4_K"),)),
    FileType("Q3_K_S", "Q3_K", output=(_EIGHT,)),
    FileType(
        "Q3_K_M",
        "Q3_K",
        value=((_first(2), "Q5_K"), (_always, "Q4_K")),
        output=(_EIGHT, (_no_falcon, "Q4_K")),
        down=((_first_sixteenth, "Q5_K"), (_either(_no_falcon, _sensitive), "Q4_K")),
    ),
    FileType(
        "Q3_K_L",
        "Q3_K",
        value=((_always, "Q5_K"),),
        output=((_falcon, "Q4_K"), (_eight, "Q3_K"), (_always, "Q5_K")),
        down=((_falcon, "Q4_K"), (_always, "Q5_K")),
    ),
    FileType(
        "Q4_K_S",
        "Q4_K",
        value=((_first(4), "Q5_K"),),
        output=(_EIGHT,),
        down=((_both(_no_falcon, _first_eighth), "Q5_K"),),
    ),
    FileType(
        "Q4_K_M",
        "Q4_K",
        value=((_sensitive, "Q6_K"),),
        output=(_EIGHT,),
        down=(
            (_both(_falcon, _first_sixteenth), "Q6_K"),
            (_both(_falcon, _sensitive), "Q5_K"),
            (_both(_no_falcon, _sensitive), "Q6_K"),
        ),
    ),
    FileType("Q5_K_S", "Q5_K"),
    FileType("Q5_K_M", "Q5_K", value=((_sensitive, "Q6_K"),), down=((_sensitive, "Q6_K"),)),
    FileType("Q6_K", "Q6_K"),
    _lowest("IQ1_S", "IQ1_S", "Q2_K", "Q2_K", "IQ2_XXS"),
    _lowest("IQ1_M", "IQ1_M", "Q2_K", "Q2_K", "IQ2_XXS"),
    _lowest("IQ2_XXS", "IQ2_XXS", "Q2_K", "Q2_K", None),
    _lowest("IQ2_XS", "IQ2_XS", "Q2_K", "Q2_K", None),
    _lowest("IQ2_S", "IQ2_XS", "IQ3_S", "IQ3_S", "IQ3_S"),
    _lowest("IQ2_M", "IQ2_S", "IQ3_S", "IQ3_S", "IQ3_S"),
    FileType(
        "IQ3_XXS",
        "IQ3_XXS",
        head="Q5_K",
        embedding="IQ3_S",
        value=((_grouped, "Q4_K"), (_no_imatrix, "IQ3_S")),
        key=((_always, "IQ2_S"),),
        query=((_always, "IQ2_S"),),
        output=(_EIGHT, (_no_falcon, "IQ3_S")),
        down=((_both(_no_imatrix, _first_eighth), "Q4_K"), (_no_imatrix, "Q3_K")),
    ),
    FileType(
        "IQ3_XS",
        "IQ3_S",
        value=((_grouped, "Q4_K"),),
        key=((_always, "IQ3_XXS"),),
        query=((_always, "IQ3_XXS"),),
        output=(_EIGHT,),
        wide=((_middle, "IQ3_XXS"),),
    ),
    FileType("IQ3_S", "IQ3_S", value=((_grouped, "Q4_K"),), output=(_EIGHT,)),
    FileType(
        "IQ3_M",
        "IQ3_S",
        value=((_always, "Q4_K"),),
        output=(_EIGHT, (_no_falcon, "Q4_K")),
        down=((_either(_first_eighth, _both(_eight_experts, _sensitive)), "Q4_K"),),
    ),
    FileType(
        "IQ4_XS",
        "IQ4_XS",
        value=((_grouped, "Q5_K"),),
        output=(_EIGHT,),
        down=((_both(_no_imatrix, _first_eighth), "Q5_K"),),
    ),
    FileType(
        "IQ4_NL",
        "IQ4_NL",
        value=((_grouped, "Q5_K"),),
        output=(_EIGHT,),
        down=((_both(_no_imatrix, _first_eighth), "Q5_K"),),
    ),
)

FILE_TYPES: Mapping[str, FileType] = MappingProxyType({each.name: each for each in _ALL})

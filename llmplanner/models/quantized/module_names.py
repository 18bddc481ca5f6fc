r"""Which modules a quantization_config means by the names in its lists.

Patterns are never run as regular expressions: a file could state one that takes years. What they use in
practice (`re:`, `.*`, `*`, `^`, `$`, `\.`) is read as a glob.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from llmplanner.core.errors import BadInput

REGULAR = {"\\.": ".", ".*": "*", ".+": "*", "\\d+": "*", "[0-9]+": "*", "\\w+": "*"}
UNKNOWN = frozenset("\\[](){}|+?^$")  # in a glob that was translated from more than REGULAR
WRAPPERS = ("model.language_model.", "language_model.model.", "language_model.")
MOST_ALTERNATIVES = 100
MOST_PATTERNS = 2000
MOST_PATTERN = 10_000  # letters of one
FEW_PATTERNS = 100


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names, ready to be asked.

    `whole` are names of modules, `runs` of what may hold them, `parts` pieces of names, where no module has
    that name.
    """

    whole: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    globs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.globs) + len(self.parts) > MOST_PATTERNS:
            raise too_many()

    @property
    def steps(self) -> int:
        """About how many pieces of text are looked for to ask of one name."""
        return 1 + len(self.parts) + sum(1 + glob.count("*") for glob in self.globs)

    @property
    def tell_experts(self) -> bool:
        """Whether single experts may be meant; of very many patterns it is taken that none does."""
        few = len(self.globs) + len(self.parts) <= FEW_PATTERNS
        return few and any(
            "experts." in name for names in (self.whole, self.runs, self.globs) for name in names
        )

    def mean(self, name: str) -> bool:
        """Whether a module is on the list."""
        if name in self.whole or (self.runs and any(run in self.runs for run in _runs(name))):
            return True
        by_part = any(part in name for part in self.parts)
        return by_part or any(glob_matches(glob, name) for glob in self.globs)


def names_of(patterns: Iterable[str], modules: Iterable[str]) -> Names:
    """A list such as modules_to_not_convert, for a model of these modules: a name means what it holds too.

    "mlp.gate" means the router and not "mlp.gate_proj"; "vision" means "vision_tower" where nothing is named
    so alone. Transformers 5.23 (should_convert_module) agrees on the first, huggingface.js on the second.
    Raises BadInput.
    """
    patterns = tuple(_inside(pattern) for pattern in patterns if pattern)
    runs = frozenset(pattern.removesuffix(".weight") for pattern in patterns if not _is_pattern(pattern))
    met = {run for module in modules for run in _runs(module)} if runs else set()
    globs = _all_globs(pattern for pattern in patterns if _is_pattern(pattern))
    held = tuple(f"{glob}.*" for glob in globs)
    return Names(runs=runs, globs=globs + held, parts=tuple(sorted(runs - met)))


def exact_names(patterns: Iterable[str]) -> Names:
    """A list of compressed-tensors: whole names as they stand, and `re:` patterns. Raises BadInput."""
    patterns = tuple(map(_inside, patterns))
    whole = frozenset(pattern for pattern in patterns if not pattern.startswith("re:"))
    return Names(whole=whole, globs=_all_globs(pattern for pattern in patterns if pattern.startswith("re:")))


def _inside(pattern: str) -> str:
    """A name as the language model alone has it, where the list names it inside the model that wraps it."""
    start = "re:" if pattern.startswith("re:") else ""
    name = pattern.removeprefix(start).removeprefix("^").replace("\\.", ".")
    wrapper = next((each for each in WRAPPERS if name.startswith(each)), None)
    if wrapper is None:
        return pattern
    inner = name.removeprefix(wrapper)
    return start + (inner if inner.startswith("lm_head") else f"model.{inner}")


def too_many() -> BadInput:
    """The refusal of lists that would take too long to go through."""
    return BadInput(
        "quantization_config lists more patterns of names than any model needs; correct it.",
        "quantization_config",
    )


def _all_globs(patterns: Iterable[str]) -> tuple[str, ...]:
    """The globs of these patterns, no more than it takes to see that they are too many."""
    return tuple(islice((glob for pattern in patterns for glob in _globs(pattern)), MOST_PATTERNS + 1))


def _is_pattern(text: str) -> bool:
    return text.startswith("re:") or "*" in text


def _globs(pattern: str) -> tuple[str, ...]:
    """A pattern as globs with `*` alone; one that uses more than is known gives none.

    ModelOpt's are globs as they stand: its "layers.1.*" leaves layer 10 to be converted.
    """
    if len(pattern) > MOST_PATTERN:
        raise too_many()
    text = pattern.removeprefix("re:")
    end = "" if text.endswith("$") or not pattern.startswith("re:") else "*"
    text = text.removeprefix("^").removesuffix("$")
    if pattern.startswith(("re:", ".*", "^")) or "\\" in pattern:
        for regular, glob in REGULAR.items():
            text = text.replace(regular, glob)
    return tuple(glob + end for glob in _alternatives(text) if not set(glob) & UNKNOWN)


def _alternatives(text: str) -> tuple[str, ...]:
    """What "a(b|c)d" stands for: "abd" and "acd"."""
    found: tuple[str, ...] = (text,)
    while len(found) <= MOST_ALTERNATIVES and "(" in found[0] and ")" in found[0].partition("(")[2]:
        split = [one.partition("(") for one in found]
        choices = split[0][2].partition(")")[0].removeprefix("?:").split("|")
        if len(choices) > MOST_ALTERNATIVES:
            raise too_many()
        found = tuple(
            before + choice + after.partition(")")[2] for before, _, after in split for choice in choices
        )
    return found


def glob_matches(glob: str, name: str) -> bool:
    """Whether a name is what the glob says, in time that grows with their lengths alone."""
    if len(glob) - glob.count("*") > len(name):
        return False
    first, *others = glob.split("*")
    if not others:
        return name == first
    if not name.startswith(first):
        return False
    *middle, last = others
    place = len(first)
    for piece in middle:
        found = name.find(piece, place)
        if found < 0:
            return False
        place = found + len(piece)
    return len(name) - place >= len(last) and name.endswith(last)


def _runs(name: str) -> Iterator[str]:
    """The runs of components: "a.b", "a" and "b" of "a.b"."""
    pieces = name.split(".")
    for begin in range(len(pieces)):
        run = ""
        for piece in pieces[begin:]:
            run = f"{run}.{piece}" if run else piece
            yield run

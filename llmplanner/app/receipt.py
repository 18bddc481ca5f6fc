"""The receipt of a term: how its bytes come about, how far off they may be, and what changes them."""

from dataclasses import dataclass
from html import escape

from llmplanner.charts.palette import TERM_TITLES
from llmplanner.core.estimate import Capacity, Host, Part, Term
from llmplanner.core.quantities import gib_text

UNMEASURED = "Not measured: no run that we know of states it."
EXACT = "Exact: counted, not estimated."
EXPLAINED = 1  # parts from which on a table says more than the formula


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is told of one amount: a title, its size, then named paragraphs, and a table of its parts."""

    title: str
    size: str
    lines: tuple[tuple[str, str], ...]  # (heading, words)
    parts: tuple[tuple[str, str, str, str], ...] = ()  # name, GiB, bytes, formula

    @property
    def text(self) -> str:
        """The whole in plain words, to be pasted."""
        told = [f"{self.title}: {self.size}"]
        told += [f"{heading}: {words}" for heading, words in self.lines]
        told += [f"- {name}: {gib} ({size}) = {formula}" for name, gib, size, formula in self.parts]
        return "\n".join(told)

    @property
    def html(self) -> str:
        """The same for a text browser."""
        title = f"<p><b>{escape(self.title)}</b><br>{escape(self.size)}</p>"
        return "".join((title, *map(_paragraph, self.lines), _table(self.parts)))


def of_term(term: Term, where: str, change: str) -> Receipt:
    """The receipt of a term of one device and phase; `change` says what makes it smaller."""
    low, high = int(term.low), int(term.high)
    bounds = EXACT if low == high else f"Between {gib_text(low)} and {gib_text(high)}."
    lines = (
        ("Formula", f"{term.formula} = {int(term.bytes):,} bytes"),
        ("Range", bounds),
        ("Error as measured", _sentence(term.measured) or UNMEASURED),
        ("What makes it smaller", _sentence(change)),
        *((("What is in it", _sentence(term.note)),) if term.note else ()),
        ("Source", _sentence(term.source)),
    )
    return Receipt(f"{TERM_TITLES[term.name]} {where}", _size(int(term.bytes)), lines, _rows(term.parts))


def of_pair(name: str, own: tuple[str, Term | None], other: tuple[str, Term | None]) -> Receipt:
    """Why one term differs between two plans, each with its name."""
    sizes = [0 if term is None else int(term.bytes) for _, term in (own, other)]
    more = sizes[1] - sizes[0]
    said = "The same in both" if not more else f"{gib_text(abs(more))} {'more' if more > 0 else 'less'}"
    lines = tuple(line for each in (own, other) for line in _side(*each))
    return Receipt(
        f"{TERM_TITLES[name]}: {own[0]} and {other[0]}", f"{said} in {other[0]}" if more else said, lines
    )


def _side(name: str, term: Term | None) -> tuple[tuple[str, str], ...]:
    """One plan's half of a comparison."""
    if term is None:
        return ((name, "It has none."),)
    parts = "; ".join(f"{name} {size} = {formula}" for name, size, _, formula in _rows(term.parts))
    words = (f"{gib_text(int(term.bytes))} = {term.formula}", term.note, parts, f"Source: {term.source}")
    return ((name, " ".join(_ended(each) for each in words if each)),)


def _ended(words: str) -> str:
    return words if words.endswith(".") else f"{words}."


def _sentence(words: str) -> str:
    """Words as a sentence; an option, or a name such as vLLM, begins it as it is written."""
    first = words.partition(" ")[0]
    return (
        _ended(f"{words[0].upper()}{words[1:]}" if first.isalpha() and first.islower() else words)
        if words
        else ""
    )


def of_host(host: Host) -> Receipt:
    """The receipt of what the computer keeps for its devices."""
    link = "not known" if host.seconds is None else f"{host.seconds:,.3g} s = {host.formula}"
    lines = (
        ("Where", f"The {host.place}, beside the memory of the devices."),
        ("Time of the link", link),
        ("What makes it smaller", "Offload less (--set offload=none), or keep more layers on the GPU."),
    )
    return Receipt(f"Kept in the {host.place}", _size(int(host.bytes)), lines, _rows(host.parts))


def of_capacity(capacity: Capacity) -> Receipt:
    """The receipt of what an engine has left for keys and values."""
    lines = (
        ("Formula", capacity.formula),
        ("Room", room_words(capacity)),
        (
            "What makes it larger",
            "A larger share (--set vllm_share=0.95), or weights and cache in fewer bits.",
        ),
    )
    return Receipt("Left for the KV cache on each device", _size(capacity.bytes), lines)


def room_words(capacity: Capacity) -> str:
    """How much an engine can serve: room for so many tokens, and requests of the plan's context."""
    if capacity.bytes < 0:
        return f"No room for the KV cache: {gib_text(-capacity.bytes)} more are needed to start at all."
    requests = "1 request" if capacity.requests == 1 else f"{capacity.requests:,} requests"
    return f"Room for {capacity.tokens:,} tokens: {requests} of this context."


def host_words(host: Host) -> str:
    """What the computer keeps, in a line."""
    took = "" if host.seconds is None else f", {host.seconds:,.3g} s of its link each time"
    return f"{gib_text(int(host.bytes))} in the {host.place}{took}."


def _rows(parts: tuple[Part, ...]) -> tuple[tuple[str, str, str, str], ...]:
    if len(parts) <= EXPLAINED:
        return ()
    return tuple(
        (part.name, gib_text(int(part.bytes)), f"{int(part.bytes):,} bytes", part.formula) for part in parts
    )


def _size(size: int) -> str:
    return f"{gib_text(size)} · {size:,} bytes"


def _paragraph(line: tuple[str, str]) -> str:
    heading, words = line
    return f"<p><b>{escape(heading)}</b>&nbsp; {escape(words)}</p>"


def _table(parts: tuple[tuple[str, str, str, str], ...]) -> str:
    """The parts: name and size in a row, their formula beneath."""
    if not parts:
        return ""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td align='right'>{escape(gib)}</td></tr>"
        f"<tr><td colspan='2'>{escape(size)} = {escape(formula)}</td></tr>"
        for name, gib, size, formula in parts
    )
    return f"<p><b>Parts</b></p><table width='100%' cellpadding='1'>{rows}</table>"

"""A chart as plain data: axes and marks. Drawing, table and window are made from it; nothing here knows Qt.

Positions are data in exact base units (bytes, FLOPs); an axis says by what to divide for its tick labels.
A colour is a key of the palette, resolved by the theme: "weights", "hoffmann3", "accent", "warn".

Structs, not dataclasses: to define twenty of these takes 15 ms of every start, of those next to none.
"""

from typing import Literal

from msgspec import Struct

from llmplanner.charts.palette import TERM_TITLES

Scale = Literal["linear", "log10", "log2", "category"]
TickStyle = Literal["plain", "si", "power", "percent"]  # 1,000 · 1k · 10³ (2¹⁰ on log2) · 100 %
Dash = Literal["solid", "dashed", "dotted"]
Marker = Literal["dot", "ring", "square", "diamond", "plan"]  # plan: the user's own, large and in the accent
Side = Literal["any", "above", "below"]
Align = Literal["left", "centre", "right"]


class Axis(Struct, frozen=True):
    """One axis. `low` and `high` are taken from the marks where they are None.

    On a category axis, category i of `names` is centred on i; on y the first is at the top.
    """

    label: str  # with its unit as shown: "memory (GiB)"; empty: none
    scale: Scale = "linear"
    low: float | None = None
    high: float | None = None
    ticks: TickStyle = "plain"
    one: float = 1.0  # data divided by this make the tick labels: 2**30 for bytes shown in GiB
    unit: str = ""  # of the data themselves, for the table: "bytes"
    names: tuple[str, ...] = ()
    visible: bool = True
    grid: bool = True
    down: bool = False  # y grows downwards, as the rows of a table do


HIDDEN = Axis("", visible=False, grid=False, down=True)  # for cells and words: rows are counted from the top


class Segment(Struct, frozen=True):
    """A share of a bar. Negative values count as nothing."""

    series: str  # as the legend names it
    value: float
    colour: str
    label: str = ""  # written inside, where there is room
    low: float | None = None  # bounds of an estimate, for the table
    high: float | None = None
    hover: str = ""  # exact value, then formula, one per line
    formula: str = ""
    source: str = ""
    key: str = ""  # what a click reports


class Bar(Struct, frozen=True):
    """Segments stacked from `start` along x, in the row of a category of y."""

    category: str
    segments: tuple[Segment, ...]
    label: str = ""  # after its end: the total
    start: float = 0.0
    hover: str = ""  # of the label
    label_colour: str = "text"


class Line(Struct, frozen=True):
    """A curve. Outside `fitted` (a range of x) it is dashed: extrapolated."""

    series: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str
    label: str = ""  # written on the line
    label_at: float = 1.0  # where, from 0 at its start to 1 at its end, if there is room
    label_side: Side = "any"  # of the curve, if there is room
    dash: Dash = "solid"
    width: float = 2.0
    fitted: tuple[float, float] | None = None
    hover: str = ""
    formula: str = ""
    source: str = ""
    key: str = ""


class Band(Struct, frozen=True):
    """What is uncertain: the area between two curves over xs."""

    series: str
    xs: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    colour: str
    hover: str = ""
    source: str = ""


class Point(Struct, frozen=True):
    """One thing at a place. Labels are placed by falling priority while there is room; hover has the rest."""

    x: float
    y: float
    label: str
    colour: str
    series: str = ""
    priority: float = 0.0
    marker: Marker = "dot"
    hover: str = ""
    source: str = ""
    key: str = ""


class Rule(Struct, frozen=True):
    """A limit: a straight line across the plot at a value of one axis, named on the line."""

    axis: Literal["x", "y"]
    value: float
    label: str
    colour: str = "text"
    dash: Dash = "solid"
    hover: str = ""
    source: str = ""


class Cell(Struct, frozen=True):
    """A small box with a text, such as one bit. x and y are its centre, width and height in data units."""

    x: float
    y: float
    text: str
    colour: str
    strong: bool = False  # filled with the colour rather than tinted with it
    width: float = 1.0
    height: float = 1.0
    series: str = ""
    hover: str = ""
    key: str = ""


class Text(Struct, frozen=True):
    """Words at a place of the plot."""

    x: float
    y: float
    text: str
    colour: str = "text"
    align: Align = "left"
    bold: bool = False
    hover: str = ""
    series: str = ""  # names the table's row, where the words are a value
    grounded: bool = False  # on a ground of panel, where a line may run through


Mark = Bar | Line | Band | Point | Rule | Cell | Text


class Figure(Struct, frozen=True):
    """One chart: what it shows, where that comes from, and its axes and marks, drawn in their order.

    `beside` holds figures drawn in columns to its right (small multiples), each under its `heading`.
    """

    name: str  # as the command line calls it: "memory"
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    subtitle: str = ""
    source: str = ""  # the line below: where the numbers come from
    description: str = ""  # the sentence a screen reader speaks
    heading: str = ""
    beside: tuple["Figure", ...] = ()
    legend: bool = True
    note: str = ""  # one line shown below the plot, in the window too
    table: tuple[
        tuple[str | int | float, ...], ...
    ] = ()  # what CSV holds, header first, where marks would not do


def legend_entries(figure: Figure) -> tuple[tuple[str, str, type], ...]:
    """(series, colour key, kind of mark) of the figure and those beside it, each series once, in order.

    Terms of memory stand in the order of their bars, whichever bar is the first to have them.
    """
    entries: dict[str, tuple[str, type]] = {}
    for part in (figure, *figure.beside):
        for mark in part.marks:
            for item in mark.segments if isinstance(mark, Bar) else (mark,):
                if not isinstance(item, Rule | Text) and item.series:
                    entries.setdefault(item.series, (item.colour, type(item)))
    places = {term: place for place, term in enumerate(TERM_TITLES)}
    ordered = sorted(entries.items(), key=lambda entry: places.get(entry[1][0], len(places)))
    return tuple((series, *look) for series, look in ordered)

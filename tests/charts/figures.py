"""Figures with every kind of mark, for the tests of drawing and exporting."""

from llmplanner.charts.figure import (
    HIDDEN,
    Axis,
    Band,
    Bar,
    Cell,
    Figure,
    Line,
    Point,
    Rule,
    Segment,
    Text,
)

GIB = 2**30
SIZES = (
    ("Weights", 16_060_522_496, "weights"),
    ("KV cache", 4 * GIB, "kv_cache"),
    ("Activations", 665_719_930, "activations"),
    ("Logits", 1_000_000, "logits"),
    ("Runtime", 891_289_600, "runtime"),
)


def memory() -> Figure:
    """One device: a stacked bar with thin segments, two limits that lie close together."""
    segments = tuple(
        Segment(name, size, colour, f"{name} {size / GIB:.2f}", formula=f"{size} B", source="a paper")
        for name, size, colour in SIZES
    )
    return Figure(
        name="memory",
        title="Memory of Llama 3.1 8B on RTX 4090",
        x=Axis("memory (GiB)", one=GIB, unit="bytes"),
        y=Axis("", "category", names=("RTX 4090",)),
        marks=(
            Bar("RTX 4090", segments, "20.40 GiB"),
            Rule("x", 24 * GIB, "Card 24.00 GiB"),
            Rule("x", 23 * GIB, "Free now 23.00 GiB", "warn", "dashed"),
        ),
        subtitle="Serving 1 sequence of 32,768 tokens",
        source="From the model's tensors",
        description="RTX 4090 needs 20.40 GiB.",
    )


def scaling() -> Figure:
    """Log axes, a band, a curve that is extrapolated, and points that crowd."""
    xs = tuple(10 ** (7.5 + 0.1 * step) for step in range(46))
    points = (
        Point(10 ** (8 + 0.13 * n), 10 ** (11 + (n * 7 % 23) / 10), f"Model {n}", "decoder", "decoder", -n)
        for n in range(30)
    )
    return Figure(
        name="scaling",
        title="Parameters and tokens",
        x=Axis("parameters N", "log10", ticks="si"),
        y=Axis("training tokens D", "log10", 1e9, 1e14, ticks="si"),
        marks=(
            Band("Besiroglu", xs, tuple(12 * x for x in xs), tuple(30 * x for x in xs), "besiroglu"),
            Line(
                "Besiroglu",
                xs,
                tuple(20 * x for x in xs),
                "besiroglu",
                "Besiroglu 2024",
                fitted=(1e8, 1.6e10),
            ),
            *points,
            Point(8e9, 1.6e11, "your plan", "accent", priority=99, marker="plan"),
        ),
        source="Besiroglu et al. 2024",
    )


def bits() -> Figure:
    """Cells with texts, on hidden axes."""
    return Figure(
        name="bits",
        title="pi in BF16",
        x=HIDDEN,
        y=HIDDEN,
        marks=(
            *(
                Cell(place, 0, bit, "fraction", bit == "1", key=str(place))
                for place, bit in enumerate("0100000001001001")
            ),
            Text(17, 0, "3.140625", hover="error 9.7e-4"),
        ),
        source="IEEE 754",
    )


ALL = {figure.name: figure for figure in (memory(), scaling(), bits())}

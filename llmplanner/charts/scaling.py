"""Parameters against training tokens: the compute-optimal lines of the laws, and who trained where."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from llmplanner.charts.figure import Axis, Band, Figure, Line, Mark, Point, Side
from llmplanner.charts.ticks import power, raised
from llmplanner.core.flops import PF_DAY
from llmplanner.core.quantities import count_text, significant
from llmplanner.core.scaling import Law, RatioRule, optimum
from llmplanner.core.training_run import TrainingRun

BUDGETS = np.geomspace(1e15, 1e30, 91)  # FLOPs along a law's line; the axes cut it
ISO_COMPUTE = (1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26)
SIZES = (2e7, 2e12)  # parameters on the x axis, widened by what is shown
DATA = (1.5e10, 2e14)  # tokens on the y axis
NAMED_FIRST = ("Gopher 280B", "Chinchilla 70B")
WIDTHS = {"hoffmann1": 5.0}  # pixels: the rule lies on it, and both are seen
IN_LEGEND = {"hoffmann1": "Hoffmann 1", "rule20": "20 per parameter, a rule"}  # as the one lies on the other
NAMED = ("hoffmann3", "besiroglu", "hoffmann1", "kaplan", "rule20")  # in this order each finds room
LABEL_AT = {"hoffmann3": 0.85, "hoffmann1": 1.0, "besiroglu": 0.95, "kaplan": 1.0}
LABEL_SIDE: dict[str, Side] = {
    "hoffmann3": "above",
    "hoffmann1": "above",
    "besiroglu": "below",
}  # as they lie
LEFT_OUT = {"hoffmann2", "hoffmann3-printed"}  # the one lies on approach 1, the other rounds approach 3


def scaling_figure(
    laws: Sequence[Law], runs: Sequence[TrainingRun], parameters: float, tokens: float
) -> Figure:
    """Each law's line of best models, dashed where it goes beyond the runs that it was fitted on."""
    drawn = [law for law in laws if law.name not in LEFT_OUT]
    marks: list[Mark] = [band for law in drawn for band in _band(law)]
    marks += [_line(law) for law in sorted(drawn, key=lambda law: NAMED.index(law.name))]
    marks += [*_iso_compute()]
    marks += [_point(run) for run in runs]
    compute = 6.0 * parameters * tokens
    hover = (
        f"your plan\n{count_text(parameters)} parameters, {count_text(tokens)} tokens\n"
        f"{significant(tokens / parameters)} tokens per parameter, {raised(significant(compute))} FLOPs"
    )
    marks.append(Point(parameters, tokens, "your plan", "accent", priority=10, marker="plan", hover=hover))
    return Figure(
        name="scaling",
        title="Parameters and tokens: the compute-optimal lines, and who trained where",
        x=_axis("parameters that work on a token", SIZES, parameters, "parameters"),
        y=_axis("training tokens", DATA, tokens, "tokens"),
        marks=tuple(marks),
        source="; ".join(law.title for law in drawn) + "; runs: papers and model cards (training_runs.toml)",
        description=(
            f"Your plan trains {count_text(parameters)} parameters on {count_text(tokens)} tokens, "
            f"{significant(tokens / parameters)} per parameter, among {len(runs)} published runs."
        ),
        note=f"Dashed: extrapolated. {_gopher_and_chinchilla(runs)}",
    )


def _gopher_and_chinchilla(runs: Sequence[TrainingRun]) -> str:
    """The comparison that is often told as 4 times more data for the same compute, as the papers have it."""
    known = {run.name: run for run in runs}
    gopher, chinchilla = (known[name] for name in NAMED_FIRST)
    fewer = significant(gopher.parameters / chinchilla.parameters, 2)
    more = significant(chinchilla.tokens / gopher.tokens, 2)
    return (
        f"Chinchilla: {fewer} times fewer parameters, {more} times more tokens than Gopher; the compute is "
        f"not the same, {raised(significant(chinchilla.flops))} against "
        f"{raised(significant(gopher.flops))} FLOPs by 6 N D."
    )


def _axis(label: str, ends: tuple[float, float], shown: float, unit: str) -> Axis:
    """A log axis that holds the plan too."""
    low, high = min(ends[0], shown / 2), max(ends[1], shown * 2)
    return Axis(label, "log10", low=low, high=high, ticks="si", unit=unit)


def _iso_compute() -> Iterator[Line]:
    """Faint lines of equal compute, named by it."""
    for compute in ISO_COMPUTE:
        words = f"{power(10, round(np.log10(compute)))} FLOPs"
        sizes = np.geomspace(compute / 6 / DATA[1], compute / 6 / DATA[0], 2)
        hover = f"{words} = {significant(compute / PF_DAY)} PF-days by 6 N D"
        yield Line(
            "",
            _plain(sizes),
            _plain(compute / 6 / sizes),
            "line",
            words,
            dash="dotted",
            width=1.0,
            hover=hover,
        )


def _line(law: Law) -> Line:
    best = optimum(law, BUDGETS)
    sizes = np.asarray(best.parameters)
    within = sizes[np.broadcast_to(np.asarray(best.in_range), sizes.shape)]
    rule = isinstance(law, RatioRule)
    fitted = None if rule or not within.size else (float(within.min()), float(within.max()))
    hover = f"{law.title}\n{law.note}" if law.note else law.title
    return Line(
        IN_LEGEND.get(law.name, ""),
        _plain(sizes),
        _plain(np.asarray(best.tokens)),
        law.name,
        label="" if rule else law.short,
        label_at=LABEL_AT.get(law.name, 1.0),
        label_side=LABEL_SIDE.get(law.name, "any"),
        dash="dotted" if rule else "dashed" if fitted is None else "solid",
        width=WIDTHS.get(law.name, 2.0),
        fitted=fitted,
        hover=hover,
        source=law.source,
    )


def _band(law: Law) -> Iterator[Band]:
    """Where the law's best model may lie: at each budget, sizes from low to high and the tokens left."""
    best = optimum(law, BUDGETS)
    if best.parameters_low is None or best.parameters_high is None:
        return
    small, large = np.asarray(best.parameters_low), np.asarray(best.parameters_high)
    sizes = np.asarray(best.parameters)
    upper = _along(sizes, small, BUDGETS / 6 / small)
    lower = _along(sizes, large, BUDGETS / 6 / large)
    yield Band(
        f"{law.short}, 80 % band",
        _plain(sizes),
        _plain(lower),
        _plain(upper),
        law.name,
        hover=f"{law.title}\n{law.note}",
        source=law.source,
    )


def _along(
    xs: NDArray[np.float64], known_xs: NDArray[np.float64], known_ys: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The curve through known points at other places; straight between them on log axes."""
    values: NDArray[np.float64] = np.exp(np.interp(np.log(xs), np.log(known_xs), np.log(known_ys)))
    return values


def _point(run: TrainingRun) -> Point:
    size = run.active or run.parameters
    priority = 5.0 if run.name in NAMED_FIRST else float(run.landmark)
    note = f"\n{run.note}" if run.note else ""
    active = " that a token uses" if run.active is not None else ""
    return Point(
        size,
        run.tokens,
        run.name,
        run.kind.value,
        series=run.kind.value,
        priority=priority,
        marker="diamond" if run.name in NAMED_FIRST else "dot",
        hover=(
            f"{run.name}, {run.year}\n"
            f"{count_text(size)} parameters{active}, {count_text(run.tokens)} tokens\n"
            f"{significant(run.tokens_per_parameter)} tokens per parameter{note}"
        ),
        source=run.source,
    )


def _plain(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.tolist())

"""Predicted loss against compute, parameters and data, one curve for each law that predicts one."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from llmplanner.charts.figure import Axis, Band, Figure, Line, Mark, Point
from llmplanner.core.quantities import count_text, significant
from llmplanner.core.scaling import KaplanLaw, Law, ParametricLaw, Prediction, optimum, prediction

UNLIMITED = 1e60  # tokens or parameters: what is left of their term is below any printed digit
COMPUTE = (1e18, 1e27)
SIZES = (1e7, 1e13)
DATA = (1e9, 1e15)
STEPS = 81
SHOWN = ("besiroglu", "hoffmann3", "kaplan")
LABEL_AT = {"besiroglu": 1.0, "hoffmann3": 0.9, "kaplan": 0.3}  # where the curves lie apart
CAUTION = "Losses of two laws never compare. Band: 80 %. Dashed: extrapolated."
LossLaw = KaplanLaw | ParametricLaw
Values = NDArray[np.float64]
Ends = tuple[float, float]


class Curve(Struct, frozen=True):
    """A law's losses over the places of a panel, its band if any, and the places it was fitted on."""

    losses: Values
    band: tuple[Values, Values] | None
    fitted: Ends | None


def loss_figure(laws: Sequence[Law], default: Law, parameters: float, tokens: float) -> Figure:
    """Three panels: the least loss of a budget, and the bounds that size and data set by themselves.

    The plan's dot is its loss by `default`: it lies above each curve, for it is best in none of the three.
    """
    shown = [law for law in laws if law.name in SHOWN and isinstance(law, KaplanLaw | ParametricLaw)]
    compute = 6.0 * parameters * tokens
    plan = prediction(default, parameters, tokens).loss
    loss = None if plan is None else float(plan)
    by_data = _panel("Data, size unlimited", _axis("tokens", DATA, tokens), shown, _by_data, (tokens, loss))
    by_size = _panel(
        "Size, data unlimited", _axis("parameters", SIZES, parameters), shown, _by_size, (parameters, loss)
    )
    budget = Axis(
        "compute (FLOPs)",
        "log10",
        low=min(COMPUTE[0], compute / 10),
        high=max(COMPUTE[1], compute * 10),
        ticks="power",
        unit="FLOPs",
    )
    first = _panel("Compute, best split", budget, shown, _by_compute, (compute, loss))
    said = "" if loss is None else f" Your plan: {loss:.3f} by {default.title}."
    return Figure(
        name="loss",
        title="Loss against compute, parameters and data",
        heading=first.heading,
        x=first.x,
        y=first.y,
        marks=first.marks,
        beside=(by_size, by_data),
        legend=False,
        source="; ".join(law.title for law in shown) + " (scaling_laws.toml)",
        description=(
            f"Predicted loss for {count_text(parameters)} parameters and {count_text(tokens)} tokens.{said}"
        ),
        note=(
            "Each law has its own data and tokenizer: compare the slopes of two laws, never their heights. "
            f"Dashed: beyond the fitted runs.{said}"
        ),
    )


def one_panel(figure: Figure, place: int) -> Figure:
    """One of the three panels as a figure of its own."""
    part = (figure, *figure.beside)[place]
    return replace(
        part,
        title=f"Loss in nats per token: {part.heading.lower()}",
        y=replace(part.y, label=""),
        heading="",
        beside=(),
        source=figure.source,
        description=figure.description,
        note=CAUTION,
    )


def _axis(label: str, ends: Ends, shown: float) -> Axis:
    low, high = min(ends[0], shown / 10), max(ends[1], shown * 10)
    return Axis(label, "log10", low=low, high=high, ticks="si", unit=label)


def _panel(
    heading: str,
    x: Axis,
    laws: Sequence[LossLaw],
    curve: Callable[[LossLaw, Values], Curve],
    plan: tuple[float, float | None],
) -> Figure:
    xs = np.geomspace(x.low or 1, x.high or 1, STEPS)
    curves = [(law, curve(law, xs)) for law in laws]
    marks: list[Mark] = [
        _line(law, xs, one) for law, one in curves
    ]  # first: the legend shows them, not the band
    marks += [band for law, one in curves for band in _band(law, xs, one)]
    place, loss = plan
    if loss is not None:
        hover = f"your plan: {loss:.4f}\nat {significant(place)} {x.unit}"
        marks.append(Point(place, loss, "your plan", "accent", priority=10, marker="plan", hover=hover))
    return Figure(
        name="loss",
        title=heading,
        heading=heading,
        x=x,
        y=Axis("loss (nats per token)", low=1.6, high=3.6, unit="nats per token"),
        marks=tuple(marks),
        legend=False,
    )


def _by_compute(law: LossLaw, xs: Values) -> Curve:
    best = optimum(law, xs)
    inside = xs[np.broadcast_to(np.asarray(best.in_range), xs.shape)]
    return _curve(best, (float(inside.min()), float(inside.max())) if inside.size else None)


def _by_size(law: LossLaw, xs: Values) -> Curve:
    if isinstance(law, KaplanLaw):
        return Curve(np.asarray(law.by_parameters.at(xs)), None, law.fitted.parameters)
    return _curve(prediction(law, xs, UNLIMITED), law.fitted.parameters)


def _by_data(law: LossLaw, xs: Values) -> Curve:
    if isinstance(law, KaplanLaw):
        return Curve(np.asarray(law.by_tokens.at(xs)), None, law.fitted.tokens)
    return _curve(prediction(law, UNLIMITED, xs), law.fitted.tokens)


def _curve(predicted: Prediction, fitted: Ends | None) -> Curve:
    low, high = predicted.loss_low, predicted.loss_high
    band = None if low is None or high is None else (np.asarray(low), np.asarray(high))
    return Curve(np.asarray(predicted.loss), band, fitted)


def _line(law: LossLaw, xs: Values, curve: Curve) -> Line:
    return Line(
        law.short,
        tuple(xs.tolist()),
        tuple(curve.losses.tolist()),
        law.name,
        label=law.short,
        label_at=LABEL_AT[law.name],
        dash="dashed" if curve.fitted is None else "solid",
        fitted=curve.fitted,
        hover=f"{law.title}\n{law.note}",
        source=law.source,
    )


def _band(law: LossLaw, xs: Values, curve: Curve) -> Iterator[Band]:
    if curve.band is not None:
        lows, highs = (tuple(side.tolist()) for side in curve.band)
        hover = f"{law.title}\n{law.note}"
        yield Band(law.short, tuple(xs.tolist()), lows, highs, law.name, hover, law.source)

"""Training compute of published models, and where the plan stands among them."""

from collections.abc import Sequence

from llmplanner.charts.figure import Axis, Figure, Mark, Point
from llmplanner.charts.ticks import raised
from llmplanner.core.flops import PF_DAY
from llmplanner.core.quantities import count_text, significant
from llmplanner.core.training_run import TrainingRun

SOURCE = (
    "Papers and model cards (training_runs.toml); compute: 6 N D over the parameters that a token uses, "
    "T5 3 N D; 1 PF-day = 8.64×10¹⁹ FLOPs"
)
KIND_PRIORITY = {
    "encoder": 0.5,
    "encoder-decoder": 0.4,
    "decoder": 0.0,
}  # few of these, so they are named sooner


def budget_figure(runs: Sequence[TrainingRun], parameters: float, tokens: float, flops: float) -> Figure:
    """PF-days over all parameters of published runs, on log axes, and of the plan.

    All computed alike, by 6 N D of the parameters that a token uses, so that they compare.
    """
    marks: list[Mark] = [_run_point(run) for run in runs]
    marks.append(
        Point(
            parameters,
            flops / PF_DAY,
            "your plan",
            "accent",
            priority=10,
            marker="plan",
            hover=f"your plan\n{_figures(parameters, tokens, flops)}",
        )
    )
    days = significant(flops / PF_DAY)
    return Figure(
        name="budget",
        title="Training compute of published models",
        x=Axis("parameters (total)", "log10", ticks="si", unit="parameters"),
        y=Axis("PF-days", "log10", ticks="si", unit="PF-days"),
        marks=tuple(marks),
        source=SOURCE,
        description=(
            f"Your plan, {count_text(parameters)} parameters on {count_text(tokens)} tokens, takes "
            f"{days} PF-days; around it {len(runs)} published runs by kind of model."
        ),
    )


def _run_point(run: TrainingRun) -> Point:
    published = (
        f"\npublished: {raised(significant(run.flops_published))} FLOPs"
        if run.flops_published is not None
        else ""
    )
    active = f" ({count_text(run.active)} active)" if run.active is not None else ""
    note = f"\n{run.note}" if run.note else ""
    return Point(
        run.parameters,
        run.flops / PF_DAY,
        run.name,
        run.kind.value,
        series=run.kind.value,
        priority=(1.0 if run.landmark else 0.0) + KIND_PRIORITY[run.kind.value],
        hover=(
            f"{run.name}, {run.year}{active}\n"
            f"{_figures(run.parameters, run.tokens, run.flops)}{published}{note}"
        ),
        source=run.source,
    )


def _figures(parameters: float, tokens: float, flops: float) -> str:
    return (
        f"{count_text(parameters)} parameters, {count_text(tokens)} tokens\n"
        f"{raised(significant(flops))} FLOPs = {significant(flops / PF_DAY)} PF-days"
    )

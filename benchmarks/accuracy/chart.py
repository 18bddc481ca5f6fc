"""The chart of the page: the error of each planner on each kind of row."""

from collections.abc import Iterator, Sequence

from benchmarks.accuracy.scores import Line, Score
from llmplanner.charts.figure import Axis, Figure, Mark, Marker, Point

LEAST, MOST = 0.001, 3000.0  # per cent, as it is drawn; what is exact stands at the left
OURS = "LLM Planner"
COLOURS = {
    "textbook": "optimizer",
    "accelerate": "activations",
    "deepspeed": "logits",
    "fitcheck-llm": "kv_cache",
    "hf-mem": "gradients",
    "llm-analysis": "hoffmann2",
    "whichllm": "kaplan",
}


def figure(lines: Sequence[Line]) -> Figure:
    """A row for each measured column, with the 90th percentile of each planner's error."""
    drawn = [line for line in lines if line.score.answered]
    exact = sum(line.score.p90 == 0 for line in drawn)
    return Figure(
        name="accuracy",
        title="How far off: nine rows in ten are nearer than this",
        subtitle="90th percentile of the error of each planner on the rows that it answers, in per cent",
        x=Axis("error (%), exact at the left edge", "log10", LEAST, MOST),
        y=Axis("", "category", names=tuple(line.topic.title for line in drawn), grid=False),
        marks=tuple(mark for place, line in enumerate(drawn) for mark in _marks(place, line)),
        source="docs/accuracy.md says how each was asked, and has medians and worst rows",
        description=f"In {exact} of {len(drawn)} measured columns nine rows in ten are predicted exactly.",
    )


def _marks(place: int, line: Line) -> Iterator[Mark]:
    for peer in line.peers:
        yield _point(place, peer.name, peer.theirs, COLOURS[peer.name])
    yield _point(place, OURS, line.score, "accent")


def _point(place: int, name: str, score: Score, colour: str) -> Point:
    error = 100 * (score.p90 or 0.0)
    marker: Marker = "diamond" if name == OURS else "dot"
    hover = f"{name}\n{error:.2f} % of {score.answered:,} rows"
    drawn = min(max(error, LEAST), MOST)
    return Point(drawn, float(place), "", colour, series=name, marker=marker, hover=hover)

"""Writes docs/accuracy.md and docs/accuracy.png."""

import sys

from benchmarks.accuracy.chart import figure
from benchmarks.accuracy.measured import all_measured
from benchmarks.accuracy.others import asked, others
from benchmarks.accuracy.page import page
from benchmarks.accuracy.scores import Line, peers
from benchmarks.reference import REFERENCE, ROOT
from llmplanner.charts import export
from llmplanner.charts.render import Look

WIDTH, ROW, FRAME = 900, 34, 150  # pixels


def main() -> int:
    """Writes the page and its chart; the exit code."""
    if not REFERENCE.is_dir():
        print(f"The folder of reference data is not there: {REFERENCE}.", file=sys.stderr)
        return 1
    answers = others()
    lines = []
    for topic, entries in all_measured():
        given = answers.get((topic.table, topic.column), {})
        lines.append(Line(topic, entries, peers(entries, given)))
    docs = ROOT / "docs"
    export.write(docs / "accuracy.md", page(lines, asked()).encode())
    look = Look(width=WIDTH, height=FRAME + ROW * len(lines), dpi=144)
    export.save(figure(lines), docs / "accuracy.png", look)
    for line in lines:
        score = line.score
        errors = "  ".join("" if error is None else f"{error:.4%}" for error in (score.median, score.p90))
        print(f"{line.topic.table:22} {line.topic.column:24} {score.answered:6,} {errors}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

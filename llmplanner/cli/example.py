"""What `llmplanner` alone answers where no window can open: a verdict, its chart, and how to go on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llmplanner import plans
from llmplanner.charts import export
from llmplanner.charts.memory import memory_figure
from llmplanner.cli.fit import verdict_text
from llmplanner.cli.output import paragraph, print_lines, table
from llmplanner.cli.plan_options import Stated
from llmplanner.cli.planning import Planned, planned_from
from llmplanner.cli.program import program
from llmplanner.core.errors import BadInput
from llmplanner.core.verdict import Verdict, verdict
from llmplanner.plan_fields import FIELDS
from llmplanner.plans import EXAMPLE

PICTURE = Path("llmplanner-memory.png")  # in the working directory
GO_ON = (
    ("fit MODEL --gpu NAME", "does it fit"),
    ("models", "the models of the catalogue"),
    ("gpus", "the GPUs of this computer"),
    ("--help", "all commands"),
)


def answer(arguments: Sequence[str]) -> int:
    """Prints the plan of the file that was named, or the example's. Raises BadInput for another file."""
    found = planned_from(_stated(Path(arguments[0])) if arguments else Stated(EXAMPLE, frozenset(FIELDS)))
    judged = verdict(found.plan, found.estimate)
    shown = "the plan" if arguments else "an example plan"
    print_lines(
        *paragraph(f"No window can open here, for there is no display; this is {shown} in the terminal."),
        "",
        *verdict_text(found, judged),
        "",
        *paragraph(_picture(found, judged)),
        "",
        "How to go on:",
        *table((f"  {program()} {command}", what) for command, what in GO_ON),
        *paragraph("On a computer with a display, the same command opens the window."),
    )
    return 0


def _stated(path: Path) -> Stated:
    """The plan in a file, or the example's with the model in it. Raises BadInput."""
    if path.name.endswith(plans.SUFFIX):
        return Stated(plans.read(path), frozenset(FIELDS))
    return Stated(replace(EXAMPLE, model=str(path)))


def _picture(found: Planned, judged: Verdict) -> str:
    """Writes the chart and says where, or why not."""
    try:
        export.save(memory_figure(found.plan, found.estimate, judged), PICTURE)
    except BadInput as error:
        return f"The chart was not written. {error}"
    return f"Its chart is in {PICTURE.resolve()}."

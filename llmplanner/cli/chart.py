"""`llmplanner chart`: the charts of the window as files."""

import argparse
import importlib
import re
from collections.abc import Callable
from pathlib import Path

from llmplanner import comparison, compose
from llmplanner.charts import export
from llmplanner.charts.bits import bits_figure
from llmplanner.charts.budget import budget_figure
from llmplanner.charts.figure import Figure
from llmplanner.charts.formats import formats_figure
from llmplanner.charts.limits import EXAMPLE as EXAMPLE_LIMITS
from llmplanner.charts.limits import limits_figure
from llmplanner.charts.loss import loss_figure
from llmplanner.charts.memory import memory_figure
from llmplanner.charts.memory_devices import devices_figure
from llmplanner.charts.memory_phases import phases_figure
from llmplanner.charts.memory_rivals import rivals_figure
from llmplanner.charts.palette import THEMES
from llmplanner.charts.ranges import ranges_figure
from llmplanner.charts.scaling import scaling_figure
from llmplanner.cli.bits import NEGATIVE
from llmplanner.cli.output import print_json, print_lines, table
from llmplanner.cli.plan_options import add_plan_arguments, stated
from llmplanner.cli.planning import planned, without_effect
from llmplanner.core.budget import Budget
from llmplanner.core.cost import Limits, limit_uses
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import parse_count
from llmplanner.core.stored import in_every_format, read
from llmplanner.core.verdict import verdict
from llmplanner.models.laws import laws
from llmplanner.models.runs import training_runs
from llmplanner.plans import EXAMPLE

OF_MEMORY = (
    "memory",
    "memory-phases",
    "memory-devices",
    "memory-engines",
    "formats",
)  # charts that a plan's task decides about
VALUE = "pi"  # of the charts of a value, where none is stated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The chart's name, the plan or the value that it is of, and the file."""
    parser._negative_number_matcher = NEGATIVE  # noqa: SLF001 - argparse's own takes -1/3 and -inf for options
    parser.add_argument("name", nargs="?", metavar="NAME", help="the chart; --list names them")
    parser.add_argument("--list", action="store_true", help="name the charts")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file: .png, .svg, .pdf or .csv")
    parser.add_argument("--size", default="800x450", metavar="WxH", help="pixels at 96 per inch: 800x450")
    parser.add_argument("--dpi", default="192", metavar="N", help="dots per inch of a .png: 192")
    parser.add_argument("--theme", default="light", metavar="NAME", help="light or dark")
    add_plan_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the file and says where it is. Raises BadInput; then no file is left behind."""
    if arguments.list:
        _list(as_json=arguments.json)
        return 0
    if arguments.name not in CHARTS:
        asked = "Name a chart" if arguments.name is None else f"There is no chart {arguments.name!r}"
        raise BadInput(f"{asked}; there are {', '.join(CHARTS)}.", "name")
    path = _path(arguments.output)
    _, make = CHARTS[arguments.name]
    figure = make(arguments)
    _save(figure, path, arguments)
    ignored = stated(arguments, EXAMPLE).ignored if arguments.name in OF_MEMORY else ()
    if arguments.json:
        told = {"file": str(path), "title": figure.title, "source": figure.source}
        print_json({**told, "ignored": list(ignored)})
    else:
        print_lines(f"{figure.title}: written to {path}.", *without_effect(ignored))
    return 0


def _list(*, as_json: bool) -> None:
    if as_json:
        print_json({"charts": [{"name": name, "title": title} for name, (title, _) in CHARTS.items()]})
    else:
        print_lines(*table((name, title) for name, (title, _) in CHARTS.items()))


def _path(text: str | None) -> Path:
    if text is None:
        raise BadInput("Say where the chart is to be written, as in -o chart.png.", "output")
    path = Path(text)
    export.check_suffix(path)
    return path


def _save(figure: Figure, path: Path, arguments: argparse.Namespace) -> None:
    if path.suffix.lower() == ".csv":
        export.save(figure, path)
        return
    width, height = _size(arguments.size)
    dpi = _dpi(arguments.dpi)
    export.check_size(width, height, dpi)
    if arguments.theme not in THEMES:
        raise BadInput(f"--theme takes {' or '.join(THEMES)}; not {arguments.theme!r}.", "theme")
    try:
        render = importlib.import_module("llmplanner.charts.render")  # Qt, which a .csv does without
    except ImportError as error:
        raise BadInput(export.missing_library(error)) from error
    export.save(figure, path, render.Look(width, height, dpi, THEMES[arguments.theme]))


def _dpi(text: str) -> int:
    try:
        return parse_count(text, low=export.LEAST_DPI, high=export.MOST_DPI)
    except BadInput as error:
        raise BadInput(f"--dpi: {error}", "dpi") from error


def _size(text: str) -> tuple[int, int]:
    sides = re.fullmatch(r"(\d{1,6})\s*[x×]\s*(\d{1,6})", text)
    if sides is None:
        raise BadInput(f"--size takes WIDTHxHEIGHT in pixels, such as 800x450; not {text!r}.", "size")
    return int(sides[1]), int(sides[2])


# What each chart is of


def _memory(arguments: argparse.Namespace) -> Figure:
    found = planned(arguments, EXAMPLE)
    return memory_figure(found.plan, found.estimate, verdict(found.plan, found.estimate))


def _phases(arguments: argparse.Namespace) -> Figure:
    found = planned(arguments, EXAMPLE)
    return phases_figure(found.plan, found.estimate)


def _devices(arguments: argparse.Namespace) -> Figure:
    found = planned(arguments, EXAMPLE)
    return devices_figure(found.plan, found.estimate)


def _rivals(arguments: argparse.Namespace) -> Figure:
    found = planned(arguments, EXAMPLE)
    return rivals_figure(
        comparison.compared(found.draft), comparison.each(found.draft, found.plan.model, found.local)
    )


def _formats(arguments: argparse.Namespace) -> Figure:
    return formats_figure(planned(arguments, EXAMPLE).plan)


def _bits(arguments: argparse.Namespace) -> Figure:
    typed = read(arguments.model or VALUE)
    return bits_figure(typed, in_every_format(typed, None))


def _ranges(arguments: argparse.Namespace) -> Figure:
    typed = read(arguments.model or VALUE)
    return ranges_figure(typed, in_every_format(typed, None))


def _budget(arguments: argparse.Namespace) -> Figure:
    budget = _budget_of(arguments)
    return budget_figure(training_runs(), budget.parameters, budget.tokens, budget.flops)


def _limits(arguments: argparse.Namespace) -> Figure:
    """The limits of the plan; without any, the example that the window shows."""
    draft, budget = planned(arguments, EXAMPLE).draft, _budget_of(arguments)
    if budget.run is None:
        raise BadInput(
            "No dense peak is known for this card at this precision; name another with --gpu.", "gpu"
        )
    own = Limits(draft.limit_devices, draft.limit_days, draft.limit_cost)
    uses = limit_uses(budget.run, EXAMPLE_LIMITS if own == Limits() else own)
    if not uses:
        raise BadInput("The money at hand needs a price: add --set price_per_hour=2.", "price_per_hour")
    return limits_figure(uses)


def _scaling(arguments: argparse.Namespace) -> Figure:
    budget = _budget_of(arguments)
    return scaling_figure(tuple(laws().values()), training_runs(), budget.size, budget.tokens)


def _loss(arguments: argparse.Namespace) -> Figure:
    budget, known = _budget_of(arguments), tuple(laws().values())
    return loss_figure(known, known[0], budget.size, budget.tokens)


def _budget_of(arguments: argparse.Namespace) -> Budget:
    found = planned(arguments, EXAMPLE)
    return compose.budget_of(found.draft, found.plan.model, found.plan.machine)


CHARTS: dict[str, tuple[str, Callable[[argparse.Namespace], Figure]]] = {
    "memory": ("Memory on each device, term by term, against its limits", _memory),
    "memory-phases": ("The phases of a step or an answer in time, and which is the peak", _phases),
    "memory-devices": ("Devices that differ, worst first, and what the host keeps", _devices),
    "memory-engines": ("The plan under each engine; in training, by method or precision", _rivals),
    "bits": ("The bits of a value in each number format", _bits),
    "ranges": ("The range of each number format, and a value in it", _ranges),
    "formats": ("The plan's memory at each number format", _formats),
    "budget": ("Training compute of published models, and of the plan", _budget),
    "limits": ("How much of the GPUs, the time and the money at hand a run takes", _limits),
    "scaling": ("Parameters and tokens: compute-optimal lines and published models", _scaling),
    "loss": ("Loss against compute, parameters and data", _loss),
}

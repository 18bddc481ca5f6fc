"""`llmplanner check`: predicts every row of a table of measurements, and says how far off it is."""

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from llmplanner.charts import export
from llmplanner.check.run import Report, check
from llmplanner.check.summary import Summary
from llmplanner.check.table import no_error
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.core.errors import BadInput, short

DESCRIPTION = """\
CSV is a table of measurements; its kind is known by its columns: params, kv, training, llamacpp_quant_sizes,
llamacpp_memory_cpu, published_quant_sizes, measured_inference or measured_training. Errors are
|predicted - measured| / measured; of a measured 0 none is taken."""
MOST_REASONS = 5
LONGEST_REASON = 200
HEADING = ("column", "rows", "answered", "median", "90 %", "worst", "in row", "within bounds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The table, where its models are, and where the answers go."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("csv", metavar="CSV", help="the table")
    parser.add_argument(
        "--models",
        metavar="FOLDER",
        help="where the models that rows name are looked up: NAME.json, NAME/config.json or NAME.gguf, in "
        "folders inside it too (default: the folder of the table); then the catalogue. "
        "measured_training names them in config, or else in model",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT.csv", help="write the table with what is predicted, and a note a row"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints how far off the predictions are. Raises BadInput."""
    path = Path(arguments.csv).expanduser()
    out = None if arguments.output is None else Path(arguments.output).expanduser()
    _check_output(path, out)
    report = check(path, _folder(arguments.models))
    if out is not None:
        export.write(out, report.written().encode())
    if arguments.json:
        print_json({"kind": report.kind.name, "columns": [asdict(one) for one in report.summaries]})
    else:
        print_lines(*_text(path, report), *([f"Written to {out}."] if out is not None else []))
    return 0


def _folder(text: str | None) -> Path | None:
    if text is None:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise BadInput(f"{short(text)} is no folder; name the one in which the models lie.", "models")
    return folder


def _check_output(path: Path, out: Path | None) -> None:
    """Raises BadInput before the work for a file that is no table, or is the table itself."""
    if out is None:
        return
    if out.suffix.lower() != ".csv":
        raise BadInput(f"{out} must end in .csv; the answers are a table.", "output")
    if out.resolve() == path.resolve():
        raise BadInput(f"{out} is the table itself; name another file.", "output")


def _text(path: Path, report: Report) -> Iterable[str]:
    count = len(report.rows)
    yield f"{path.name}: {count:,} {'row' if count == 1 else 'rows'} of the kind {report.kind.name}"
    yield from table([HEADING, *map(_row, report.summaries)], "lrrrrrrr")
    for column in report.kind.measured:
        without = sum(no_error(one.row, one.answers, column) for one in report.rows)
        if without:
            yield f"Without an error, {without:,}: {column} is 0 in the table."
    if any(one.answers for one in report.rows) and all(one.median_error is None for one in report.summaries):
        yield f"Nothing to compare with: no row states {' or '.join(report.kind.measured)} above 0."
    reasons = Counter(one.note for one in report.rows if not one.answers)
    for reason, times in reasons.most_common(MOST_REASONS):
        yield from paragraph(f"Not answered, {times:,}: {short(reason, LONGEST_REASON)}")
    rest = len(reasons) - MOST_REASONS
    if rest > 0:
        yield f"and {rest:,} further reasons; -o OUT.csv has them row by row."


def _row(one: Summary) -> tuple[str, ...]:
    errors = (one.median_error, one.p90_error, one.worst_error)
    return (
        one.column,
        f"{one.rows:,}",
        f"{one.answered:,}",
        *map(percent, errors),
        "" if one.worst_row is None else f"{one.worst_row:,}",
        "" if one.band_coverage is None else f"{one.band_coverage:.0%}",
    )


def percent(share: float | None) -> str:
    """An error as people read it."""
    if share is None:
        return ""
    if share == 0:
        return "exact"
    return f"{share:.2%}" if share >= 0.0001 else "< 0.01%"  # noqa: PLR2004 - two decimals

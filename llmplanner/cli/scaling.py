"""`llmplanner scaling`: the best size and tokens for a budget, or the loss of a size, under each law."""

import argparse
from collections.abc import Mapping

from llmplanner.cli.arguments import option_amount
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.core.errors import BadInput
from llmplanner.core.flops import training_flops
from llmplanner.core.quantities import count_text, counted, flops_text
from llmplanner.core.scaling import KaplanLaw, Law, Prediction, RatioRule, optimum, prediction
from llmplanner.models.laws import law_named, laws

LEAST = 1e12  # FLOPs: a millionth of the smallest runs that laws were fitted on; losses below mean nothing
BEYOND = "*"  # marks a law that is asked about sizes it was not fitted on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A budget, or a size and its tokens."""
    parser.add_argument("--compute", metavar="FLOPS", help="the budget in FLOPs: 5.88e23")
    parser.add_argument("--parameters", metavar="N", help="a model's parameters: 70B")
    parser.add_argument("--tokens", metavar="D", help="its training tokens: 1.4T")
    parser.add_argument(
        "--law", metavar="NAME", help="one law: kaplan, hoffmann1, hoffmann2, hoffmann3, besiroglu"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints what each law says. Raises BadInput."""
    chosen = laws() if arguments.law is None else {arguments.law: law_named(arguments.law)}
    if arguments.compute is not None:
        if arguments.parameters is not None or arguments.tokens is not None:
            raise BadInput("Give --compute, or --parameters and --tokens: one sets the other.", "compute")
        compute = option_amount(arguments, "compute", LEAST)
        title = f"The best model for {flops_text(compute)}"
        found = {law.name: optimum(law, compute) for law in chosen.values()}
    else:
        parameters, tokens = _size(arguments)
        title = f"{counted(parameters, 'parameter')} on {counted(tokens, 'token')}"
        found = {law.name: prediction(law, parameters, tokens) for law in chosen.values()}
    by_name = {law.name: law for law in chosen.values()}
    if arguments.json:
        print_json({"laws": [_entry(law, found[name]) for name, law in by_name.items()]})
    else:
        given = arguments.compute is None
        print_lines(title, "", *_text(by_name, found, given=given))
    return 0


def _size(arguments: argparse.Namespace) -> tuple[float, float]:
    for field in ("parameters", "tokens"):
        if getattr(arguments, field) is None:
            raise BadInput(f"--{field} is missing; give --parameters and --tokens, or --compute.", field)
    parameters, tokens = (option_amount(arguments, field, 1) for field in ("parameters", "tokens"))
    flops = float(training_flops(parameters, tokens))
    if flops < LEAST:
        raise BadInput(
            f"Training that takes {flops_text(flops)}: no law says anything below {flops_text(LEAST)}; "
            "ask for a larger model or more tokens.",
            "parameters",
        )
    return parameters, tokens


def _entry(law: Law, said: Prediction) -> dict[str, object]:
    return {
        "law": law.name,
        "parameters": said.parameters,
        "tokens": said.tokens,
        "loss": said.loss,
        "loss_low": said.loss_low,
        "loss_high": said.loss_high,
        "in_range": bool(said.in_range),
        "parameters_low": said.parameters_low,
        "parameters_high": said.parameters_high,
        "parameters_count": "non-embedding" if isinstance(law, KaplanLaw) else "all",
        "title": law.title,
        "source": law.source,
    }


def _text(laws_by_name: Mapping[str, Law], found: Mapping[str, Prediction], *, given: bool) -> list[str]:
    """The table and what to know of it. A law without a loss says nothing on a size that is `given`."""
    silent = [name for name in laws_by_name if given and found[name].loss is None]
    heading = ("law", "parameters", "tokens", "per parameter", "loss", "80 % band")
    rows = [heading, *(_row(law, found[name]) for name, law in laws_by_name.items() if name not in silent)]
    beyond = any(row[0].endswith(BEYOND) for row in rows)
    remarks = [
        *([f"Of the best size alone, not of a loss, speak: {', '.join(silent)}."] if silent else []),
        *([f"{BEYOND} beyond the runs that the law was fitted on."] if beyond else []),
        "Losses of different laws are of different data and tokenizers: compare within a law only.",
        *(["Kaplan counts parameters without embeddings."] if "kaplan" in laws_by_name else []),
    ]
    sources = (f"{law.title}: {law.source}" for name, law in laws_by_name.items() if name not in silent)
    return [
        *table(rows if len(rows) > 1 else [], "lrrrrl"),
        "",
        *paragraph(" ".join(remarks)),
        "",
        *(line for source in sources for line in paragraph(source)),
    ]


def _row(law: Law, said: Prediction) -> tuple[str, ...]:
    parameters, tokens = float(said.parameters), float(said.tokens)
    band = ""
    if said.loss_low is not None and said.loss_high is not None:
        band = f"{float(said.loss_low):.3f} to {float(said.loss_high):.3f}"
    known = said.in_range or isinstance(law, RatioRule)
    return (
        law.name if known else f"{law.name} {BEYOND}",
        count_text(parameters),
        count_text(tokens),
        count_text(tokens / parameters),
        "" if said.loss is None else f"{float(said.loss):.3f}",
        band,
    )

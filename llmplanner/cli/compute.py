"""`llmplanner compute`: FLOPs, PF-days, time, cost and energy of a training run."""

import argparse

from llmplanner import compose, plans
from llmplanner.cli.hub_options import access, add_hub_arguments
from llmplanner.cli.machines import probe_for
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.cli.planning import without_effect
from llmplanner.core.budget import COMPUTES_IN, Budget
from llmplanner.core.errors import BadInput
from llmplanner.core.flops import pf_days
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Kind, Model
from llmplanner.core.quantities import (
    counted,
    duration_text,
    exact_text,
    flops_text,
    money_text,
    significant,
)
from llmplanner.gpus import catalogue as gpu_catalogue
from llmplanner.plans import Draft

OPTIONS = (
    ("--parameters", "parameters", "N", "parameters that a token uses: 70B"),
    ("--tokens", "tokens", "D", "training tokens: 1.4T; 20 for each parameter where not said"),
    ("--gpu", "gpu", "NAME", "a GPU of the catalogue, or local; without one there is no time and no cost"),
    ("--count", "count", "N", "how many GPUs"),
    ("--precision", "precision", "NAME", "fp32, bf16-mixed, fp16-mixed, bf16: whose dense peak counts"),
    ("--efficiency", "efficiency", "F", "share of the dense peak that the run reaches (MFU): 0.35, 35 %%"),
    ("--price", "price_per_hour", "P", "US dollars per GPU-hour; the catalogue's where not said"),
    ("--pue", "pue", "F", "power usage effectiveness of the data centre"),
)
OF_TIME = ("precision", "efficiency", "price_per_hour", "pue")  # for nothing where no GPU is stated


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A size and tokens, or a model; a machine and what it reaches."""
    parser.add_argument("--model", metavar="MODEL", help="a model instead of --parameters")
    add_hub_arguments(parser)
    for option, field, metavar, text in OPTIONS:
        parser.add_argument(option, dest=field, metavar=metavar, help=text)


def run(arguments: argparse.Namespace) -> int:
    """Prints the budget. Raises BadInput."""
    draft = _draft(arguments)
    model = compose.model_named(draft.model, access=access(arguments)).model
    probe = probe_for(draft) if arguments.gpu is not None else None
    machine = Machine((Device("No GPU stated", None),))
    if arguments.gpu is not None:
        machine = compose.machine_named(draft, probe.machine if probe is not None else None)
    budget = compose.budget_of(draft, model, machine)
    if arguments.precision is not None:
        _refuse_other_peak(budget)
    hint = probe.message if probe is not None else "Add --gpu NAME and --count N for time, cost and energy."
    ignored = tuple(
        field for field in OF_TIME if arguments.gpu is None and getattr(arguments, field) is not None
    )
    if arguments.json:
        print_json({**_json(budget), "ignored": list(ignored)})
    else:
        stated = arguments.model is None
        name = "A model" if stated else model.name
        text = _text(draft, budget, name, _factor(model, stated=stated), hint)
        print_lines(*text, *without_effect(ignored))
    return 0


def _refuse_other_peak(budget: Budget) -> None:
    """Refuses a precision that was asked for where another's peak would count."""
    if budget.device is None or budget.format in {None, budget.wanted}:
        return
    has = [name for name, formats in COMPUTES_IN.items() if formats[0] in budget.device.peak_flops]
    raise BadInput(
        f"No {budget.wanted.upper()} peak of {budget.device.name} is known, and it may lack that format; "
        f"take --precision {' or '.join(has)}.",
        "precision",
    )


def _draft(arguments: argparse.Namespace) -> Draft:
    if (arguments.model is None) == (arguments.parameters is None):
        raise BadInput("Give either --parameters or --model: one of them says what is trained.", "parameters")
    if arguments.gpu is None and arguments.count is not None:
        raise BadInput("--count needs to know of which GPU; add --gpu NAME.", "gpu")
    draft = Draft(task="pretrain")
    for _, field, _, _ in (("", "model", "", ""), *OPTIONS):
        text = getattr(arguments, field)
        if text is not None:
            draft = plans.changed(draft, field, text)
    return draft


def _factor(model: Model, *, stated: bool) -> int:
    """FLOPs per parameter and token."""
    return 3 if model.kind is Kind.ENCODER_DECODER and not stated else 6


def _json(budget: Budget) -> dict[str, object]:
    run = budget.run
    return {
        "flops": budget.flops,
        "pf_days": pf_days(budget.flops),
        "gpu_hours": run.hours if run else None,
        "days": run.days if run else None,
        "cost": run.cost if run else None,
        "energy_kwh": budget.energy,
        "flops_counted": budget.counted,
        "parameters": budget.parameters,
        "active_parameters": budget.active,
        "tokens": budget.tokens,
        "gpus": budget.devices if run else None,
        "format": budget.format,
        "format_wanted": budget.wanted,
        "peak_flops": budget.peak,
        "efficiency": budget.efficiency,
        "price_per_hour": budget.price,
    }


def _text(draft: Draft, budget: Budget, name: str, factor: int, hint: str) -> list[str]:
    active = "1 parameter" if budget.active == 1 else f"{exact_text(round(budget.active))} parameters"
    formula = f"{factor} × {active} × {counted(budget.tokens, 'token')}"
    rows = [
        ("FLOPs", flops_text(budget.flops), formula),
        ("PF-days", significant(float(pf_days(budget.flops)), 4), "FLOPs / 8.64e19"),
    ]
    if budget.counted is not None:
        rows.append(("counted", flops_text(budget.counted), "matrix by matrix, with causal attention"))
    title = f"{name} of {counted(budget.parameters, 'parameter')} on {counted(budget.tokens, 'token')}"
    if budget.run is None:
        return [title, "", *table(rows, "lr"), "", *paragraph(_without_time(budget, hint))]
    rows += _run_rows(draft, budget)
    return [title, "", *table(rows, "lr"), "", *paragraph(_on_what(budget))]


def _run_rows(draft: Draft, budget: Budget) -> list[tuple[str, str, str]]:
    run = budget.run
    if run is None:
        return []
    rows = [
        ("GPU-hours", exact_text(round(run.hours)), "FLOPs / (peak × efficiency × 3600)"),
        ("time", duration_text(run.days * 86_400), f"on {counted(budget.devices, 'GPU')} at once"),
    ]
    if run.cost is not None and budget.price is not None:
        rows.append(
            (
                "cost",
                money_text(run.cost),
                f"at {money_text(budget.price)} per GPU-hour{_dates(draft, budget)}",
            )
        )
    if budget.energy is not None:
        rows.append(
            ("energy", f"{significant(budget.energy / 1000, 3)} MWh", f"PUE {budget.pue:g}, GPUs alone")
        )
    return rows


def _dates(draft: Draft, budget: Budget) -> str:
    """When the catalogue's price was seen; nothing for a price of the user's."""
    name = budget.device.catalogue_name if budget.device is not None else None
    if draft.price_per_hour is not None or name is None:
        return ""
    card = gpu_catalogue.by_name(name)
    return f", median of {card.price_dates}"


def _on_what(budget: Budget) -> str:
    if budget.device is None or budget.peak is None or budget.format is None:
        return ""
    peak = f"{significant(budget.peak / 1e12, 4)} TFLOP/s dense {budget.format.upper()}"
    lacks = "" if budget.format == budget.wanted else f" No {budget.wanted.upper()} peak of it is known."
    return f"{budget.devices:,} × {budget.device.name}, {peak} each, at {budget.efficiency:.0%} of it.{lacks}"


def _without_time(budget: Budget, hint: str) -> str:
    if budget.device is None or budget.device.memory_total is None:
        return hint
    return (
        f"The peak of {budget.device.name} at this precision is not known: no time and no cost can be given."
    )

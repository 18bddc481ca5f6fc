"""Which limit binds: how much of the GPUs, the time and the money at hand a run takes."""

import math
from collections.abc import Sequence

from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment
from llmplanner.core.cost import (
    Limits,
    LimitUse,
    Run,
    allowed_flops,
    at_hand,
    binding_limit,
    devices_to_meet,
    limit_uses,
)
from llmplanner.core.flops import PF_DAY
from llmplanner.core.quantities import count_text, money_text, significant

NEAR = 0.9  # from here on, a limit that is kept is shown as tight
MOST = 3.0  # a bar ends here, whatever the share; an arrow and the figure say that it goes on
BESIDE = 1.3  # the axis goes on from there, for the figure
TIMES = 10.0  # from here on, a share is said as a multiple
EXAMPLE = Limits(devices=8, days=7.0, cost=10_000.0)  # what is shown where no limit is set
MILLION = 1e6
PARTS = 1e-9  # of a GPU: what arithmetic leaves above a whole number
SOURCE = "Days = FLOPs / (GPUs at hand x dense peak x efficiency x 86,400 s)"
NAMES = {"hardware": "GPUs", "time": "time", "money": "money"}


def limits_figure(uses: Sequence[LimitUse]) -> Figure:
    """A bar for each limit that is set, against the line of the limit."""
    highest = max((use.share for use in uses), default=1.0)
    return Figure(
        name="limits",
        title="Which limit binds",
        x=Axis("", low=0, high=max(1.3, min(MOST, highest) * BESIDE), ticks="percent"),
        y=Axis("", "category", names=tuple(map(_name, uses)), grid=False),
        marks=(*map(_bar, uses), Rule("x", 1.0, "limit")),
        source=SOURCE,
        description="; ".join(f"{NAMES[use.name]}: {_share(use)} of {limit_text(use)}" for use in uses),
        legend=False,
        table=_table(uses),
    )


def binding_sentence(run: Run, limits: Limits, tokens: float) -> str:
    """Which limit binds the run on the GPUs at hand, and what would keep to it; `tokens` are the run's."""
    uses = limit_uses(run, limits)
    binding = binding_limit(uses)
    if limits.cost is not None and run.price is None:
        return "The money at hand needs a price: type one per GPU-hour."
    if binding is None:
        return "No limit is set: type the GPUs, the days or the money at hand."
    count = at_hand(run, limits).devices
    gpus = f"{count:,} GPU" if count == 1 else f"{count:,} GPUs"
    where = f"the plan's {gpus}" if limits.devices is None else f"the {gpus} at hand"
    if binding.share <= 1:
        nearest = f"{NAMES[binding.name]} {'are' if binding.name == 'hardware' else 'is'} the nearest"
        return f"On {where}, the run keeps to all limits; {nearest}, at {_share(binding)}."
    said = [f"{NAMES[binding.name].capitalize()} bind{'' if binding.name == 'hardware' else 's'}:"]
    said.append(f"{needed_text(binding)} needed, {limit_text(binding)} at hand.")
    if binding.name == "time":
        said.append(_more_devices(devices_to_meet(run, binding.limit), limits))
    if binding.name == "hardware":
        said.append(f"On {where}, the run takes {significant(at_hand(run, limits).days)} days.")
    allowed = allowed_flops(uses)
    if allowed is not None:
        within = f"{count_text(tokens * allowed / run.flops)} of {count_text(tokens)} tokens"
        said.append(f"On {where}, all limits together allow {within}.")
    return " ".join(said)


def example_sentence(run: Run) -> str:
    """How a run with no limit set would fare against the example's."""
    uses = limit_uses(run, EXAMPLE)
    binding = binding_limit(uses)
    if binding is None:
        return ""
    said = (
        f"{EXAMPLE.devices} GPUs, {significant(EXAMPLE.days or 0)} days and {money_text(EXAMPLE.cost or 0)}"
    )
    fate = (
        "the run would keep to all."
        if binding.share <= 1
        else (f"{NAMES[binding.name]} would bind, {needed_text(binding)} needed.")
    )
    return f"No limit is set; type one above. For example {said}: {fate}"


def _more_devices(enough: int, limits: Limits) -> str:
    """What more GPUs would do for the time."""
    if limits.devices is not None and enough > limits.devices:
        return f"It would take {enough:,} GPUs."
    return f"{enough:,} GPUs meet it at the same cost, if they stay as efficient."


def limit_text(use: LimitUse) -> str:
    """The limit with its unit: 512, 21 days, $1,000,000."""
    return _amount(use, use.limit)


def needed_text(use: LimitUse) -> str:
    """What the run takes of it."""
    return _amount(use, use.needed)


def _name(use: LimitUse) -> str:
    """The limit as its bar is called: GPUs 8, time 30 days."""
    return f"{NAMES[use.name]} {limit_text(use)}"


def _amount(use: LimitUse, amount: float) -> str:
    if use.name == "money":
        return money_text(amount)
    return f"{significant(amount)} days" if use.name == "time" else f"{math.ceil(amount - PARTS):,}"


def _bar(use: LimitUse) -> Bar:
    colour = "bad" if use.share > 1 else "warn" if use.share >= NEAR else "ok"
    allows = "" if use.flops is None else f"\nallows {count_text(use.flops / PF_DAY)} PF-days"
    hover = f"{needed_text(use)} of {limit_text(use)}, {_share(use)}{allows}"
    segment = Segment(NAMES[use.name], min(use.share, MOST), colour, hover=hover, formula="needed / limit")
    arrow = "→ " if use.share > MOST else ""
    return Bar(_name(use), (segment,), label=f"{arrow}{_share(use)}", hover=hover, label_colour=colour)


def _share(use: LimitUse) -> str:
    """Needed over limit: 47 %, 4,823 ×."""
    if math.isinf(use.share):
        return "∞"
    if use.share < TIMES:
        return f"{use.share * 100:,.0f} %"
    return f"{use.share:,.0f} ×" if use.share < MILLION else f"{count_text(use.share)} ×"


def _table(uses: Sequence[LimitUse]) -> tuple[tuple[str | float, ...], ...]:
    """Every limit with its figures, for a bar may end before its share does."""
    heads = ("limit", "needed", "at_hand", "share", "allowed_flops", "source")
    rows = (
        (_name(use), use.needed, use.limit, use.share, "" if use.flops is None else use.flops, SOURCE)
        for use in uses
    )
    return (heads, *rows)

"""Which limit binds: how much of the GPUs, the time and the money at hand a run takes."""

from collections.abc import Sequence

from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment
from llmplanner.core.cost import Limits, LimitUse, Run, binding_limit, devices_to_meet, limit_uses
from llmplanner.core.flops import PF_DAY
from llmplanner.core.quantities import count_text, money_text, significant

NEAR = 0.9  # from here on, a limit that is kept is shown as tight
MOST = 3.0  # the axis ends here, whatever the share
EXAMPLE = Limits(devices=8, days=7.0, cost=10_000.0)  # what is shown where no limit is set
NAMES = {"hardware": "GPUs", "time": "time", "money": "money"}


def limits_figure(uses: Sequence[LimitUse]) -> Figure:
    """A bar for each limit that is set, against the line of the limit."""
    highest = max((use.share for use in uses), default=1.0)
    return Figure(
        name="limits",
        title="Which limit binds",
        x=Axis("", low=0, high=min(MOST, max(1.3, highest * 1.25)), ticks="percent"),
        y=Axis(
            "", "category", names=tuple(f"{NAMES[use.name]} {limit_text(use)}" for use in uses), grid=False
        ),
        marks=(*map(_bar, uses), Rule("x", 1.0, "limit")),
        source="Days = FLOPs / (GPUs x dense peak x efficiency x 86,400 s)",
        description="; ".join(f"{NAMES[use.name]}: {_percent(use)} of {limit_text(use)}" for use in uses),
        legend=False,
    )


def binding_sentence(run: Run, limits: Limits, tokens: float) -> str:
    """Which limit binds, and what would keep to it. `tokens` are those of the run."""
    uses = limit_uses(run, limits)
    binding = binding_limit(uses)
    if limits.cost is not None and run.price is None:
        return "The money at hand needs a price: type one per GPU-hour."
    if binding is None:
        return "No limit is set: type the GPUs, the days or the money at hand."
    if binding.share <= 1:
        return f"The run keeps to all limits; {NAMES[binding.name]} is the nearest, at {_percent(binding)}."
    said = [f"{NAMES[binding.name].capitalize()} bind{'' if binding.name == 'hardware' else 's'}:"]
    said.append(f"{needed_text(binding)} needed, {limit_text(binding)} at hand.")
    if binding.name == "time":
        said.append(_more_devices(devices_to_meet(run, binding.limit), limits))
    allowed = [use.flops for use in uses if use.flops is not None]
    if allowed:
        share = min(allowed) / run.flops
        said.append(f"All limits together allow {count_text(tokens * share)} of {count_text(tokens)} tokens.")
    return " ".join(said)


def example_sentence(run: Run) -> str:
    """How a run with no limit set would fare against the example's."""
    uses = limit_uses(run, EXAMPLE)
    binding = max(uses, key=lambda use: use.share)
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
        return f"It would take {enough:,} GPUs, {limits.devices:,} are at hand."
    return f"{enough:,} GPUs meet it at the same cost, if they stay as efficient."


def limit_text(use: LimitUse) -> str:
    """The limit with its unit: 512, 21 days, $1,000,000."""
    return _amount(use, use.limit)


def needed_text(use: LimitUse) -> str:
    """What the run takes of it."""
    return _amount(use, use.needed)


def _amount(use: LimitUse, amount: float) -> str:
    if use.name == "money":
        return money_text(amount)
    return f"{significant(amount)} days" if use.name == "time" else f"{amount:,.0f}"


def _bar(use: LimitUse) -> Bar:
    colour = "bad" if use.share > 1 else "warn" if use.share >= NEAR else "ok"
    allows = "" if use.flops is None else f"\nallows {count_text(use.flops / PF_DAY)} PF-days"
    name = f"{NAMES[use.name]} {limit_text(use)}"
    hover = f"{needed_text(use)} of {limit_text(use)}{allows}"
    segment = Segment(NAMES[use.name], use.share, colour, hover=hover, formula="needed / limit")
    return Bar(name, (segment,), label=_percent(use), hover=hover, label_colour=colour)


def _percent(use: LimitUse) -> str:
    return f"{use.share * 100:,.0f} %" if use.share < 1e4 else "far over"

"""The Compute budget page: what training takes in GPUs, time and money, and what binds."""

from functools import partial
from statistics import median

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from llmplanner.app.cards import Card, note
from llmplanner.app.chart_view import ChartView
from llmplanner.app.fact_table import FactTable
from llmplanner.app.page_field import PageField, Told
from llmplanner.app.session import Session, State
from llmplanner.app.stat import Stat
from llmplanner.app.theme import GAP
from llmplanner.app.zoom_view import ZoomView
from llmplanner.charts.budget import budget_figure
from llmplanner.charts.figure import Figure
from llmplanner.charts.limits import EXAMPLE, binding_sentence, example_sentence, limits_figure
from llmplanner.charts.palette import Theme
from llmplanner.charts.ticks import raised
from llmplanner.compose import budget_of, tokens_of
from llmplanner.core.budget import Budget
from llmplanner.core.cost import Limits, limit_uses
from llmplanner.core.duration import SECONDS_PER_DAY, devices_per_pf_day
from llmplanner.core.flops import pf_days
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind
from llmplanner.core.quantities import count_text, duration_text, flops_text, money_text, significant
from llmplanner.core.training_run import observed_efficiencies
from llmplanner.gpus import catalogue as gpus
from llmplanner.models.runs import training_runs
from llmplanner.plan_fields import FIELDS

STEP = 1000  # kWh in a MWh, MWh in a GWh
LIMITS = 100  # px: three bars
SIDE = 428  # px: the cards beside the chart
NONE = "no limit"
EQUIVALENTS = (  # the cards that people reckon in, by id in the catalogue, each in its 16-bit Format
    ("V100", "v100-sxm2-16", "fp16"),
    ("A100", "a100-sxm-80", "bf16"),
    ("H100", "h100-sxm", "bf16"),
    ("B200", "b200", "bf16"),
)
SHARES = (4, 4, 5, 5)  # of the width, for the four figures
OBSERVED = (
    ("A100", "a100-sxm-80"),
    ("H100", "h100-sxm"),
)  # hardware of the published runs, id in the catalogue
ENTRIES = {  # label where the field's own name is too long, what an empty entry says, example, tip
    "tokens": ("Tokens", "20 each", "1.4T", "Of the whole run. Left empty: 20 per parameter, a rule."),
    "efficiency": ("Efficiency", "", "0.35 or 35 %", "MFU: the share of the dense peak that it reaches."),
    "price_per_hour": ("USD/GPU-hour", "", "2.5", "Left empty: the catalogue's median on demand."),
    "pue": (
        "PUE", "", "1.1",
        "Power usage effectiveness: energy of the data centre over that of its computers. LLaMA: 1.1.",
    ),
    "limit_devices": ("", NONE, "64", "How many GPUs you can have. Left empty: no limit."),
    "limit_days": ("", NONE, "7", "How many days the run may take. Left empty: no limit."),
    "limit_cost": ("USD at hand", NONE, "10k", "What the GPU-hours may cost. Left empty: no limit."),
}  # fmt: skip
RUN, AT_HAND = (
    ("tokens", "efficiency", "price_per_hour", "pue"),
    ("limit_devices", "limit_days", "limit_cost"),
)
WHY = "3.2 A100 dense, not 2: those take 2:4 sparsity."
WHY_TIP = (
    "SXM cards; V100 in FP16, the others in BF16. Two A100 reach 0.62 PF/s, and 1.25 only with 2:4 sparsity."
)
ASKS = {  # what the page shows, by the plan's task
    "serve": "The plan serves: this page reckons what training this model would take.",
    "finetune": "The plan fine-tunes: Tokens, at the right, says how many this run sees.",
    "pretrain": "The plan's own run. All by 6 N D, encoder-decoders by half of it.",
}


class ComputeTab(QWidget):
    """Shows the plan's compute budget, whatever its task; edits tokens, efficiency, price and limits."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.stats = {name: Stat(name) for name in ("FLOPs", "PF-days", "Time", "Cost")}
        self.chart = ZoomView(least=QSize(320, 300))
        self.limits = ChartView(least=QSize(200, LIMITS))
        self.limits.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)  # what is left
        self.fields = {
            name: PageField(FIELDS[name], tip, example, hint=hint, label=label)
            for name, (label, hint, example, tip) in ENTRIES.items()
        }
        self.what = note()
        self.binding = Told({name: self.fields[name] for name in AT_HAND}, 3)
        self.observed = Told({name: self.fields[name] for name in RUN}, 2)
        self.observed.setToolTip(
            "MFU of published runs: model FLOPs over all GPU-hours at the dense BF16 peak, restarts and all; "
            + ", ".join(f"{count} runs on {hardware}" for hardware, *_, count in _reached())
        )
        self.equivalents = FactTable("GPUs that do one PF-day in a day", _HEADS)
        for name, field in self.fields.items():
            field.entered.connect(partial(self._enter, name))
        self._lay_out()

    def _lay_out(self) -> None:
        chart = Card("")
        self.title = chart.title
        chart.rows.addWidget(self.what)
        chart.rows.addWidget(self.chart, 1)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        top = QHBoxLayout()
        top.setSpacing(GAP)
        for stat, share in zip(self.stats.values(), SHARES, strict=True):
            top.addWidget(stat, share)
        grid.addLayout(top, 0, 0, 1, 2)
        grid.addWidget(chart, 1, 0)
        grid.addWidget(self._side(), 1, 1)
        grid.setRowStretch(1, 1)
        grid.setColumnStretch(0, 1)

    def _side(self) -> QWidget:
        """What is asked for and what is at hand, which limit binds, what one PF-day is; scrolls."""
        asked = Card("")
        asked.title.hide()  # the fields say it, and the bars want its room
        asked.rows.setSpacing(6)
        asked.rows.addLayout(self._line(RUN))
        asked.rows.addWidget(self.observed)
        asked.rows.addLayout(self._line(AT_HAND))
        asked.rows.addWidget(self.binding)
        asked.rows.addWidget(self.limits, 1)
        asked.rows.addStretch(0)  # takes the room of the bars where there are none
        reckoner = Card("GPUs that do one PF-day in a day")
        reckoner.rows.addWidget(self.equivalents)
        why = note(WHY)
        why.setToolTip(WHY_TIP)
        reckoner.rows.addWidget(why)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(asked, 1)
        column.addWidget(reckoner)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFixedWidth(SIDE)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        return scroll

    def _line(self, names: tuple[str, ...]) -> QHBoxLayout:
        line = QHBoxLayout()
        line.setSpacing(8)
        for name in names:
            line.addWidget(self.fields[name], 1)
        return line

    def _enter(self, name: str, value: object) -> None:
        self.session.edit(**{name: value})

    # What the window asks for

    def show_state(self, state: State) -> None:
        """Shows the budget of the plan's model on its machine."""
        draft, model = state.draft, state.plan.model
        budget = budget_of(draft, model, state.plan.machine)
        for name, field in self.fields.items():
            field.show_value(getattr(draft, name))
        self.fields["tokens"].entry.setPlaceholderText(count_text(tokens_of(draft, model)))
        self.fields["price_per_hour"].entry.setPlaceholderText(_price_hint(budget.device))
        self._show_stats(budget, model.kind if draft.parameters is None else Kind.DECODER)
        self.chart.show_figure(budget_figure(training_runs(), budget.parameters, budget.tokens, budget.flops))
        limits = Limits(draft.limit_devices, draft.limit_days, draft.limit_cost)
        self._show_limits(budget, limits)
        own = draft.parameters is None
        what = model.name if own else f"a model of {count_text(budget.parameters)} parameters"
        self.title.setText(f"Training {what}, among published runs")
        self.what.setText(ASKS[draft.task] if own else ASKS["pretrain"])
        self.equivalents.show_rows(_equivalents(budget))

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.chart.show_theme(theme)
        self.limits.show_theme(theme)

    def figure(self) -> Figure:
        """The dominant chart, as Export takes it."""
        return self.chart.figure()

    def _show_stats(self, budget: Budget, kind: Kind) -> None:
        rule = "3 N D" if kind is Kind.ENCODER_DECODER else "6 N D"
        counted = "" if budget.counted is None else f" · by matmul {raised(significant(budget.counted))}"
        self.stats["FLOPs"].show_text(
            raised(flops_text(budget.flops)),
            f"{rule}{counted}",
            f"N = {count_text(budget.active)} parameters that a token uses, "
            f"D = {count_text(budget.tokens)} tokens. "
            "By matmul: all matrix products of the model one by one, attention with its mask.",
        )
        self.stats["PF-days"].show_text(
            f"{significant(float(pf_days(budget.flops)), 4)} PF-days",
            "8.64×10¹⁹ FLOPs each",
            "One PF-day: 10^15 FLOP/s for a day.",
        )
        self._show_time(budget)
        self._show_cost(budget)
        self.observed.say(f"{_observed()}\n{_rests_on(budget)}")

    def _show_time(self, budget: Budget) -> None:
        run, stat = budget.run, self.stats["Time"]
        device = budget.device.name if budget.device is not None else "this GPU"
        if run is None:
            known = budget.device is not None and bool(budget.device.peak_flops)
            todo = "Its dense peak is not known." if known else "Choose a GPU of the catalogue."
            stat.show_text(
                "No time yet",
                todo,
                f"No dense peak of {device} is known in this precision; choose another card or precision.",
            )
            return
        count = f"{run.devices:,} × " if run.devices > 1 else ""
        stat.show_text(
            duration_text(run.days * SECONDS_PER_DAY),
            f"{count}{device}, {significant(run.efficiency * 100)}\N{NO-BREAK SPACE}%",
            f"FLOPs / ({run.devices:,} GPUs x {significant(run.peak / 1e12, 4)} TFLOP/s, the dense peak in "
            f"{(budget.format or '').upper()}, x {run.efficiency:g})",
        )

    def _show_cost(self, budget: Budget) -> None:
        run, stat = budget.run, self.stats["Cost"]
        if run is None:
            stat.show_text("No cost yet", "It follows from the time.")
            return
        hours = f"{count_text(run.hours)} GPU-hours"
        energy = "" if budget.energy is None else f" · {_energy_text(budget.energy)}"
        tip = (
            f"{hours}. Energy: GPU-hours x the board's {_watts(budget.device)} x a PUE of {budget.pue:g}; "
            "hosts and network are left out."
        )
        if run.price is None or run.cost is None:
            stat.show_text("No price", f"{hours}{energy}", f"{tip} Type a price per GPU-hour.")
            return
        dated = _price_dates(budget.device) if run.price == _price(budget.device) else ""
        said = f"{money_text(run.price)}/h{dated and f', {dated}'}{energy}"
        stat.show_text(money_text(run.cost), said, f"{tip} {dated and _price_source(budget.device)}".strip())

    def _show_limits(self, budget: Budget, limits: Limits) -> None:
        """The limits that are set; without any, how the run would fare against an example."""
        run = budget.run
        shown = EXAMPLE if limits == Limits() else limits
        uses = () if run is None else limit_uses(run, shown)
        self.limits.setVisible(bool(uses))
        if uses:
            self.limits.show_figure(limits_figure(uses))
        if run is None:
            self.binding.say("Limits need a GPU whose dense peak is known.")
        elif limits == Limits():
            self.binding.say(example_sentence(run))
        else:
            self.binding.say(binding_sentence(run, limits, budget.tokens))


_HEADS = ("dense, 16 bits", *(name for name, _, _ in EQUIVALENTS))


def _energy_text(kilowatt_hours: float) -> str:
    """Energy in the unit that needs the fewest digits: 18.4 MWh."""
    for unit in ("kWh", "MWh", "GWh"):
        if kilowatt_hours < STEP:
            return f"{significant(kilowatt_hours)} {unit}"
        kilowatt_hours /= STEP
    return f"{significant(kilowatt_hours)} TWh"


def _observed() -> str:
    """What published runs reached, beside the field where the user says what theirs will."""
    (first, *others) = _reached()
    said = "".join(f", {hardware} {low}–{high} % ({middle})" for hardware, low, middle, high, _ in others)
    return f"MFU seen: {first[0]} {first[1]}–{first[3]} % (median {first[2]}){said}"


def _rests_on(budget: Budget) -> str:
    """What cost and energy rest on, in a line."""
    price, own = _price(budget.device), budget.price
    if own is None:
        said = "No price is known: type one."
    elif own == price:
        said = f"Price: on demand, {_price_dates(budget.device)}."
    else:
        said = "Price: your own."
    watts = None if budget.device is None else budget.device.watts
    return said if watts is None else f"{said} Energy: {watts:,.0f} W a GPU x PUE."


def _reached() -> list[tuple[str, int, int, int, int]]:
    """Hardware, lowest, median and highest efficiency in percent, and how many runs."""
    rows = []
    for hardware, card in OBSERVED:
        found = observed_efficiencies(training_runs(), hardware, gpus.by_name(card).peak_flops["bf16"])
        low, middle, high = (round(100 * value) for value in (found[0], median(found), found[-1]))
        rows.append((hardware, low, middle, high, len(found)))
    return rows


def _watts(device: Device | None) -> str:
    return "power" if device is None or device.watts is None else f"{device.watts:,.0f} W"


def _price(device: Device | None) -> float | None:
    return None if device is None else device.price_per_hour


def _price_hint(device: Device | None) -> str:
    price = _price(device)
    return "type one" if price is None else f"{price:g}"


def _price_dates(device: Device | None) -> str:
    """The last month of the catalogue's price: 2025-03."""
    if device is None or device.catalogue_name is None:
        return ""
    return gpus.by_name(device.catalogue_name).price_dates.rpartition("..")[2]


def _price_source(device: Device | None) -> str:
    """Where the catalogue's price comes from, with all its dates."""
    if device is None or device.catalogue_name is None:
        return ""
    card = gpus.by_name(device.catalogue_name)
    return f"The catalogue's price is the median on demand, {card.price_dates} ({card.source.price})."


def _equivalents(budget: Budget) -> list[tuple[str, ...]]:
    """How many of the GPUs that people reckon in do one PF-day in a day, at peak and as the plan runs."""
    peaks = [gpus.by_name(name).peak_flops[form] for _, name, form in EQUIVALENTS]
    return [
        ("TFLOP/s", *(f"{peak / 1e12:,.0f}" for peak in peaks)),
        ("GPUs at the peak", *(significant(float(devices_per_pf_day(peak))) for peak in peaks)),
        (
            f"GPUs at {significant(budget.efficiency * 100)} %",
            *(significant(float(devices_per_pf_day(peak, budget.efficiency))) for peak in peaks),
        ),
    ]

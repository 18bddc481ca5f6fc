"""The Scaling curves page: how large a model on how many tokens, by each law, and with which loss."""

from functools import partial

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QPushButton, QWidget

from llmplanner.app.cards import Card
from llmplanner.app.chart_view import ChartView
from llmplanner.app.domain_card import DomainCard
from llmplanner.app.fact_table import FactTable
from llmplanner.app.page_field import PageField, Told
from llmplanner.app.session import Session, State
from llmplanner.app.theme import GAP
from llmplanner.app.zoom_view import ZoomView
from llmplanner.charts.figure import Figure
from llmplanner.charts.loss import loss_figure, one_panel
from llmplanner.charts.palette import Theme
from llmplanner.charts.scaling import scaling_figure
from llmplanner.charts.ticks import raised
from llmplanner.compose import budget_of
from llmplanner.core.budget import Budget
from llmplanner.core.quantities import count_text, flops_text, significant
from llmplanner.core.scaling import Law, Prediction, RatioRule, optimum, prediction
from llmplanner.core.tensors import parameters
from llmplanner.models.laws import laws
from llmplanner.models.runs import training_runs
from llmplanner.plan_fields import FIELDS

LEAST_RATIO = 0.01  # tokens per parameter: below, no law is near
SIDE = 428  # px, the least width of the cards beside the chart
HEADS = ("Law", "N", "D", "D / N", "loss", "fitted")
AGAINST = ("Compute", "Size", "Data")
ENTRIES = {  # tip, example
    "parameters": (
        "Parameters of the model to train. Left empty: those of the model that a token uses.",
        "70B",
    ),
    "tokens": ("Training tokens. Left empty: 20 for each parameter, a rule of thumb.", "1.4T"),
}
WHAT = "Each law spends the plan's compute on its own best model."


class ScalingTab(QWidget):
    """The plan among the laws; edits its parameters and tokens."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._place = 0  # which loss panel is shown
        self._losses: Figure | None = None
        self.chart = ZoomView(least=QSize(320, 260))
        self.loss = ChartView(least=QSize(240, 140))
        self.against = QButtonGroup(self)
        self.fields = {name: PageField(FIELDS[name], *said) for name, said in ENTRIES.items()}
        self.told = Told(self.fields, 1, WHAT)
        self.laws = FactTable("What each law would train", HEADS)
        self.domain = DomainCard(session)
        for name, field in self.fields.items():
            field.entered.connect(partial(self._enter, name))
        self._lay_out()
        self.against.idClicked.connect(self._choose)

    def _lay_out(self) -> None:
        chart = Card("Compute-optimal lines, and who trained where")
        chart.rows.addWidget(self.chart, 1)
        self._table = Card("")
        line = QHBoxLayout()
        line.setSpacing(GAP)
        for field in self.fields.values():
            line.addWidget(field, 1)
        self._table.rows.addLayout(line)
        self._table.rows.addWidget(self.told)
        self._table.rows.addWidget(self.laws)
        loss = self._loss_card()
        for card in (loss, self._table):
            card.setMinimumWidth(SIDE)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        left, right = QGridLayout(), QGridLayout()
        for column, (upper, lower) in ((left, (chart, self.domain)), (right, (loss, self._table))):
            column.setSpacing(GAP)
            column.addWidget(upper, 0, 0)
            column.addWidget(lower, 1, 0)
            column.setRowStretch(0, 1)
        grid.addLayout(left, 0, 0)
        grid.addLayout(right, 0, 1)
        grid.setColumnStretch(0, 5)
        grid.setColumnStretch(1, 4)

    def _loss_card(self) -> Card:
        card = Card("Loss in nats per token against")
        head = QHBoxLayout()
        head.setSpacing(4)
        card.rows.removeWidget(card.title)
        head.addWidget(card.title)
        head.addStretch()
        for place, words in enumerate(AGAINST):
            button = QPushButton(words)
            button.setCheckable(True)
            button.setProperty("small", True)
            button.setChecked(place == self._place)
            button.setAccessibleName(f"Loss against {words.lower()}")
            button.setToolTip(f"Draws the predicted loss over {words.lower()}.")
            self.against.addButton(button, place)
            head.addWidget(button)
        card.rows.addLayout(head)
        card.rows.addWidget(self.loss, 1)
        return card

    def _enter(self, name: str, value: object) -> None:
        self.session.edit(**{name: value})

    def _choose(self, place: int) -> None:
        self._place = place
        self._show_loss()

    # What the window asks for

    def show_state(self, state: State) -> None:
        """Shows the plan's parameters and tokens among laws and published runs."""
        budget = budget_of(state.draft, state.plan.model, state.plan.machine)
        for name, field in self.fields.items():
            field.show_value(getattr(state.draft, name))
        self.fields["parameters"].entry.setPlaceholderText(count_text(parameters(state.plan.model).active))
        self.fields["tokens"].entry.setPlaceholderText(count_text(budget.tokens))
        every = tuple(laws().values())
        self.chart.show_figure(scaling_figure(every, training_runs(), budget.size, budget.tokens))
        self._losses = loss_figure(every, every[0], budget.size, budget.tokens)
        self._show_loss()
        self._show_laws(budget, every)
        self.domain.show_wanted(budget.tokens)

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.chart.show_theme(theme)
        self.loss.show_theme(theme)

    def figure(self) -> Figure:
        """The dominant chart, as Export takes it."""
        return self.chart.figure()

    def _show_loss(self) -> None:
        if self._losses is not None:
            self.loss.show_figure(one_panel(self._losses, self._place))

    def _show_laws(self, budget: Budget, every: tuple[Law, ...]) -> None:
        compute = budget.flops
        self._table.title.setText(f"What each law would train for {raised(flops_text(compute))}")
        own = prediction(every[0], budget.size, budget.tokens)
        rows = [("Your plan", *_figures(own), "")]
        tips = [f"Its loss is by {every[0].title}{_band(own)}"]
        for law in every:
            best = optimum(law, compute)
            fitted = "" if isinstance(law, RatioRule) else "yes" if best.in_range else "beyond"
            rows.append((law.short, *_figures(best), fitted))
            tips.append(f"{law.title}{_band(best)}\n{law.note}\n{law.source}")
        self.laws.show_rows(rows, tips)


def _figures(said: Prediction) -> tuple[str, str, str, str]:
    size, tokens = float(said.parameters), float(said.tokens)
    loss = "" if said.loss is None else f"{float(said.loss):.3f}"
    ratio = tokens / size
    return count_text(size), count_text(tokens), significant(ratio) if ratio >= LEAST_RATIO else "<0.01", loss


def _band(said: Prediction) -> str:
    if said.loss_low is None or said.loss_high is None:
        return ""
    return f": loss {float(said.loss_low):.3f} to {float(said.loss_high):.3f} (80 % band)"

"""The card for one's own domain: what must be collected, and which share of the corpus it is."""

from functools import partial

from PySide6.QtWidgets import QHBoxLayout, QPushButton

from llmplanner.app.cards import Card
from llmplanner.app.page_field import PageField, Told
from llmplanner.app.session import Session
from llmplanner.app.theme import GAP
from llmplanner.core.domain import BLOOMBERG_GPT, KEPT_HIGH, KEPT_LOW, Mixture, raw_needed
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import count_text, parse_amount, significant
from llmplanner.plan_fields import Field

LINES = 3  # of what follows
FIELDS = {
    "domain": Field("Domain tokens at hand", "count", low=1, high=1e18),
    "kept": Field("Kept by the filter", "number", low=1e-6, high=1),
    "general": Field("General tokens", "count", low=0, high=1e18),
}
ENTRIES = {  # tip, example
    "domain": ("Clean tokens of your domain, after all filtering.", "363B"),
    "kept": (
        (
            "The share of the raw text that survives filtering. 1 to 3 % is a common figure; "
            "GPT-3 kept 1.27 % of the bytes of Common Crawl (Brown et al. 2020, s2.2)."
        ),
        "0.02 or 2 %",
    ),
    "general": ("Clean tokens of other text that are mixed in; 0 for none.", "345B"),
}
EXAMPLE: dict[str, float] = {
    "domain": int(BLOOMBERG_GPT.domain),
    "kept": 0.02,
    "general": 345 * 10**9,  # Wu et al. 2023, Table 1
}
SAID = (
    f"BloombergGPT: {count_text(BLOOMBERG_GPT.domain)} of {count_text(BLOOMBERG_GPT.corpus)}, "
    f"{BLOOMBERG_GPT.share * 100:.0f} to {100 - BLOOMBERG_GPT.share * 100:.0f} %; "
    f"trained on {count_text(BLOOMBERG_GPT.trained or 0)} of it."
)


class DomainCard(Card):
    """Three numbers of the user's own, which are not part of the plan, and what follows from them.

    The session remembers them between starts; at first they are BloombergGPT's.
    """

    def __init__(self, session: Session) -> None:
        super().__init__("Your own domain")
        self._session = session
        self._values = {name: _remembered(session, name) for name in FIELDS}
        self._wanted = 0.0
        self.fields = {name: PageField(field, *ENTRIES[name]) for name, field in FIELDS.items()}
        self.example = QPushButton("Show BloombergGPT's")
        self.example.setProperty("small", True)
        self.example.setAccessibleDescription("Fills in the numbers of BloombergGPT's corpus.")
        self.example.setToolTip(f"Fills in its numbers. {SAID}")
        self.told = Told(self.fields, LINES)
        self._lay_out()
        for name, field in self.fields.items():
            field.entered.connect(partial(self._take, name))
        self.example.clicked.connect(self._show_example)
        self._show()

    def _lay_out(self) -> None:
        head, line = QHBoxLayout(), QHBoxLayout()
        self.rows.removeWidget(self.title)
        head.addWidget(self.title)
        head.addStretch()
        head.addWidget(self.example)
        self.rows.addLayout(head)
        line.setSpacing(GAP)
        for field in self.fields.values():
            line.addWidget(field, 1)
        self.rows.addLayout(line)
        self.told.setToolTip(
            "Raw: domain tokens over the share kept. BloombergGPT: Wu et al. 2023 (arXiv:2303.17564), "
            "Tables 1 and 4; 11 tokens per parameter, for it ran out of data."
        )
        self.rows.addWidget(self.told)
        self.setTabOrder(self.fields["general"].entry, self.example)

    def _take(self, name: str, value: float) -> None:
        self._values[name] = value
        self._session.keep(_key(name), f"{value:.17g}")
        self._show()

    def _show_example(self) -> None:
        for name, value in EXAMPLE.items():
            self._take(name, value)

    def show_wanted(self, tokens: float) -> None:
        """Takes the tokens that the plan trains on."""
        self._wanted = tokens
        self._tell()

    def _show(self) -> None:
        for name, field in self.fields.items():
            field.show_value(self._values[name])
        self._tell()

    def _tell(self) -> None:
        domain, kept, general = (self._values[name] for name in FIELDS)
        own, few, many = (
            count_text(float(raw_needed(domain, share))) for share in (kept, KEPT_HIGH, KEPT_LOW)
        )
        mixture = Mixture(domain, domain + general, self._wanted)
        share = round(100 * mixture.share)
        self.told.say(
            f"Collect {own} raw tokens at {significant(kept * 100)} % kept; "
            f"{few} to {many} at {KEPT_HIGH * 100:.0f} to {KEPT_LOW * 100:.0f} %.\n"
            f"{count_text(mixture.corpus)} in all, {share} % domain, {100 - share} % general: "
            f"your plan takes {significant(mixture.epochs, 2)} passes.\n{SAID}"
        )


def _key(name: str) -> str:
    return f"domain/{name}"


def _remembered(session: Session, name: str) -> float:
    """The number of the last start; BloombergGPT's where there is none that can be used."""
    field = FIELDS[name]
    try:
        value = parse_amount(session.kept.get(_key(name), ""))
    except BadInput:
        return EXAMPLE[name]
    if not field.low <= value <= field.high:
        return EXAMPLE[name]
    return int(value) if field.kind == "count" else value

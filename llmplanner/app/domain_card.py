"""The card for one's own domain: what must be collected, and which share of the corpus it is."""

from collections.abc import Callable

from PySide6.QtWidgets import QHBoxLayout

from llmplanner.app.cards import Card, note
from llmplanner.app.fields import CountField
from llmplanner.app.theme import GAP
from llmplanner.core.domain import BLOOMBERG_GPT, KEPT_HIGH, KEPT_LOW, Mixture, raw_needed
from llmplanner.core.quantities import count_text, significant
from llmplanner.plans import Field

FIRST_KEPT = 0.02
DOMAIN = Field("Domain tokens at hand", "count", low=1, high=1e18)
KEPT = Field("Kept by the filter", "number", low=1e-6, high=1)
GENERAL = Field("General tokens", "count", low=0, high=1e18)
EXAMPLE = (
    f"BloombergGPT: {count_text(BLOOMBERG_GPT.domain)} of {count_text(BLOOMBERG_GPT.corpus)}, "
    f"{BLOOMBERG_GPT.share * 100:.0f} to {100 - BLOOMBERG_GPT.share * 100:.0f} %; "
    f"trained on {count_text(BLOOMBERG_GPT.trained or 0)} of it."
)


class DomainCard(Card):
    """Three numbers of the user's own, which are not part of the plan, and what follows from them."""

    def __init__(self) -> None:
        super().__init__("Your own domain")
        self._domain, self._kept = 363 * 10**9, FIRST_KEPT  # BloombergGPT's, to begin with
        self._general = 345 * 10**9
        self._wanted = 0.0
        self.domain = CountField(DOMAIN, "Clean tokens of your domain, after all filtering: 363B.")
        self.kept = CountField(
            KEPT,
            "The share of the raw text that survives filtering. 1 to 3 % is a common figure; "
            "GPT-3 kept 1.27 % of the bytes of Common Crawl (Brown et al. 2020, s2.2).",
        )
        self.general = CountField(GENERAL, "Clean tokens of other text that are mixed in: 345B.")
        self.told = note()
        self._lay_out()
        self.domain.entered.connect(self._take("_domain"))
        self.kept.entered.connect(self._take("_kept"))
        self.general.entered.connect(self._take("_general"))
        self._show()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setSpacing(GAP)
        for field in (self.domain, self.kept, self.general):
            line.addWidget(field, 1)
        self.rows.addLayout(line)
        self.told.setToolTip(
            "Raw: domain tokens over the share kept. BloombergGPT: Wu et al. 2023 (arXiv:2303.17564), "
            "Tables 1 and 4; 11 tokens per parameter, for it ran out of data."
        )
        self.rows.addWidget(self.told)

    def _take(self, name: str) -> Callable[[object], None]:
        def take(value: object) -> None:
            setattr(self, name, value)
            self._show()

        return take

    def show_wanted(self, tokens: float) -> None:
        """Takes the tokens that the plan trains on."""
        self._wanted = tokens
        self._show()

    def _show(self) -> None:
        self.domain.show_value(self._domain)
        self.kept.show_value(self._kept)
        self.general.show_value(self._general)
        kept = (self._kept, KEPT_HIGH, KEPT_LOW)
        own, few, many = (count_text(float(raw_needed(self._domain, share))) for share in kept)
        mixture = Mixture(self._domain, self._domain + self._general, self._wanted)
        share = round(100 * mixture.share)
        self.told.setText(
            f"Collect {own} raw tokens at {significant(self._kept * 100)} % kept; "
            f"{few} to {many} at {KEPT_HIGH * 100:.0f} to {KEPT_LOW * 100:.0f} %.\n"
            f"{count_text(mixture.corpus)} in all, {share} % domain, {100 - share} % general: "
            f"your plan takes {significant(mixture.epochs, 2)} passes.\n{EXAMPLE}"
        )

"""A domain's own data: how much raw text the tokens take, and which share of the corpus they are."""

from dataclasses import dataclass

from llmplanner.core.flops import Number

KEPT_LOW, KEPT_HIGH = (
    0.01,
    0.03,
)  # of raw web text after filtering: often quoted; GPT-3's lies in it


def raw_needed(wanted: Number, keep: Number) -> Number:
    """What must be collected so that `wanted` survives a filter that keeps the share `keep`.

    GPT-3 kept 570 GB of 45 TB of compressed Common Crawl text, 1.27 % (Brown et al. 2020,
    arXiv:2005.14165, s2.2).
    """
    return wanted / keep


@dataclass(frozen=True, slots=True)
class Mixture:
    """A training corpus, partly of the domain's own tokens."""

    domain: float  # tokens
    corpus: float  # tokens, the domain's among them
    trained: float | None = None  # tokens seen in training; None: the corpus once

    @property
    def share(self) -> float:
        """The domain's share of the corpus."""
        return self.domain / self.corpus

    @property
    def epochs(self) -> float:
        """How often training goes through the corpus."""
        return 1.0 if self.trained is None else self.trained / self.corpus


# Wu et al. 2023 (arXiv:2303.17564): 363B tokens of finance, 345B of other text (Table 1), 569B trained on (4)
BLOOMBERG_GPT = Mixture(domain=363e9, corpus=708.9e9, trained=569e9)

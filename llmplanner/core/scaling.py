"""Scaling laws: how large a model, on how many tokens, for a compute budget, and with which loss.

Losses of different laws must not be compared: each is on its own data and tokenizer. Kaplan et al. count
parameters without embeddings, the others all of them. The constants are data (models/laws.py).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmplanner.core.flops import PF_DAY, Number

FLOPS_PER_PARAMETER_AND_TOKEN = 6.0  # C = 6 N D
BAND_80 = 1.2815515594600038  # standard errors to either side of an 80 % band: the normal 90th percentile


@dataclass(frozen=True, slots=True)
class Fitted:
    """The ranges (low, high) that a law was fitted on. None: not stated."""

    parameters: tuple[float, float] | None = None
    tokens: tuple[float, float] | None = None
    compute: tuple[float, float] | None = None  # FLOPs


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """(scale / x) ^ exponent."""

    scale: float
    exponent: float

    def at(self, x: Number) -> Number:
        """The value at x."""
        return (self.scale / x) ** self.exponent


@dataclass(frozen=True, slots=True)
class Allocation:
    """coefficient * x ^ exponent."""

    coefficient: float
    exponent: float

    def at(self, x: Number) -> Number:
        """The value at x."""
        return self.coefficient * x**self.exponent


@dataclass(frozen=True, slots=True)
class KaplanLaw:
    """Kaplan et al. 2020 (arXiv:2001.08361). Parameters leave embeddings out.

    Loss is in nats per token of WebText2. Each equation keeps the constants of its own fit. Compute is C_min,
    the least for a loss; of the compute spent it is `minimum_share`: a half at the critical batch (eq. 5.5).
    """

    name: str
    title: str
    short: str  # as a curve is named
    source: str
    fitted: Fitted
    by_parameters: PowerLaw  # eq. 1.1
    by_tokens: PowerLaw  # eq. 1.2
    by_compute: PowerLaw  # eq. 1.3, PF-days
    joint_parameters: PowerLaw  # eq. 1.5, Table 2
    joint_tokens: PowerLaw  # eq. 1.5, Table 2
    optimal_parameters: Allocation  # of C_min in PF-days
    optimal_tokens: Allocation  # of C_min in PF-days; 6 N D comes out somewhat under the compute spent
    minimum_share: float = 0.5
    note: str = ""

    def loss(self, parameters: Number, tokens: Number) -> Number:
        """L(N, D), eq. 1.5: trained to convergence on a data set of so many tokens."""
        ratio = self.joint_parameters.exponent / self.joint_tokens.exponent
        share = (self.joint_parameters.scale / parameters) ** ratio + self.joint_tokens.scale / tokens
        return share**self.joint_tokens.exponent

    def minimum_pf_days(self, compute: Number) -> Number:
        """C_min in PF-days, for the FLOPs that are spent."""
        return compute * self.minimum_share / PF_DAY


@dataclass(frozen=True, slots=True)
class ParametricLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, the form of Hoffmann et al. 2022 (arXiv:2203.15556) eq. 2.

    `covariance` is that of the fit, over (ln A, ln B, ln E, alpha, beta), where known; it makes the band.
    """

    name: str
    title: str
    short: str  # as a curve is named
    source: str
    fitted: Fitted
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    covariance: tuple[tuple[float, float, float, float, float], ...] | None = None
    note: str = ""

    @property
    def exponent(self) -> float:
        """The a of N_opt = G (C/6)^a; tokens take the rest. Hoffmann et al. 2022 eq. 4."""
        return self.beta / (self.alpha + self.beta)

    @property
    def coefficient(self) -> float:
        """G of the same equation."""
        return float((self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta)))

    def loss(self, parameters: Number, tokens: Number) -> Number:
        """Loss of a model of so many parameters, trained on so many tokens, none of them twice."""
        return self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta


@dataclass(frozen=True, slots=True)
class AllocationLaw:
    """N_opt = coefficient * C^exponent, D_opt = C / (6 N_opt): how to spend compute, not which loss."""

    name: str
    title: str
    short: str  # as a curve is named
    source: str
    fitted: Fitted
    optimal_parameters: Allocation
    note: str = ""


@dataclass(frozen=True, slots=True)
class RatioRule:
    """A fixed number of tokens per parameter: a reading of others' tables, not a law of any paper."""

    name: str
    title: str
    short: str  # as a curve is named
    source: str
    fitted: Fitted
    tokens_per_parameter: float
    note: str = ""


Law = KaplanLaw | ParametricLaw | AllocationLaw | RatioRule


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model size, its tokens and what a law says of them.

    None where the law says nothing. Low and high bound an 80 % band of the law's own fit: how well its
    constants are known, not how well it will hold for another data set.
    """

    parameters: Number
    tokens: Number
    loss: Number | None
    in_range: bool | NDArray[np.bool_]  # within the ranges that the law was fitted on
    loss_low: Number | None = None
    loss_high: Number | None = None
    parameters_low: Number | None = None
    parameters_high: Number | None = None


def optimum(law: Law, compute: Number) -> Prediction:
    """The compute-optimal model for a budget of FLOPs. Arrays of budgets give arrays."""
    if isinstance(law, KaplanLaw):
        return _kaplan_optimum(law, compute)
    if isinstance(law, ParametricLaw):
        parameters = law.coefficient * (compute / FLOPS_PER_PARAMETER_AND_TOKEN) ** law.exponent
    elif isinstance(law, AllocationLaw):
        parameters = law.optimal_parameters.at(compute)
    else:
        parameters = (compute / (FLOPS_PER_PARAMETER_AND_TOKEN * law.tokens_per_parameter)) ** 0.5
    tokens = compute / (FLOPS_PER_PARAMETER_AND_TOKEN * parameters)
    within = in_range(law, parameters, tokens, compute)
    if not isinstance(law, ParametricLaw):
        return Prediction(parameters, tokens, None, within)
    return _with_bands(law, parameters, tokens, within, compute)


def prediction(law: Law, parameters: Number, tokens: Number) -> Prediction:
    """What a law says of any model size on any tokens (for Kaplan et al., without embeddings)."""
    compute = FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens
    within = in_range(law, parameters, tokens, compute)
    if isinstance(law, KaplanLaw):
        return Prediction(parameters, tokens, law.loss(parameters, tokens), within)
    if isinstance(law, ParametricLaw):
        return _with_bands(law, parameters, tokens, within)
    return Prediction(parameters, tokens, None, within)


def in_range(law: Law, parameters: Number, tokens: Number, compute: Number) -> bool | NDArray[np.bool_]:
    """Whether all three lie where the law was fitted; what it does not state does not count."""
    checks = (
        (law.fitted.parameters, parameters),
        (law.fitted.tokens, tokens),
        (law.fitted.compute, compute),
    )
    within: bool | NDArray[np.bool_] = True
    for bounds, value in checks:
        if bounds is not None:
            within = within & (bounds[0] <= value) & (value <= bounds[1])
    return within


def _kaplan_optimum(law: KaplanLaw, compute: Number) -> Prediction:
    least = law.minimum_pf_days(compute)
    parameters, tokens = law.optimal_parameters.at(least), law.optimal_tokens.at(least)
    return Prediction(
        parameters, tokens, law.by_compute.at(least), in_range(law, parameters, tokens, compute)
    )


def _with_bands(
    law: ParametricLaw,
    parameters: Number,
    tokens: Number,
    within: bool | NDArray[np.bool_],
    compute: Number | None = None,
) -> Prediction:
    """The loss and, where the fit's covariance is known, its band; the size's too, if `compute` chose it."""
    loss = law.loss(parameters, tokens)
    if law.covariance is None:
        return Prediction(parameters, tokens, loss, within)
    half = BAND_80 * _standard_error(law.covariance, _loss_gradient(law, parameters, tokens))
    low = high = None
    if compute is not None:
        spread = np.exp(BAND_80 * _standard_error(law.covariance, _size_gradient(law, compute)))
        low, high = parameters / spread, parameters * spread
    return Prediction(parameters, tokens, loss, within, loss - half, loss + half, low, high)


def _standard_error(
    covariance: tuple[tuple[float, ...], ...], gradient: tuple[Number, Number, Number, Number, Number]
) -> Number:
    """sqrt(g' S g): the error of a quantity from that of the constants it is made of (delta method)."""
    variance: Number = 0.0
    for row, left in zip(covariance, gradient, strict=True):
        for entry, right in zip(row, gradient, strict=True):
            variance = variance + entry * left * right
    return np.sqrt(variance)


def _loss_gradient(
    law: ParametricLaw, parameters: Number, tokens: Number
) -> tuple[Number, Number, Number, Number, Number]:
    """Derivatives of the loss by (ln A, ln B, ln E, alpha, beta).

    At an optimum they are those of the least loss too: moving along the budget changes nothing (envelope).
    """
    by_size = law.A / parameters**law.alpha
    by_data = law.B / tokens**law.beta
    return by_size, by_data, law.E, -by_size * np.log(parameters), -by_data * np.log(tokens)


def _size_gradient(law: ParametricLaw, compute: Number) -> tuple[Number, Number, Number, Number, Number]:
    """Derivatives of ln N_opt by (ln A, ln B, ln E, alpha, beta)."""
    total = law.alpha + law.beta
    product = np.log(compute / FLOPS_PER_PARAMETER_AND_TOKEN)  # ln(N D)
    base = np.log(law.coefficient)
    by_alpha = (1 / law.alpha - base - law.exponent * product) / total
    by_beta = (-1 / law.beta - base + (1 - law.exponent) * product) / total
    return 1 / total, -1 / total, 0.0, by_alpha, by_beta

"""Colours: every term has one, text is readable, and series can be told apart."""

import itertools
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from llmplanner.charts.palette import LIGHT, SERIES, TERM_TITLES, THEMES, Theme, contrast, ink_on
from llmplanner.core.estimate import TermName


def test_contrast_is_the_published_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # webaim.org's example


def test_every_term_has_a_colour_and_a_title() -> None:
    for term in get_args(TermName):
        assert term in SERIES
        assert term in TERM_TITLES


@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_text_is_readable(theme: Theme) -> None:
    for words in (theme.text, theme.mute, theme.accent, theme.ok, theme.warn, theme.bad):
        for ground in (theme.panel, theme.window):
            assert contrast(words, ground) >= 4.5
    for key in SERIES:
        assert contrast(theme.ink(key), theme.panel) >= 4.5
        assert contrast(ink_on(theme.colour(key)), theme.colour(key)) >= 4.0
        assert contrast(theme.colour(key), theme.panel) >= 1.9


# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", severity 1.0, on linear RGB; OKLab: B. Ottosson 2020, https://bottosson.github.io/posts/oklab/.
SIGHTS = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
APART = {"full": 0.16, "protanopia": 0.10, "deuteranopia": 0.10, "tritanopia": 0.075}


def seen(colour: str, sight: str) -> NDArray[np.float64]:
    """A colour in OKLab as an eye sees it."""
    shown = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.array(LAB) @ np.cbrt(
        np.array(LMS) @ np.clip(np.array(SIGHTS[sight]) @ linear, 0, 1)
    )
    return lab


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES.values(), ids=lambda theme: theme.name)
def test_laws_can_be_told_apart_by_every_eye(theme: Theme, sight: str) -> None:
    drawn = ("besiroglu", "hoffmann1", "hoffmann3", "kaplan", "rule20")
    for one, other in itertools.combinations(drawn, 2):
        distance = float(np.linalg.norm(seen(theme.stroke(one), sight) - seen(theme.stroke(other), sight)))
        assert distance >= APART[sight], (one, other)
    for law in drawn:
        assert contrast(theme.stroke(law), theme.panel) >= 2.4


def test_unknown_colours_are_refused() -> None:
    with pytest.raises(KeyError):
        LIGHT.colour("no such thing")

"""Colours: every term has one, text is readable, and series can be told apart."""

from typing import get_args

import pytest

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


def test_unknown_colours_are_refused() -> None:
    with pytest.raises(KeyError):
        LIGHT.colour("no such thing")

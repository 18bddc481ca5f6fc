"""The four pages: each answers one question with one dominant chart and cards of detail around it.

A page is made as `MemoryTab(session)` when it is first shown, or in idle time before that. The window calls
`show_theme` before the first state and after every switch of theme, and `show_state` after every change while
the page is visible and when it becomes visible. A page changes the plan through `session.edit` and
`session.slide`.
"""

from typing import Protocol

from llmplanner.app.session import State
from llmplanner.charts.figure import Figure
from llmplanner.charts.palette import Theme


class Tab(Protocol):
    """What the window asks of a page, which is a QWidget."""

    def show_state(self, state: State) -> None:
        """Shows what follows from the plan."""

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""

    def figure(self) -> Figure:
        """The dominant chart, as Export takes it."""

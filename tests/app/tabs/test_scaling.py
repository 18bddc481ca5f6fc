"""The Scaling curves page, by what a person types and reads."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app.fields import CountField
from llmplanner.app.session import Session
from llmplanner.app.tabs.scaling import ScalingTab
from llmplanner.charts.figure import Point
from llmplanner.charts.palette import DARK
from llmplanner.plans import Draft


@pytest.fixture
def page(qtbot: QtBot) -> ScalingTab:
    return shown(qtbot, Draft(gpu="h100-sxm"))


def shown(qtbot: QtBot, draft: Draft) -> ScalingTab:
    session = Session(draft)
    tab = ScalingTab(session)
    qtbot.addWidget(tab)
    tab.resize(936, 584)
    tab.show_theme(DARK)
    session.changed.connect(tab.show_state)
    tab.show_state(session.state)
    tab.show()
    qtbot.waitExposed(tab)
    return tab


def type_into(field: CountField, text: str) -> None:
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClick(field.entry, Qt.Key.Key_Delete)
    QTest.keyClicks(field.entry, text)
    QTest.keyClick(field.entry, Qt.Key.Key_Return)


def said(page: ScalingTab) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in page.laws.texts()}


def test_chinchilla_typed_gives_the_published_sizes(page: ScalingTab) -> None:
    """70B on 1.4T tokens: approach 3 says 41B, and 32B with the constants as printed."""
    type_into(page.fields["parameters"], "70b")
    type_into(page.fields["tokens"], "1,4T")
    rows = said(page)
    assert rows["Your plan"][:4] == ["70B", "1.4T", "20", "1.974"]
    assert rows["Hoffmann 3"][0] == "40.7B"
    assert rows["Hoffmann 3 printed"][0] == "32.5B"
    assert rows["Hoffmann 1"][0] == "68.5B"
    assert rows["20 per parameter"][:3] == ["70B", "1.4T", "20"]
    assert rows["Kaplan"][4] == "beyond"


def test_laws_without_a_loss_leave_the_cell_empty(page: ScalingTab) -> None:
    assert said(page)["Hoffmann 1"][3] == ""
    assert said(page)["Besiroglu"][3] != ""


def test_dot_follows_what_is_typed(page: ScalingTab) -> None:
    type_into(page.fields["tokens"], "300e9")
    (plan,) = [m for m in page.figure().marks if isinstance(m, Point) and m.marker == "plan"]
    assert (plan.x, plan.y) == (pytest.approx(8.03e9, rel=1e-3), 300e9)


def test_loss_is_shown_against_compute_size_and_data(page: ScalingTab) -> None:
    axes = []
    for button in page.against.buttons():
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        axes.append(page.loss.figure().x.label)
    assert axes == ["compute (FLOPs)", "parameters", "tokens"]


def test_chart_names_gopher_and_chinchilla_in_the_window(page: ScalingTab) -> None:
    page.grab()
    words = {box.text for box in page.chart.drawn().texts}
    assert {"Gopher 280B", "Chinchilla 70B", "your plan", "20 per parameter, a rule"} <= words


def test_domain_card_begins_with_bloomberg_gpt(page: ScalingTab) -> None:
    assert "51 % domain, 49 % general" in page.domain.told.text()
    assert "BloombergGPT: 363B of 709B, 51 to 49 %" in page.domain.told.text()


def test_raw_data_at_the_share_that_is_typed(page: ScalingTab) -> None:
    """GPT-3 kept 570 of 45,000 GB."""
    type_into(page.domain.domain, "570B")
    type_into(page.domain.kept, "1,27 %")
    assert page.domain.told.text().startswith(
        "Collect 44.9T raw tokens at 1.27 % kept; 19T to 57T at 3 to 1 %."
    )


def test_wrong_share_marks_its_field_and_keeps_the_rest(page: ScalingTab) -> None:
    before = page.domain.told.text()
    type_into(page.domain.kept, "0")
    assert page.domain.kept.problem.text()
    assert page.domain.told.text() == before


@pytest.mark.parametrize(("parameters", "tokens"), [(1, 1), (10**15, 10**18), (10**15, 1)])
def test_the_ends_of_what_can_be_typed(qtbot: QtBot, parameters: int, tokens: int) -> None:
    tab = shown(qtbot, Draft(gpu="h100-sxm", parameters=parameters, tokens=tokens))
    assert not tab.grab().isNull()
    assert len(said(tab)) == 8


def test_page_goes_into_the_smallest_window(page: ScalingTab) -> None:
    assert page.minimumSizeHint().width() <= 936
    assert page.minimumSizeHint().height() <= 584

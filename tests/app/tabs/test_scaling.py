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
    type_into(page.domain.fields["domain"], "570B")
    type_into(page.domain.fields["kept"], "1,27 %")
    assert page.domain.told.text().startswith(
        "Collect 44.9T raw tokens at 1.27 % kept; 19T to 57T at 3 to 1 %."
    )


@pytest.mark.parametrize("text", ["0", "150 %", "all", ""])
def test_a_wrong_share_marks_its_field_and_moves_nothing(page: ScalingTab, text: str) -> None:
    told, height = page.domain.told.text(), page.domain.height()
    type_into(page.domain.fields["kept"], text)
    assert page.domain.fields["kept"].entry.property("wrong")
    assert page.domain.told.text().startswith("Kept by the filter takes 0.000001 to 1, such as 0.02 or 2 %; ")
    assert page.domain.told.isVisible()
    assert page.domain.height() == height
    type_into(page.domain.fields["kept"], "2 %")
    assert not page.domain.fields["kept"].entry.property("wrong")
    assert page.domain.told.text() == told


def test_a_wrong_size_is_told_beneath_its_field(page: ScalingTab) -> None:
    before = said(page)
    told = page.told.text()
    type_into(page.fields["parameters"], "many")
    assert page.told.text() == "Parameters takes 1 to 1e15, such as 70B; not 'many'."
    assert said(page) == before
    type_into(page.fields["parameters"], "70b")
    assert page.told.text() == told


def test_own_tokens_come_back_and_bloomberg_gpts_at_a_click(qtbot: QtBot, page: ScalingTab) -> None:
    type_into(page.domain.fields["domain"], "12B")
    type_into(page.domain.fields["general"], "0")
    session = Session(Draft(gpu="h100-sxm"))
    session.kept = dict(page.session.kept)
    again = ScalingTab(session)
    qtbot.addWidget(again)
    assert "100 % domain, 0 % general" in again.domain.told.text()
    qtbot.mouseClick(again.domain.example, Qt.MouseButton.LeftButton)
    assert "51 % domain, 49 % general" in again.domain.told.text()
    assert again.domain.fields["domain"].entry.text() == "363B"


def test_what_is_remembered_and_cannot_be_used_gives_the_example(qtbot: QtBot) -> None:
    session = Session(Draft(gpu="h100-sxm"))
    session.kept = {"domain/domain": "-5", "domain/kept": "7", "domain/general": "x"}
    tab = ScalingTab(session)
    qtbot.addWidget(tab)
    assert "51 % domain, 49 % general" in tab.domain.told.text()


@pytest.mark.parametrize(("parameters", "tokens"), [(1, 1), (10**15, 10**18), (10**15, 1)])
def test_the_ends_of_what_can_be_typed(qtbot: QtBot, parameters: int, tokens: int) -> None:
    tab = shown(qtbot, Draft(gpu="h100-sxm", parameters=parameters, tokens=tokens))
    assert not tab.grab().isNull()
    assert len(said(tab)) == 8


def test_page_goes_into_the_smallest_window(page: ScalingTab) -> None:
    assert page.minimumSizeHint().width() <= 936
    assert page.minimumSizeHint().height() <= 584

"""Fields driven by keys and clicks: what is typed, what is refused, what stays."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from llmplanner import plan_fields
from llmplanner.app.fields import ChoiceField, CountField, Field, SearchField
from llmplanner.app.slider_field import SliderField
from llmplanner.plan_fields import FIELDS


def typed(qtbot: QtBot, entry: QLineEdit, text: str) -> None:
    entry.selectAll()
    qtbot.keyClicks(entry, text)
    qtbot.keyClick(entry, Qt.Key.Key_Return)


def shown(qtbot: QtBot, widget: QWidget) -> None:
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.4T", 1_400_000_000_000), ("70b", 70_000_000_000), ("3e9", 3_000_000_000), ("32,768", 32_768)],
)
def test_a_count_is_typed_as_people_write_it(qtbot: QtBot, text: str, value: int) -> None:
    field = CountField(FIELDS["tokens"], "Tokens.")
    shown(qtbot, field)
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, text)
    assert heard.args == [value]


def test_an_optional_count_may_be_emptied(qtbot: QtBot) -> None:
    field = CountField(FIELDS["tokens"], "Tokens.")
    field.show_value(5000)
    shown(qtbot, field)
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, "\b")
    assert heard.args == [None]


def test_a_decimal_comma_is_understood(qtbot: QtBot) -> None:
    field = CountField(plan_fields.Field("Efficiency", "number", low=0.001, high=1), "Share of the peak.")
    shown(qtbot, field)
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, "0,5")
    assert heard.args == [0.5]


@pytest.mark.parametrize("text", ["many", "-3", "1e40", "0"])
def test_a_wrong_entry_marks_its_own_field_and_keeps_the_last_value(qtbot: QtBot, text: str) -> None:
    field = CountField(FIELDS["batch"], "Sequences.")
    field.show_value(4)
    shown(qtbot, field)
    with qtbot.assertNotEmitted(field.entered):
        typed(qtbot, field.entry, text)
    assert field.problem.isVisible()
    assert field.problem.text().endswith(".")
    assert field.entry.property("wrong")
    field.show_value(4)
    assert not field.problem.isVisible()
    assert field.entry.text() == "4"
    assert not field.entry.property("wrong")


def test_a_slider_says_its_value_and_takes_typed_ones(qtbot: QtBot) -> None:
    field = SliderField(FIELDS["context"], "Tokens.", "tokens", 131_072)
    field.show_value(32_768)
    shown(qtbot, field)
    assert field.label.text() == "Context · 32,768 tokens"
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, "100k")
    assert heard.args == [102_400]


def test_the_keys_of_a_slider_reach_every_power_of_two_and_both_ends(qtbot: QtBot) -> None:
    field = SliderField(FIELDS["batch"], "Sequences.", "sequences", 256)
    field.show_value(1)
    shown(qtbot, field)
    values: list[int] = []
    field.slid.connect(values.append)
    for _ in range(field.slider.maximum()):
        qtbot.keyClick(field.slider, Qt.Key.Key_Right)
    assert values == sorted(set(values))
    assert {2, 4, 8, 16, 32, 64, 128, 256} <= set(values)
    qtbot.keyClick(field.slider, Qt.Key.Key_Home)
    assert values[-1] == 1
    assert field.label.text() == "Sequences at once · 1 sequence"


def test_a_value_beyond_the_slider_stays_what_was_typed(qtbot: QtBot) -> None:
    field = SliderField(FIELDS["context"], "Tokens.", "tokens", 4096)
    with qtbot.assertNotEmitted(field.slid):
        field.show_value(1_000_000)
    assert field.entry.text() == "1,000,000"
    assert field.slider.value() == field.slider.maximum()


def turn_wheel(widget: QWidget) -> None:
    """A click of the wheel over a widget, as a mouse sends it."""
    window = widget.window().windowHandle()
    middle = widget.mapTo(widget.window(), widget.rect().center())
    QTest.wheelEvent(window, QPointF(middle), QPoint(0, -120))
    QApplication.processEvents()


def _choice() -> tuple[Field, QWidget, object]:
    field = ChoiceField("Task", "What to do.", (("serve", "Serve"), ("finetune", "Fine-tune")))
    return field, field.box, "serve"


def _search() -> tuple[Field, QWidget, object]:
    field = SearchField("GPU", "Type a part of the name.")
    field.offer((("a", "NVIDIA A100"), ("h", "NVIDIA H100")))
    return field, field.box, "NVIDIA A100"


def _slider() -> tuple[Field, QWidget, object]:
    field = SliderField(FIELDS["context"], "Tokens.", "tokens", 131_072)
    return field, field.slider, 32_768


@pytest.mark.parametrize("made", [_choice, _search, _slider])
def test_the_wheel_scrolls_past_a_control_without_focus(
    qtbot: QtBot, made: Callable[[], tuple[Field, QWidget, object]]
) -> None:
    (field, control, value), first = made(), QLineEdit()
    field.show_value(value)
    panel = QWidget()
    rows = QVBoxLayout(panel)
    rows.addWidget(first)
    rows.addWidget(field)
    shown(qtbot, panel)
    first.setFocus()
    shows = control.property("currentIndex"), control.property("value")
    turn_wheel(control)
    assert first.hasFocus()
    assert (control.property("currentIndex"), control.property("value")) == shows
    control.setFocus()
    turn_wheel(control)
    assert (control.property("currentIndex"), control.property("value")) != shows


def test_a_choice_reports_its_value(qtbot: QtBot) -> None:
    field = ChoiceField("Task", "What to do.", (("serve", "Serve"), ("finetune", "Fine-tune")))
    field.show_value("serve")
    shown(qtbot, field)
    with qtbot.waitSignal(field.entered) as heard:
        field.box.setFocus()
        qtbot.keyClick(field.box, Qt.Key.Key_Down)
    assert heard.args == ["finetune"]


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the list that drops down, offscreen
def test_a_part_of_a_name_finds_the_one_that_has_it(qtbot: QtBot) -> None:
    field = SearchField("GPU", "Type a part of the name.")
    field.offer((("a", "NVIDIA A100"), ("h", "NVIDIA H100"), ("r", "GeForce RTX 4090")))
    field.show_value("NVIDIA A100")
    shown(qtbot, field)
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, "4090")
    assert heard.args == ["r"]
    with qtbot.waitSignal(field.entered) as heard:
        typed(qtbot, field.entry, "nothing like it")
    assert heard.args == ["nothing like it"]


def test_every_field_has_a_name_and_a_definition(qtbot: QtBot) -> None:
    for field in (
        CountField(FIELDS["batch"], "Sequences."),
        SliderField(FIELDS["context"], "Tokens.", "tokens", 4096),
        ChoiceField("Task", "What to do.", ()),
        SearchField("GPU", "Type a part of the name."),
    ):
        qtbot.addWidget(field)
        control = field.label.buddy()
        assert control.accessibleName()
        assert control.toolTip()

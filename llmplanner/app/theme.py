"""The look of the window: Fusion, a palette and one small style sheet, light or dark, switched live."""

from typing import Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from llmplanner.charts.canvas import load_fonts
from llmplanner.charts.palette import DARK, LIGHT, Theme
from llmplanner.resources import folder

Choice = Literal["system", "light", "dark"]
THEME_CHOICES: tuple[tuple[Choice, str], ...] = (
    ("system", "As the &system"),
    ("light", "&Light"),
    ("dark", "&Dark"),
)
FAMILIES = ["Inter", "Segoe UI", "SF Pro Text", "DejaVu Sans"]
ARGUMENTS = ["LLM Planner", "-style", "Fusion"]  # of QApplication; by setStyle it takes 5 ms more
POINTS = 9.75  # 13 px at 96 dots per inch
MIDDLE = 128  # lightness between a dark and a light palette
MARGIN, INSET, GAP = 24, 16, 12  # px: outside, in a card, between


class Looks(QObject):
    """The theme, worn after `dress`, of an application that was made with ARGUMENTS.

    `changed` carries the Theme after every switch.
    """

    changed = Signal(object)

    def __init__(self, app: QApplication, choice: Choice = "system") -> None:
        super().__init__(app)
        self._app = app
        self._came_dark = app.palette().color(QPalette.ColorRole.Window).lightness() < MIDDLE
        self.choice: Choice = choice
        app.setFont(ui_font())
        app.styleHints().colorSchemeChanged.connect(self._follow)
        self.theme = self._wanted()

    def choose(self, choice: Choice) -> None:
        """Takes light, dark, or what the system says."""
        self.choice = choice
        self._follow()

    def _follow(self) -> None:
        wanted = self._wanted()
        if wanted is not self.theme:
            self.theme = wanted
            self.dress()
            self.changed.emit(wanted)

    def _wanted(self) -> Theme:
        if self.choice != "system":
            return DARK if self.choice == "dark" else LIGHT
        scheme = self._app.styleHints().colorScheme()
        if scheme is Qt.ColorScheme.Unknown:  # no desktop that tells: what the platform's palette was
            return DARK if self._came_dark else LIGHT
        return DARK if scheme is Qt.ColorScheme.Dark else LIGHT

    def dress(self) -> None:
        """Gives the widgets there are their style; done before they are made, it takes twice as long."""
        self._app.setPalette(palette(self.theme))
        self._app.setStyleSheet(style_sheet(self.theme))


def ui_font() -> QFont:
    """The shipped Inter, or the next of the families that the computer has; figures of equal width."""
    load_fonts()
    font = QFont(FAMILIES)
    font.setPointSizeF(POINTS)
    font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    font.setFeature(QFont.Tag("tnum"), 1)
    return font


def palette(theme: Theme) -> QPalette:
    """Every role of Fusion from the theme's colours."""
    role = QPalette.ColorRole
    colours = {
        role.Window: theme.window,
        role.WindowText: theme.text,
        role.Base: theme.field,
        role.AlternateBase: theme.panel,
        role.Text: theme.text,
        role.Button: theme.panel,
        role.ButtonText: theme.text,
        role.BrightText: theme.accent_text,
        role.PlaceholderText: theme.mute,
        role.Highlight: theme.accent,
        role.HighlightedText: theme.accent_text,
        role.ToolTipBase: theme.panel,
        role.ToolTipText: theme.text,
        role.Link: theme.accent,
        role.LinkVisited: theme.accent,
        role.Mid: theme.line,
        role.Midlight: theme.grid,
        role.Dark: theme.line,
        role.Accent: theme.accent,
    }
    dressed = QPalette()
    for name, colour in colours.items():
        dressed.setColor(name, QColor(colour))
    for name in (role.WindowText, role.Text, role.ButtonText):
        dressed.setColor(QPalette.ColorGroup.Disabled, name, QColor(theme.mute))
    return dressed


def style_sheet(theme: Theme) -> str:
    """What the palette cannot say: cards, roles of labels, tabs, entries."""
    chevron = _icon("chevron", theme)
    return f"""
#plan, #plan QScrollArea, #plan #rows {{ background: {theme.panel}; }}
#plan {{ border-right: 1px solid {theme.line}; }}
QFrame[card="true"] {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 8px; }}
QLabel[role="section"] {{ color: {theme.mute}; font-weight: 600; }}
QLabel[role="mute"] {{ color: {theme.mute}; }}
#drop {{ background: {theme.panel}; border: 2px dashed {theme.accent}; border-radius: 8px;
    color: {theme.text}; font-size: 13pt; font-weight: 600; }}
QLabel[role="changed"] {{ color: {theme.accent}; }}
QLabel[role="problem"] {{ color: {theme.bad}; }}
QLabel[role="big"] {{ font-size: 17pt; font-weight: 600; }}
QLabel[verdict="fits"] {{ color: {theme.ok}; }}
QLabel[verdict="tight"] {{ color: {theme.warn}; }}
QLabel[verdict="no"] {{ color: {theme.bad}; }}
QLabel[verdict="unknown"] {{ color: {theme.mute}; }}
QTabWidget::pane {{ border: 0; }}
QTabBar::tab {{ padding: 8px 16px; color: {theme.mute}; border: 0; border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {theme.text}; border-bottom: 2px solid {theme.accent}; }}
QTabBar::tab:hover, QTabBar::tab:focus {{ color: {theme.text}; }}
QLineEdit, QComboBox, QSpinBox {{ background: {theme.field}; border: 1px solid {theme.line};
    border-radius: 6px; padding: 3px 8px; min-height: 20px; selection-background-color: {theme.accent};
    selection-color: {theme.accent_text}; }}
QLineEdit:focus, QComboBox:focus, QSpinBox:focus, QPushButton:focus {{ border: 1px solid {theme.accent}; }}
QLineEdit[wrong="true"], QComboBox[wrong="true"] {{ border: 1px solid {theme.bad}; }}
QLineEdit:disabled, QComboBox:disabled, QSpinBox:disabled {{ color: {theme.mute}; }}
QComboBox QLineEdit, QSpinBox QLineEdit {{ background: transparent; border: 0; padding: 0; }}
QSpinBox::up-button, QSpinBox::down-button {{ width: 1px; border: 0; }}
QComboBox {{ combobox-popup: 0; }}
QComboBox::drop-down {{ border: 0; width: 24px; subcontrol-origin: padding;
    subcontrol-position: center right; }}
QComboBox::down-arrow {{ image: url("{chevron}"); width: 12px; height: 12px; }}
QPushButton {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 6px;
    padding: 5px 12px; min-height: 18px; }}
QListView {{ background: {theme.panel}; border: 1px solid {theme.line}; outline: 0;
    selection-background-color: {theme.accent}; selection-color: {theme.accent_text}; }}
QListView::item {{ padding: 3px 6px; }}
QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}
QPushButton[small="true"] {{ padding: 1px 8px; min-height: 16px; }}
QPushButton:hover {{ background: {theme.field}; }}
QPushButton:pressed, QPushButton:checked {{ background: {theme.line}; }}
QPushButton:disabled {{ color: {theme.mute}; }}
QTableView {{ border: 0; background: {theme.panel}; gridline-color: {theme.grid}; outline: 0;
    selection-background-color: {theme.grid}; selection-color: {theme.text}; }}
QTableView:focus {{ selection-background-color: {theme.line}; }}
QTableView::item {{ padding: 2px 4px; border: 0; }}
QHeaderView, QHeaderView::section {{ background: transparent; color: {theme.mute}; border: 0; }}
QHeaderView::section {{ border-bottom: 1px solid {theme.line}; padding: 4px 7px; }}
QHeaderView::up-arrow, QHeaderView::down-arrow {{ width: 12px; height: 12px;
    subcontrol-origin: padding; subcontrol-position: center; }}
QTableCornerButton::section {{ background: transparent; border: 0; }}
QScrollBar {{ background: transparent; border: 0; margin: 0; }}
QScrollBar:vertical {{ width: 10px; }}
QScrollBar:horizontal {{ height: 10px; }}
QScrollBar::handle {{ background: {theme.line}; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 28px; }}
QScrollBar::handle:horizontal {{ min-width: 28px; }}
QScrollBar::handle:hover {{ background: {theme.mute}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QScrollArea {{ border: 0; background: transparent; }}
QStatusBar {{ color: {theme.mute}; border-top: 1px solid {theme.line}; }}
QStatusBar::item {{ border: 0; }}
QProgressBar {{ background: {theme.line}; border: 0; border-radius: 4px; }}
QProgressBar::chunk {{ background: {theme.accent}; border-radius: 4px; }}
QToolTip {{ background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.line}; padding: 4px; }}
{_controls(theme)}"""


def _controls(theme: Theme) -> str:
    """Sliders, check boxes, folds and receipts."""
    check = _icon("check", theme)
    return f"""
QToolButton[fold="true"] {{ background: transparent; border: 1px solid transparent; border-radius: 6px;
    color: {theme.accent}; padding: 2px 6px 2px 0; }}
QToolButton[fold="true"]:focus {{ border: 1px solid {theme.accent}; }}
QCheckBox {{ spacing: 8px; min-height: 22px; }}
QCheckBox::indicator {{ width: 14px; height: 14px; border: 1px solid {theme.mute}; border-radius: 4px;
    background: {theme.field}; }}
QCheckBox::indicator:checked {{ background: {theme.accent}; border: 1px solid {theme.accent};
    image: url("{check}"); }}
QCheckBox::indicator:focus {{ border: 1px solid {theme.accent}; }}
QCheckBox[wrong="true"]::indicator {{ border: 1px solid {theme.bad}; }}
QTextBrowser {{ background: transparent; border: 0; }}
QTextBrowser:focus {{ border: 1px solid {theme.accent}; border-radius: 6px; }}
QSlider {{ min-height: 22px; }}
QSlider::groove:horizontal {{ height: 4px; background: {theme.line}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ background: {theme.accent}; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -6px 0; border-radius: 8px;
    background: {theme.panel}; border: 1px solid {theme.mute}; }}
QSlider::handle:horizontal:focus {{ border: 2px solid {theme.accent}; width: 12px; height: 12px; }}
"""


def _icon(name: str, theme: Theme) -> str:
    """The file of an icon, as a style sheet names it."""
    return (folder() / "icons" / f"{name}-{theme.name}.svg").as_posix()

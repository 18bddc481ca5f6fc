"""What the tables of the window have in common: where the text of a column stands, and its head."""

from collections.abc import Sequence

from PySide6.QtCore import Qt

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


def head(
    heads: Sequence[str], section: int, orientation: Qt.Orientation, role: int, *, figures: bool
) -> object:
    """The head of a column for Qt, aligned as what stands under it: figures on the right."""
    if orientation is not Qt.Orientation.Horizontal:
        return None
    if role == Qt.ItemDataRole.DisplayRole:
        return heads[section]
    if role == Qt.ItemDataRole.TextAlignmentRole:
        return RIGHT if figures else LEFT
    return None

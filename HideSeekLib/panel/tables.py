"""Small helpers for table widgets: cells, colours that suit light and dark, selections."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import qt

KEY_ROLE = int(qt.Qt.UserRole)
"""Item data role that holds what a row stands for."""

RED, BLUE, GREEN, AMBER, GREY = "#d03b32", "#2f6fd0", "#2f8f4e", "#d98a00", "#808080"


def cell(text: str, *, key: str = "", right: bool = False, tip: str = "") -> Any:
    """Return a table item that cannot be edited."""
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsSelectable | qt.Qt.ItemIsEnabled)
    if right:
        item.setTextAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    if key:
        item.setData(KEY_ROLE, key)
    if tip:
        # A tool tip has no format of its own: what could be markup is told to be none.
        item.setToolTip(f"<qt>{html.escape(tip)}</qt>" if "<" in tip else tip)
    return item


def key_of(item: Any) -> str:
    """Return the key stored in an item, or ""."""
    return str(item.data(KEY_ROLE) or "") if item is not None else ""


def blend(widget: Any, colour: Any, share: float) -> Any:
    """Return `colour` mixed into the widget's own background, so that its text stays readable."""
    base = widget.palette.color(qt.QPalette.Base)
    over = qt.QColor(colour)
    keep = 1.0 - share
    return qt.QColor(
        int(base.red() * keep + over.red() * share),
        int(base.green() * keep + over.green() * share),
        int(base.blue() * keep + over.blue() * share),
    )


def tint(widget: Any, item: Any, colour: str, share: float) -> None:
    """Colour the background of an item; a share of 0 leaves it plain."""
    item.setBackground(qt.QBrush(blend(widget, colour, share)) if share > 0 else qt.QBrush())


def dim(widget: Any, item: Any, dimmed: bool) -> None:
    """Show the text of an item fainter, but still readable, when it does not count."""
    text = widget.palette.color(qt.QPalette.Active, qt.QPalette.Text)
    item.setForeground(qt.QBrush(blend(widget, text, 0.6) if dimmed else text))


def show_text(label: Any, text: str) -> None:
    """Show a text, and take no room for none."""
    label.text = text
    label.visible = bool(text)


def selected_rows(table: Any) -> list[int]:
    """Return the selected rows from top to bottom."""
    return sorted({item.row() for item in table.selectedItems()})


def fill_combo(combo: Any, entries: Iterable[tuple[str, str]], current: str) -> None:
    """Fill a combo box with (text, key) without telling anybody; `current` is a key."""
    before = combo.blockSignals(True)
    combo.clear()
    index = 0
    for n, (text, key) in enumerate(entries):
        combo.addItem(text, key)
        if key == current:
            index = n
    combo.setCurrentIndex(index if combo.count else -1)
    combo.blockSignals(before)


def combo_key(combo: Any) -> str:
    """Return the key of the chosen entry, "" without one."""
    index = combo.currentIndex
    return str(combo.itemData(index) or "") if index >= 0 else ""


def choose(combo: Any, key: str) -> None:
    """Choose the entry with `key` without telling anybody."""
    before = combo.blockSignals(True)
    for index in range(combo.count):
        if str(combo.itemData(index) or "") == key:
            combo.setCurrentIndex(index)
            break
    combo.blockSignals(before)


def stretch_columns(table: Any, stretched: int) -> None:
    """Let one column take the room that the others leave; `fit_columns` sizes those.

    The others are not sized by content all the time: Qt would measure the column again for every
    changed cell, which takes seconds for the changes that a threshold makes.
    """
    header = table.horizontalHeader()
    for column in range(table.columnCount):
        mode = qt.QHeaderView.Stretch if column == stretched else qt.QHeaderView.Interactive
        header.setSectionResizeMode(column, mode)
    table.verticalHeader().setDefaultSectionSize(qt.QFontMetrics(table.font).height() + 10)
    fit_columns(table, stretched)


def fit_columns(table: Any, stretched: int) -> None:
    """Size the columns by the rows in view, all but the stretched one."""
    table.horizontalHeader().setResizeContentsPrecision(40)
    for column in range(table.columnCount):
        if column != stretched:
            table.resizeColumnToContents(column)


def write(item: Any, text: str) -> None:
    """Give an item a text, if it is another one: every change of a cell costs a repaint."""
    if item.text() != text:
        item.setText(text)

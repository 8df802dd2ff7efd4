"""Stand-ins for the ctk widgets that the panel's .ui file names.

Stands for: ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkSliderWidget, ctkRangeWidget and
ctkPathLineEdit, with the properties, methods and signals the panel uses and roughly their looks.

No kinder than CTK: a path line tells each keystroke and says nothing of a path when it is cleared,
only that its input is no longer valid (ctkPathLineEdit.cpp).

Limits: written from the widgets' public headers, for this panel only. Units, history of paths,
browsing and keyboard details of the real widgets are absent. Only a real Slicer can show those.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6.QtCore import Property, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStylePainter,
    QToolButton,
    QWidget,
)

from . import pythonqt


class ctkCollapsibleButton(QWidget):
    """Section with a clickable head that hides its content."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._collapsed = False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._head(), 0, 0)

    def _head(self) -> int:
        return self.fontMetrics().height() + 12

    def _get_text(self) -> str:
        return self._text

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _get_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(self._head() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, _get_text, _set_text)
    collapsed = Property(bool, _get_collapsed, _set_collapsed)

    def sizeHint(self) -> QSize:
        return QSize(200, self._head()) if self._collapsed else super().sizeHint()

    def minimumSizeHint(self) -> QSize:
        return QSize(60, self._head()) if self._collapsed else super().minimumSizeHint()

    def childEvent(self, event: Any) -> None:
        if event.added() and self._collapsed and isinstance(event.child(), QWidget):
            event.child().setVisible(False)
        super().childEvent(event)

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() <= self._head():
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event: Any) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = self.rect().adjusted(0, 0, 0, self._head() - self.height())
        painter.drawControl(QStyle.ControlElement.CE_PushButtonBevel, option)
        arrow = QStyleOptionButton()
        arrow.initFrom(self)
        arrow.rect = option.rect.adjusted(8, 7, 20 - option.rect.width(), -7)
        down = QStyle.PrimitiveElement.PE_IndicatorArrowDown
        right = QStyle.PrimitiveElement.PE_IndicatorArrowRight
        painter.drawPrimitive(right if self._collapsed else down, arrow)
        font = self.font()
        font.setBold(True)
        painter.setFont(font)
        place = option.rect.adjusted(28, 0, 0, 0)
        painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter), self._text)


class ctkCollapsibleGroupBox(QGroupBox):
    """Group box whose title hides its content; `collapsed` is the reverse of `checked`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setCheckable(True)
        self.setStyleSheet("QGroupBox::indicator { width: 11px; height: 11px; }")
        self.toggled.connect(self._show_children)

    def _show_children(self, shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(shown)
        self.setMaximumHeight(16777215 if shown else self.fontMetrics().height() + 10)

    def childEvent(self, event: Any) -> None:
        if event.added() and not self.isChecked() and isinstance(event.child(), QWidget):
            event.child().setVisible(False)
        super().childEvent(event)

    def _get_collapsed(self) -> bool:
        return not self.isChecked()

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)
        self._show_children(not collapsed)

    collapsed = Property(bool, _get_collapsed, _set_collapsed)


class ctkSliderWidget(QWidget):
    """Slider with a spin box, double values."""

    valueChanged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._spin = QDoubleSpinBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._spin)
        self.setFocusProxy(self._slider)
        self._slider.valueChanged.connect(lambda n: self._spin.setValue(n * self._step()))
        self._spin.valueChanged.connect(self._changed)
        self._rescale()

    def _step(self) -> float:
        return float(self._spin.singleStep()) or 1.0

    def _rescale(self) -> None:
        self._slider.setRange(
            round(self._spin.minimum() / self._step()), round(self._spin.maximum() / self._step())
        )

    def _changed(self, value: float) -> None:
        self._slider.blockSignals(True)
        self._slider.setValue(round(value / self._step()))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _set(self, setter: Any, value: Any) -> None:
        setter(value)
        self._rescale()

    value = Property(float, lambda s: s._spin.value(), lambda s, v: s._spin.setValue(v))
    minimum = Property(
        float, lambda s: s._spin.minimum(), lambda s, v: s._set(s._spin.setMinimum, v)
    )
    maximum = Property(
        float, lambda s: s._spin.maximum(), lambda s, v: s._set(s._spin.setMaximum, v)
    )
    singleStep = Property(
        float, lambda s: s._spin.singleStep(), lambda s, v: s._set(s._spin.setSingleStep, v)
    )
    pageStep = Property(float, lambda s: 0.1, lambda s, v: None)
    decimals = Property(int, lambda s: s._spin.decimals(), lambda s, v: s._spin.setDecimals(v))
    suffix = Property(str, lambda s: s._spin.suffix(), lambda s, v: s._spin.setSuffix(v))


class ctkRangeWidget(QWidget):
    """Two values with lower and upper spin boxes."""

    valuesChanged = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._low, self._high = QDoubleSpinBox(self), QDoubleSpinBox(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._low)
        bar = QSlider(Qt.Orientation.Horizontal, self)
        bar.setEnabled(False)
        row.addWidget(bar, 1)
        row.addWidget(self._high)
        for spin in (self._low, self._high):
            spin.valueChanged.connect(
                lambda _: self.valuesChanged.emit(self._low.value(), self._high.value())
            )

    def _each(self, name: str, value: Any) -> None:
        for spin in (self._low, self._high):
            getattr(spin, name)(value)

    def setValues(self, low: float, high: float) -> None:
        self._low.setValue(low)
        self._high.setValue(high)

    minimum = Property(float, lambda s: s._low.minimum(), lambda s, v: s._each("setMinimum", v))
    maximum = Property(float, lambda s: s._low.maximum(), lambda s, v: s._each("setMaximum", v))
    singleStep = Property(
        float, lambda s: s._low.singleStep(), lambda s, v: s._each("setSingleStep", v)
    )
    decimals = Property(int, lambda s: s._low.decimals(), lambda s, v: s._each("setDecimals", v))
    minimumValue = Property(float, lambda s: s._low.value(), lambda s, v: s._low.setValue(v))
    maximumValue = Property(float, lambda s: s._high.value(), lambda s, v: s._high.setValue(v))


class ctkPathLineEdit(QWidget):
    """Path with a browse button."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    Dirs, Files, Executable, NoDot, NoDotDot, Readable = 0x1, 0x2, 0x40, 0x2000, 0x4000, 0x10

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._filters = 0
        self._edit = QLineEdit(self)
        browse = QToolButton(self)
        browse.setText("…")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._edit, 1)
        row.addWidget(browse)
        self.setFocusProxy(self._edit)
        self._valid = False
        self._edit.textChanged.connect(self._text_changed)

    def _text_changed(self, text: str) -> None:
        # updateHasValidInput of ctkPathLineEdit.cpp: its validator is ".+", so that a cleared
        # field says nothing but that it is no longer valid; each keystroke tells a path.
        valid = bool(text)
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)
        if valid:
            self.currentPathChanged.emit(text)

    def _set_filters(self, value: int) -> None:
        self._filters = value

    currentPath = Property(str, lambda s: s._edit.text(), lambda s, v: s._edit.setText(v))
    filters = Property(int, lambda s: s._filters, _set_filters)


CTK = (
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkSliderWidget,
    ctkRangeWidget,
    ctkPathLineEdit,
)
pythonqt.custom_widgets.extend(CTK)


def make_module() -> ModuleType:
    """Build the module that is imported as `ctk`."""
    module = ModuleType("ctk", __doc__)
    for cls in CTK:
        setattr(module, cls.__name__, pythonqt.WrappedClass(cls))
    return module

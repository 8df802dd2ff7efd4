"""Sentences for the report, onto the clipboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ctk
import qt
import slicer

from HideSeekLib.case import dates
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.panel import tables
from HideSeekLib.run.board import Board
from HideSeekLib.wire.codec import to_plain
from HideSeekLib.worker.request import Failure

LANGUAGES = (("English", "en"), ("Deutsch", "de"))
LANGUAGE_KEY, TEMPLATE_KEY = "HideSeek/TextLanguage", "HideSeek/TextTemplate"


class ReportTextSection:
    """Asks the backend for the sentences of what the reader accepted, and copies them."""

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        settings = slicer.app.userSettings()
        language = str(settings.value(LANGUAGE_KEY, "en") or "en")
        tables.fill_combo(ui.textLanguageCombo, LANGUAGES, language)
        ui.textTemplatePath.filters = ctk.ctkPathLineEdit.Files
        ui.textTemplatePath.currentPath = str(settings.value(TEMPLATE_KEY, "") or "")
        ui.copyTextButton.connect("clicked()", lambda: board.guarded(self.copy))
        board.case_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Enable the button where there is a case."""
        self.ui.copyTextButton.enabled = self.board.live_case() is not None

    def copy(self) -> None:
        """Put the sentences onto the clipboard. Raises SceneError for a template without text."""
        case = self.board.live_case()
        if case is None:
            return
        language = tables.combo_key(self.ui.textLanguageCombo)
        path = str(self.ui.textTemplatePath.currentPath).strip()
        settings = slicer.app.userSettings()
        settings.setValue(LANGUAGE_KEY, language)
        settings.setValue(TEMPLATE_KEY, path)
        told = dates.follow_up_of(case)
        options = {**case.record.options, **(case.record.provenance.get("options") or {})}
        params = {
            "vertebrae": to_plain(case.vertebra_rows()),
            "language": language,
            "template": _template(path),
            "follow_up": to_plain(told, listed=True) if told is not None else None,
            "volumes": options.get("slices") != "central",
        }

        def answered(result: dict[str, Any]) -> None:
            text = str(result.get("text") or "")
            if not text:
                self.board.say(_("Nothing is accepted yet: there is nothing to report."))
                return
            qt.QApplication.clipboard().setText(text)
            lines = len(text.splitlines())
            self.board.say(_("{n} lines are on the clipboard.").format(n=lines))

        def failed(failure: Failure) -> None:
            self.board.say("⚠ " + str(failure))

        self.board.ask("text", params, answered, failed)


def _template(path: str) -> str:
    if not path:
        return ""
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SceneError(
            _("The template '{name}' cannot be read as text.").format(name=Path(path).name)
        ) from error

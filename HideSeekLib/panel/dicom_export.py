"""DICOM: the case under review as segmentation, structured report and key images, for its study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer

from HideSeekLib.case.dicom_study import FOLDER, odd_levels, study_files
from HideSeekLib.case.stored_case import changed_by_hand
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools, tables
from HideSeekLib.run import words
from HideSeekLib.run.board import Board
from HideSeekLib.run.dicom import DicomWriting

READER_KEY, ORGANIZATION_KEY = "HideSeek/Reader", "HideSeek/Organization"


class DicomSection:
    """Asks for the study and who reads it, and has the worker write the objects.

    The worker does it beside a running analysis; nothing is sent anywhere.
    """

    def __init__(self, ui: Any, board: Board) -> None:
        self.board = board
        self.ui = ui
        self._writing = DicomWriting(board, self._show, self._say)
        settings = slicer.app.userSettings()
        ui.dicomReaderEdit.text = str(settings.value(READER_KEY, "") or "")
        ui.dicomOrganizationEdit.text = str(settings.value(ORGANIZATION_KEY, "") or "")
        for path in (ui.dicomStudy, ui.exportFolder):
            path.connect("currentPathChanged(QString)", lambda text: self._enable())
            path.connect("validInputChanged(bool)", lambda valid: self._enable())
        ui.dicomLevelsCheck.connect("toggled(bool)", lambda on: self._enable())
        # Afterwards: a group that opens shows all that is in it.
        self._opened = qt_tools.single_shot(0, lambda: board.guarded(self.refresh))
        ui.dicomGroup.connect("toggled(bool)", lambda on: self._opened.start())
        ui.dicomButton.connect("clicked()", lambda: board.guarded(self.start))
        ui.dicomCancelButton.connect("clicked()", self.cancel)
        self._next = qt_tools.single_shot(0, self._step)
        board.case_changed.connect(self.refresh)
        board.inputs_changed.connect(self.refresh)
        ui.dicomProgress.visible = False
        self._say("")
        self.refresh()

    def busy(self) -> bool:
        """Return whether objects are being written."""
        return self._writing.busy

    def refresh(self) -> None:
        """Say where the study is and what is odd about the levels, before anything is written."""
        ui, case = self.ui, self.board.live_case()
        odd: tuple[str, ...] = ()
        lines = []
        if case is not None and not ui.dicomGroup.collapsed:
            files = study_files(case.ct) if case.ct is not None else []
            if files:
                lines.append(
                    _(
                        "The study is in Slicer's DICOM database ({n} files): no folder needed."
                    ).format(n=len(files))
                )
            odd = odd_levels(case)
            lines.append(words.about_levels(odd))
            changed = changed_by_hand(case)
            if changed:
                lines.append(
                    _("Edited by hand, exported as they are now, without Δ: {names}").format(
                        names=", ".join(changed)
                    )
                )
        tables.show_text(ui.dicomStateLabel, "\n".join(lines))
        if not odd:
            ui.dicomLevelsCheck.checked = False
        ui.dicomLevelsCheck.visible = bool(odd)
        ui.dicomProgress.visible = self.busy()
        self._enable()

    def start(self) -> None:
        """Check what was given, then gather the case, a vertebra at a time."""
        ui, case = self.ui, self.board.live_case()
        if case is None or self.busy():
            return
        problem = self._problem()
        if problem:
            self._say("⚠ " + problem)
            return
        settings = slicer.app.userSettings()
        settings.setValue(READER_KEY, ui.dicomReaderEdit.text.strip())
        settings.setValue(ORGANIZATION_KEY, ui.dicomOrganizationEdit.text.strip())
        folder = Path(ui.exportFolder.currentPath).expanduser() / FOLDER
        given = ui.dicomStudy.currentPath.strip()
        self._writing.start(
            {
                "study": str(Path(given).expanduser()) if given else study_files(case.ct),
                "out": str(folder),
                "reader": ui.dicomReaderEdit.text.strip(),
                "organization": ui.dicomOrganizationEdit.text.strip(),
                "sign": ui.dicomSignCheck.checked,
                "pseudonym": ui.dicomPseudonymEdit.text.strip(),
                "rejected": ui.dicomRejectedCheck.checked,
                "levels_checked": ui.dicomLevelsCheck.checked,
            }
        )
        self._next.start()

    def cancel(self) -> None:
        """Give up; what was in the folder before is still there."""
        self._writing.cancel()

    def forget(self) -> None:
        """Drop what is on its way, for a closing scene or module."""
        self._writing.forget()
        self._say("")

    # --- inside ------------------------------------------------------------------------------

    def _problem(self) -> str:
        """Say what is missing, "" for nothing."""
        ui, case = self.ui, self.board.live_case()
        if not ui.exportFolder.currentPath.strip():
            return _("Choose a folder for the export first.")
        if self.board.settings.remote():
            return _(
                "The backend is on another computer and cannot see the study here: export the "
                "tables and use `hideseek dicom export` there."
            )
        found = case is not None and case.ct is not None and study_files(case.ct)
        if not ui.dicomStudy.currentPath.strip() and not found:
            return words.no_study()
        if ui.dicomSignCheck.checked and not (
            ui.dicomReaderEdit.text.strip() and ui.dicomOrganizationEdit.text.strip()
        ):
            return _("A signed report needs the reader's name and organization.")
        return ""

    def _step(self) -> None:
        if self._writing.step():
            self._next.start()

    def _show(self) -> None:
        self.ui.dicomProgress.value = self._writing.progress
        self.ui.dicomProgress.visible = self.busy()
        self._enable()

    def _enable(self) -> None:
        ui, case = self.ui, self.board.live_case()
        # What is hidden asks for nothing.
        counted = ui.dicomLevelsCheck.checked or "⚠" not in ui.dicomStateLabel.text
        folder = bool(ui.exportFolder.currentPath.strip())
        ui.dicomButton.enabled = case is not None and folder and counted and not self.busy()
        ui.dicomCancelButton.enabled = self.busy()

    def _say(self, text: str) -> None:
        tables.show_text(self.ui.dicomMessageLabel, text)

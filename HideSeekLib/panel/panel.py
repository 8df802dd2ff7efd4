"""The panel: builds the sections, and follows the scene for them.

Sections show and ask; `Analysis` runs; `Case` keeps; the `Board` joins them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import slicer.util

from HideSeekLib.case import case as scene
from HideSeekLib.i18n import _
from HideSeekLib.panel import qt_tools
from HideSeekLib.panel.dicom_export import DicomSection
from HideSeekLib.panel.environment_page import EnvironmentPage
from HideSeekLib.panel.export import ExportSection
from HideSeekLib.panel.follow_up import FollowUpSection
from HideSeekLib.panel.inputs import InputsSection
from HideSeekLib.panel.parameters import HideSeekParameterNode, repair
from HideSeekLib.panel.pick import PickSection
from HideSeekLib.panel.region import RegionSection
from HideSeekLib.panel.report_text import ReportTextSection
from HideSeekLib.panel.review import ReviewSection
from HideSeekLib.panel.run import RunSection
from HideSeekLib.panel.screening import ScreeningSection
from HideSeekLib.panel.work import Work
from HideSeekLib.panel.worklist import WorklistSection
from HideSeekLib.panel.worksheet import WorksheetSection
from HideSeekLib.run.board import Board
from HideSeekLib.worker.process import QProcessTransport
from HideSeekLib.worker.request import Transport
from HideSeekLib.worker.settings import BackendSettings


class HideSeekPanel:
    """The panel of the HideSeek module.

    ui_path: the .ui file. parameter_node: callable that gives the scene's parameter node.
    make_transport: callable that gives a Transport for the present settings; tests pass their own.
    """

    def __init__(
        self,
        ui_path: str,
        parameter_node: Callable[[], Any],
        make_transport: Callable[[Any], Transport] = QProcessTransport,
    ) -> None:
        self.widget = slicer.util.loadUI(ui_path)
        self.ui = ui = slicer.util.childWidgetVariables(self.widget)
        self._parameter_node = parameter_node
        self._gui_tag: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._node_tags: list[tuple[Any, int]] = []

        self.board = board = Board(BackendSettings.load(slicer.app.userSettings()))
        self.widget.setMRMLScene(slicer.mrmlScene)
        self._bind_parameters()
        self.environment = EnvironmentPage(ui, board)
        self.work = Work(
            board, make_transport, self.environment.log, self.environment.offer_installation
        )
        self.run = RunSection(ui, board)
        self.inputs = InputsSection(ui, board)
        self.screening = ScreeningSection(ui, board)
        self.export = ExportSection(ui, board)
        self.dicom = DicomSection(ui, board)
        self.review = ReviewSection(ui, board)
        self.region = RegionSection(ui, board)
        self.pick = PickSection(ui, board)
        self.follow_up = FollowUpSection(ui, board)
        self.worksheet = WorksheetSection(ui, board)
        self.text = ReportTextSection(ui, board)
        self.worklist = WorklistSection(ui, board)
        self._shortcuts = [
            qt_tools.shortcut(keys, self.widget, action)
            for keys, action in (
                ("Ctrl+Shift+S", self.screening.screen),
                ("Ctrl+Shift+L", lambda: ui.analyseButton.click()),
                ("Ctrl+Shift+P", lambda: ui.pickButton.click()),
                ("Ctrl+Shift+N", lambda: ui.nextCaseButton.click()),
                ("Esc", self.pick.stop),
            )
        ]
        board.inputs_changed.connect(self._observe_inputs)
        self._observe_scene()
        self.work.follow()
        board.guarded(self.restore)

    # --- shown, left, closed -----------------------------------------------------------------

    def restore(self) -> None:
        """Take up what the parameter node says: inputs and the case under review."""
        node = self.board.parameters.case
        self.board.case = None
        self.inputs.choose_defaults()
        if node is not None:
            self.board.guarded(lambda: self.board.set_case(scene.case_from_node(node)))
        self.board.match_inputs()

    def enter(self) -> None:
        """The user comes to the module: follow the worker closely again."""
        self.work.follow()
        self.board.guarded(self.inputs.choose_defaults)
        self.board.guarded(self.region.refresh)  # perhaps something was painted meanwhile
        self.review.enter()

    def leave(self) -> None:
        """The user goes to another module: nothing of ours moves the views there.

        A running job goes on; without one the timer rests.
        """
        self.pick.stop()
        self.review.leave()
        self.work.rest()

    def close(self) -> None:
        """Let go of everything: processes, timers, observers. The scene stays as it is."""
        self.board.closing = True
        self.inputs.close()
        self.screening.close()
        self.pick.close()
        for section in (self.region, self.dicom, self.follow_up, self.worksheet):
            section.forget()
        self.review.leave()
        for observed, tag in self._observed + self._node_tags:
            observed.RemoveObserver(tag)
        self._observed, self._node_tags = [], []
        if self._gui_tag is not None:
            self.board.parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None
        self.work.close(_("The module was closed."))
        self.environment.close()

    # --- the scene ---------------------------------------------------------------------------

    def _observe_scene(self) -> None:
        mrml = slicer.mrmlScene
        for event, action in (
            (mrml.StartCloseEvent, self._scene_closing),
            (mrml.EndCloseEvent, self._scene_closed),
            (mrml.EndImportEvent, self._scene_closed),
            (mrml.NodeRemovedEvent, self._something_removed),
        ):
            tag = mrml.AddObserver(event, lambda *_, action=action: self.board.guarded(action))
            self._observed.append((mrml, tag))

    def _observe_inputs(self) -> None:
        """Follow the chosen segmentation: segments may be added, renamed or deleted."""
        for node, tag in self._node_tags:
            node.RemoveObserver(tag)
        self._node_tags = []
        node = self.board.parameters.vertebrae
        if node is not None:
            segmentation = node.GetSegmentation()
            kinds = slicer.vtkSegmentation
            for event in (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified):
                tag = segmentation.AddObserver(event, lambda *_: self.inputs.later())
                self._node_tags.append((segmentation, tag))

    def _scene_closing(self) -> None:
        self.board.closing = True
        self.pick.close()
        self.pick.stop()
        for section in (self.region, self.dicom, self.follow_up, self.worksheet):
            section.forget()
        self.review.fading.stop()
        self.board.analysis.fail(_("The scene was closed."))
        self.board.case = None

    def _scene_closed(self) -> None:
        self.board.closing = False
        self._bind_parameters()
        self.restore()

    def _bind_parameters(self) -> None:
        """Join the widgets to the scene's parameter node; the old one stays until that works."""
        node = self._parameter_node()
        repair(node)
        wrapper: Any = HideSeekParameterNode  # Slicer's decorator gives it what is used here
        parameters = wrapper(node)
        if self._gui_tag is not None:
            self.board.parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None
        self.board.parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)

    def _something_removed(self) -> None:
        if self.board.closing:
            return
        analysis = self.board.analysis
        for job_ct in {job.ct_id for job in analysis.jobs()}:
            if slicer.mrmlScene.GetNodeByID(job_ct) is None:
                analysis.node_removed(job_ct)
        if self.board.case is not None and not self.board.case.alive:
            self.board.case_lost()
        self.inputs.later()

"""The panel: puts the sections, the worker and the scene together.

Sections show and ask; `Analysis` runs; `Case` keeps. This object owns the timer that drives the
worker client, follows the scene, and makes sure that nothing a click does can raise into Slicer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt
import slicer
import slicer.util

from HideSeekLib.anatomy import vertebrae
from HideSeekLib.case import case as scene
from HideSeekLib.case import views
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.panel.environment_page import EnvironmentPage
from HideSeekLib.panel.export import ExportSection
from HideSeekLib.panel.inputs import InputsSection
from HideSeekLib.panel.parameters import HideSeekParameterNode, repair
from HideSeekLib.panel.pick import PickSection
from HideSeekLib.panel.review import ReviewSection
from HideSeekLib.panel.run import RunSection
from HideSeekLib.panel.screening import ScreeningSection
from HideSeekLib.run.analysis import Analysis
from HideSeekLib.run.jobs import Job, PickedBody
from HideSeekLib.worker.client import WorkerClient
from HideSeekLib.worker.process import QProcessTransport
from HideSeekLib.worker.request import Transport

log = logging.getLogger(__name__)

BUSY_MS, IDLE_MS = 15, 250


class HideSeekPanel:
    """The panel of the HideSeek module.

    ui_path: the .ui file. parameter_node: callable that gives the scene's parameter node.
    make_transport: callable that gives a Transport for the present settings; tests pass their own.
    """

    def __init__(
        self,
        ui_path: str,
        parameter_node: Callable[[], Any],
        make_transport: Callable[[Any], Transport] | None = None,
    ) -> None:
        self.widget = slicer.util.loadUI(ui_path)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        self._parameter_node = parameter_node
        self._make_transport = make_transport or (lambda settings: QProcessTransport(settings))
        self._gui_tag: Any = None
        self._observed: list[tuple[Any, int]] = []
        self._node_tags: list[tuple[Any, int]] = []
        self._closing = False
        self.case: Any = None
        self._tables_timer = self._make_timer(60, lambda: self.screening.refresh())
        self._inputs_timer = self._make_timer(0, self.inputs_changed)

        self.widget.setMRMLScene(slicer.mrmlScene)
        self._bind_parameters()
        self.run = RunSection(self)
        self.environment = EnvironmentPage(self)
        self._new_client()
        self.inputs = InputsSection(self)
        self.screening = ScreeningSection(self)
        self.export = ExportSection(self)
        self.review = ReviewSection(self)
        self.pick = PickSection(self)
        self._shortcuts = [
            self._shortcut("Ctrl+Shift+S", self.screening.screen),
            self._shortcut("Ctrl+Shift+L", lambda: self.ui.analyseButton.click()),
            self._shortcut("Ctrl+Shift+P", lambda: self.ui.pickButton.click()),
            self._shortcut("Esc", self.pick.stop),
        ]
        self._timer = qt.QTimer()
        self._timer.setInterval(IDLE_MS)
        self._timer.connect("timeout()", self._tick)
        self._timer.start()
        self._observe_scene()
        self.guarded(self.restore)

    # --- state -------------------------------------------------------------------------------

    def restore(self) -> None:
        """Take up what the parameter node says: inputs and the case under review."""
        node = self.parameters.case
        self.case = None
        self.inputs.choose_defaults()
        if node is not None:
            self.guarded(lambda: self.set_case(scene.case_from_node(node)))
        self.inputs_changed()

    def set_case(self, case: Any) -> None:
        """Make `case` the one under review."""
        self.case = case
        self.parameters.case = case.node if case is not None and case.alive else None
        self.review.refresh()

    def case_lost(self) -> None:
        """Look for another case after nodes of this one are gone."""
        cases = scene.cases_in_scene()
        if self.case is not None and self.case.alive:
            self.review.refresh()
        else:
            self.set_case(cases[-1] if cases else None)

    def later_inputs(self) -> None:
        """Refresh the inputs once, after the present event."""
        self._inputs_timer.start()

    def later_tables(self) -> None:
        """Refresh the table of vertebrae soon; a dragged slider asks often."""
        if not self._tables_timer.isActive():
            self._tables_timer.start()

    def inputs_changed(self) -> None:
        """Show what the chosen nodes allow."""
        if self._closing:
            return
        self._observe_inputs()
        self.guarded(self.inputs.refresh)
        self.review.refresh()
        self.pick.refresh()
        self.run.refresh()

    # --- running -----------------------------------------------------------------------------

    def start_job(
        self, kind: str, levels: tuple[str, ...], body: PickedBody | None = None
    ) -> Job | None:
        """Start a screening or an analysis; it waits behind those that run."""
        inputs = self.inputs.inputs()
        if inputs.ct is None or not levels:
            return None
        settings = self.environment.settings
        self.analysis.wanted_model = (settings.model, settings.device)
        job = Job(
            kind,
            inputs,
            levels,
            polarity={level: self.screening.polarity_of(level) for level in levels}
            if kind == "segment"
            else {},
            options={"protocol": self.parameters.protocol.value},
            body=body,
        )
        self.run.say(_("Starting …"))
        self.analysis.start(job)
        self._timer.setInterval(BUSY_MS)
        return job

    def jump_to_level(self, level: str) -> None:
        """Show a vertebra in the slice views."""
        node = self.parameters.vertebrae
        segment = vertebrae.segments_by_level(self.inputs.matches).get(level)
        if node is None or segment is None:
            return
        centre = node.GetSegmentCenterRAS(segment)
        if centre is not None:
            self.guarded(lambda: views.jump_to(tuple(centre)))

    def backend_changed(self, moved: bool) -> None:
        """Take up new settings; another Python or prefix needs another process."""
        if moved:
            self.restart_backend()
        else:
            self.analysis.forget_model()

    def restart_backend(self) -> None:
        """End the worker and every job; the next job starts a fresh one."""
        self.analysis.fail(_("The backend was restarted."))
        self.client.kill()
        self._new_client()
        self.run.refresh()

    def client_kill(self) -> None:
        """End the worker, so that its files can be replaced."""
        self.restart_backend()

    def _new_client(self) -> None:
        self.client = WorkerClient(
            self._make_transport(self.environment.settings), on_log=self.environment.log
        )
        self.analysis = Analysis(
            self.client,
            on_change=self._progressed,
            on_job_end=self._job_ended,
            on_vertebra=self._vertebra_done,
        )

    def _tick(self) -> None:
        self.guarded(self.analysis.tick)
        alive = self.analysis.busy() or self.client.busy()
        moving = alive or self.client.state in ("starting", "stopping")
        self._timer.setInterval(BUSY_MS if moving else IDLE_MS)

    def _progressed(self) -> None:
        if hasattr(self, "screening"):
            self.run.refresh()
            if not self._tables_timer.isActive():
                self._tables_timer.start()

    def _vertebra_done(self, job: Job, level: str) -> None:
        if self.case is not job.case:
            self.set_case(job.case)
        else:
            self.review.refresh()

    def _job_ended(self, job: Job) -> None:
        if job.case is not None and job.case.alive and job.case is not self.case:
            self.set_case(job.case)
        self.review.refresh()
        self.screening.job_ended(job)
        self.run.job_ended(job)
        if job.state == "failed" and not self.client.ever_ready and not self._closing:
            # No word from the backend: most likely it is not installed yet.
            self.environment.offer_installation()

    # --- the scene ---------------------------------------------------------------------------

    def _observe_scene(self) -> None:
        mrml = slicer.mrmlScene
        for event, action in (
            (mrml.StartCloseEvent, self._scene_closing),
            (mrml.EndCloseEvent, self._scene_closed),
            (mrml.EndImportEvent, self._scene_closed),
            (mrml.NodeRemovedEvent, self._something_removed),
        ):
            tag = mrml.AddObserver(event, lambda *_, action=action: self.guarded(action))
            self._observed.append((mrml, tag))

    def _observe_inputs(self) -> None:
        """Follow the chosen segmentation: segments may be added, renamed or deleted."""
        for node, tag in self._node_tags:
            node.RemoveObserver(tag)
        self._node_tags = []
        node = self.parameters.vertebrae
        if node is not None:
            segmentation = node.GetSegmentation()
            kinds = slicer.vtkSegmentation
            for event in (kinds.SegmentAdded, kinds.SegmentRemoved, kinds.SegmentModified):
                tag = segmentation.AddObserver(event, lambda *_: self.later_inputs())
                self._node_tags.append((segmentation, tag))

    def _scene_closing(self) -> None:
        self._closing = True
        self.pick.close()
        self.pick.stop()
        self.review.fading.stop()
        self.analysis.fail(_("The scene was closed."))
        self.case = None

    def _scene_closed(self) -> None:
        self._closing = False
        self._bind_parameters()
        self.restore()

    def _bind_parameters(self) -> None:
        """Join the widgets to the scene's parameter node; the old one stays until that works."""
        node = self._parameter_node()
        repair(node)
        parameters = HideSeekParameterNode(node)
        if self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None
        self.parameters = parameters
        self._gui_tag = parameters.connectGui(self.widget)

    def _something_removed(self) -> None:
        if self._closing:
            return
        for job_ct in {job.ct_id for job in self.analysis.jobs()}:
            if slicer.mrmlScene.GetNodeByID(job_ct) is None:
                self.analysis.node_removed(job_ct)
        if self.case is not None and not self.case.alive:
            self.case_lost()
        self.later_inputs()

    # --- helpers -----------------------------------------------------------------------------

    def guarded(self, action: Callable[[], Any]) -> None:
        """Run an action of the user; what goes wrong is said in the panel, never raised."""
        try:
            action()
        except SceneError as error:
            self.run.say("⚠ " + str(error))
        except Exception as error:  # a defect must not take Slicer's event loop with it
            log.exception("An action of the HideSeek panel failed")
            self.run.say("⚠ " + _("Unexpected problem: {error}").format(error=error))

    def enter(self) -> None:
        """The user comes to the module: follow the worker closely again."""
        self._timer.start()
        self.guarded(self.inputs.choose_defaults)

    def leave(self) -> None:
        """The user goes to another module: nothing of ours moves the views there.

        A running job goes on; without one the timer rests.
        """
        self.pick.stop()
        self.review.fading.stop()
        if not (self.analysis.busy() or self.client.busy()):
            self._timer.stop()

    def close(self) -> None:
        """Let go of everything: processes, timers, observers. The scene stays as it is."""
        self._closing = True
        for timer in (self._timer, self._tables_timer, self._inputs_timer):
            timer.stop()
        self.pick.close()
        self.review.fading.stop()
        for observed, tag in self._observed + self._node_tags:
            observed.RemoveObserver(tag)
        self._observed, self._node_tags = [], []
        if self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
            self._gui_tag = None
        self.analysis.fail(_("The module was closed."))
        self.client.kill()
        self.environment.close()

    @staticmethod
    def _make_timer(milliseconds: int, action: Callable[[], Any]) -> Any:
        timer = qt.QTimer()
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.connect("timeout()", action)
        return timer

    def _shortcut(self, keys: str, action: Callable[[], Any]) -> Any:
        shortcut = qt.QShortcut(qt.QKeySequence(keys), self.widget)
        shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        shortcut.connect("activated()", action)
        return shortcut

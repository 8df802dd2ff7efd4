"""What a reader does in the browser: inputs, jobs, decisions, evidence, files. Knows no page.

The state is the board, as in Slicer's panel; `on_change(part)` tells which part of the page is
out of date: "inputs", "case", "review", "region", "job", "files" or "message".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from HideSeekLib.anatomy import click, vertebrae
from HideSeekLib.browser import sources
from HideSeekLib.browser.choices import Choices
from HideSeekLib.browser.dicom import DicomExport
from HideSeekLib.browser.evidence import Evidence
from HideSeekLib.browser.regions import Regions
from HideSeekLib.case import case as cases
from HideSeekLib.case import files, lesions_view, report_message, scene_file, views
from HideSeekLib.errors import InputError, SceneError
from HideSeekLib.i18n import _
from HideSeekLib.run import words
from HideSeekLib.run.analysis import Analysis
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import Job, JobState, PickedBody
from HideSeekLib.run.reading import Readings
from HideSeekLib.worker.client import WorkerClient
from HideSeekLib.worker.request import ClientState, Failure, Transport
from HideSeekLib.worker.settings import BackendSettings

BUSY_S, IDLE_S = 0.015, 0.1
SLICES = ("central", "all")
EXPORTS = "export"


class Reviewer:
    """One reader at one scene.

    app: an `application.Application`. make_transport: gives a Transport to the worker.
    out: folder for exports and saved scenes.
    """

    def __init__(
        self,
        app: Any,
        make_transport: Callable[[], Transport],
        settings: BackendSettings,
        out: Path,
        on_change: Callable[[str], None],
    ) -> None:
        self.app, self.out, self.on_change = app, out, on_change
        self.board = board = Board(settings)
        self.message = ""
        self.ticked: set[str] = set()
        self.selected = ""
        self.evidence = Evidence(
            board, lambda: self.selected.split(":")[0], partial(on_change, "review")
        )
        self.picking, self.pick_level = False, ""
        self.body: PickedBody | None = None
        self.written: list[Path] = []
        self.regions = Regions(app, board, partial(on_change, "region"))
        self.dicom = DicomExport(board, out / EXPORTS, partial(on_change, "files"))
        self.readings = Readings(board)
        self.scheme = ""  # of label values, as it was last named
        self.study = ""  # where the CT is from, if it is a DICOM study of this computer
        board.more_options["slices"] = SLICES[0]
        self._make_transport = make_transport
        board.parameters = Choices(app.scene)
        board.restart_backend = self.restart
        board.said.connect(self._say)
        board.inputs_changed.connect(partial(on_change, "inputs"))
        board.case_changed.connect(partial(on_change, "case"))
        board.review_changed.connect(partial(on_change, "review"))
        board.job_changed.connect(lambda job: on_change("job"))
        self._renew()

    # --- the worker --------------------------------------------------------------------------

    def _renew(self) -> None:
        self.transport = self._make_transport()
        self.client = WorkerClient(self.transport)
        self.board.analysis = Analysis(
            self.client,
            on_change=lambda: self.board.job_changed.emit(self.board.job),
            on_job_end=self._job_ended,
            on_vertebra=lambda job, level: self.board.take_case(job.case),
        )

    def restart(self) -> None:
        """End the worker and every job; the next job starts a fresh one."""
        self.board.analysis.fail(_("The backend was restarted."))
        self.client.kill()
        self._renew()

    async def run(
        self, step: Callable[[Callable[[], None]], None], stale: Callable[[], bool]
    ) -> None:
        """Drive the worker for ever.

        step: runs an action and shows what it changed. stale: whether something waits to be shown,
        such as the end of a worker, which is told between two steps.
        """
        loop = asyncio.get_running_loop()
        while True:
            active = self.client.state in (ClientState.STARTING, ClientState.STOPPING)
            active = active or self.board.analysis.busy() or self.client.busy()
            if active:
                step(lambda: self.board.guarded(self.board.analysis.tick))
            elif stale():
                step(lambda: None)
            self.evidence.tick(loop.time())
            await asyncio.sleep(BUSY_S if active else IDLE_S)

    def close(self) -> None:
        """End the worker and every job."""
        self.board.closing = True
        self.client.kill()

    def _job_ended(self, job: Job) -> None:
        self.board.take_case(job.case)
        case = self.board.live_case()
        rows = case.vertebra_rows() if case is not None else []
        if job.kind == "screen" and job.state == JobState.DONE:
            self.ticked = {
                r.level for r in rows if (words.known(r.p_malignant) or 0) >= words.FLAGGED
            }
        if job.kind == "segment" and case is not None:
            lesions_view.show_surfaces(case.lesions, True)
            if not self.selected:
                kept = [r for r in case.rows() if r.kept]
                if kept:
                    self.select(max(kept, key=lambda r: r.volume_mm3).key)
        self.board.say(words.about_end(job, rows))
        self.board.job_changed.emit(job)

    # --- inputs ------------------------------------------------------------------------------

    def open(self, paths: Sequence[Path]) -> None:
        """Put files into a fresh scene. What is there stays when they cannot be read."""
        found = sources.find(list(paths))
        if found.scene is not None:
            sources.check_scene(found.scene)
        if found.scene is None and not found.ct:
            if self.board.parameters.ct is None or found.vertebrae is None:
                raise InputError(_("Open a CT first, then its vertebra segmentation."))
            node = sources.load_vertebrae(self.app, found.vertebrae, self.board.parameters.ct)
            self.board.parameters.vertebrae = node
            self._opened()
            return
        if self.board.analysis.busy():
            raise InputError(_("An analysis runs. Cancel it before you open another case."))
        if found.scene is not None:
            self._forget()
            if not self.app.core.io_manager.load_scene(found.scene):
                raise InputError(_("'{name}' cannot be opened.").format(name=found.scene.name))
        else:
            before = _node_ids(self.app.scene)
            try:
                ct, node = sources.load_ct(self.app, found.ct), None
                if found.vertebrae is not None:
                    node = sources.load_vertebrae(self.app, found.vertebrae, ct)
            except SceneError:
                for stray in _node_ids(self.app.scene) - before:
                    self.app.scene.RemoveNode(self.app.scene.GetNodeByID(stray))
                raise
            self._forget()
            choices = Choices(self.app.scene)
            choices.ct = sources.put_ct(self.app.scene, ct)
            self.study = sources.study_of(paths)
            if node is not None:
                choices.vertebrae = sources.put_vertebrae(self.app.scene, node, choices.ct)
        self.board.parameters = Choices(self.app.scene)
        self._opened()

    def open_listed(self, ct: Path, mask: Path) -> None:
        """Open a case of a worklist; label values mean what they meant before."""
        self.open([ct, mask])
        if not self.board.levels():
            self.use_scheme(self.scheme)

    def close_case(self) -> None:
        """Leave an empty scene."""
        self._forget()
        self.board.parameters = Choices(self.app.scene)
        self._opened()

    def _forget(self) -> None:
        """Let go of the case that is open. The scene is closed as Slicer does it: views that see
        nodes go one by one, in whatever order, crash."""
        self.readings.leave()
        self.evidence.clear()
        self.selected, self.ticked, self.body, self.written = "", set(), None, []
        self.picking = False
        self.regions.forget()
        self.dicom.forget()
        self.study = ""
        self.board.case = None
        self.app.scene.Clear(False)

    def _opened(self) -> None:
        board = self.board
        found = cases.cases_in_scene()
        stored = board.parameters.case
        mine = [case for case in found if stored is not None and case.node is stored]
        board.case = None
        if mine or found:
            board.set_case((mine or found)[-1])
        case = board.live_case()
        if case is not None:
            board.parameters.levelOverrides = dict(case.record.overrides)
            self.use_slices(str(case.record.options.get("slices")))
            if board.parameters.ct is None:
                board.parameters.ct = case.ct
            if board.parameters.vertebrae is None and case.nodes.vertebrae is not None:
                board.parameters.vertebrae = case.nodes.vertebrae
            lesions_view.show_surfaces(case.lesions, True)
        else:
            board.parameters.levelOverrides = {}
        ct = board.parameters.ct
        if ct is not None:
            self.app.core.display_manager.show_volume_in_slice_background(ct)
        if board.parameters.vertebrae is not None:
            board.parameters.vertebrae.CreateClosedSurfaceRepresentation()
        self.app.fit()
        board.match_inputs()
        board.case_changed.emit()
        self.on_change("files")
        self.dicom.look()
        _good, text = words.about_inputs(board.inputs(), board.matches)
        board.say(text)

    def use_scheme(self, scheme: str) -> None:
        """Read levels from label values, in a scheme that the reader names."""
        node = self.board.parameters.vertebrae
        if node is not None and scheme:
            self.scheme = scheme
            self.board.parameters.levelOverrides = vertebrae.match_label_values(node, scheme)
            self.board.match_inputs()
            self.board.say(words.about_inputs(self.board.inputs(), self.board.matches)[1])

    def use_slices(self, slices: str) -> None:
        """Choose which sagittal slices are analysed: "central", or "all" for volumes."""
        if slices in SLICES:
            self.board.more_options["slices"] = slices
            self.on_change("inputs")

    # --- jobs --------------------------------------------------------------------------------

    def screen(self) -> None:
        """Screen every level."""
        self.board.start_job("screen", self.board.levels())

    def analyse(self) -> None:
        """Analyse the ticked levels."""
        ticked = tuple(level for level in self.board.levels() if level in self.ticked)
        if not ticked:
            self.board.say(_("Tick the vertebrae to analyse, or click one in a view."))
        else:
            self.board.start_job("segment", ticked)

    def cancel(self) -> None:
        """Stop what runs; finished vertebrae stay."""
        if self.board.analysis.busy():
            self.board.say(_("Stopping …"))
            self.board.analysis.cancel()

    def clicked(self, ras: tuple[float, float, float]) -> None:
        """Analyse the vertebra at a click (world RAS mm); without masks look for its body."""
        inputs = self.board.inputs()
        if inputs.ct is None:
            raise InputError(_("Open a CT first."))
        if inputs.vertebrae is not None:
            hit = click.vertebra_at(ras, inputs.vertebrae, inputs.overrides)
            if hit is None:
                raise InputError(_("No vertebra under the cursor; click inside one."))
            self.picking = False
            self.board.start_job("segment", (hit.level,))
            return
        if not self.pick_level:
            raise InputError(_("Choose the level first, then click the vertebral body."))
        level, params = self.pick_level, click.body_request(inputs.ct, ras, self.pick_level)

        def found(reply: dict[str, Any]) -> None:
            self.board.guarded(lambda: self._show_body(inputs.ct, level, params["affine"], reply))

        self.board.say(_("Looking for the body of {level} …").format(level=level))
        self.board.analysis.ask("body", params, found, self._failed)

    def _show_body(self, ct: Any, level: str, affine: Any, reply: dict[str, Any]) -> None:
        node = click.body_from_reply(ct, level, affine, reply)
        self.body = PickedBody(node, node.GetSegmentation().GetNthSegmentID(0), level)
        self.picking = False
        self.on_change("inputs")
        self.board.say(_("An approximate body of {level} is shown.").format(level=level))

    def analyse_body(self) -> None:
        """Analyse the body that was found about a click."""
        if self.body is not None:
            self.board.start_job("segment", (self.body.level,), body=self.body)

    def _failed(self, failure: Failure) -> None:
        self.board.say("⚠ " + str(failure))

    def choose_case(self, node_id: str) -> None:
        """Review another result of the scene."""
        for case in cases.cases_in_scene():
            if case.node.GetID() == node_id and case is not self.board.live_case():
                self.evidence.clear()
                self.selected = ""
                self.board.set_case(case)

    # --- review ------------------------------------------------------------------------------

    def select(self, key: str) -> None:
        """Show a candidate in every view, with the evidence that is switched on."""
        case = self._case()
        case.review.candidate(key)
        anew = not self.selected or self.selected.split(":")[0] != key.split(":")[0]
        self.selected = key
        views.show_candidate(case, key)
        if anew:
            self.evidence.show()
        self.on_change("review")

    def step(self, forward: bool, undecided_only: bool = False) -> None:
        """Go to the next or previous candidate."""
        rows = self._case().rows()
        keys = [row.key for row in rows]
        here = keys.index(self.selected) if self.selected in keys else -1
        order = rows[here + 1 :] if forward else list(reversed(rows[: max(0, here)]))
        for row in order:
            if not undecided_only or not row.decision:
                self.select(row.key)
                return

    def decide(self, verdict: str | None) -> None:
        """Accept, reject or (None) reset the selected candidate, then go to the next undecided."""
        if not self.selected:
            raise InputError(_("Select a candidate first."))
        self._changed(self._case().decide([self.selected], verdict))
        if verdict:
            self.step(True, undecided_only=True)

    def set_reason(self, reason: str) -> None:
        """Write a reason beside the decision."""
        if self.selected:
            self._changed(self._case().set_reason([self.selected], reason))

    def set_threshold(self, value: float, *, live: bool) -> None:
        """Set the Δ threshold. live: while the slider is dragged; a drag is one step to undo."""
        self._changed(self._case().set_threshold(float(value), live=live))

    def score_region(self) -> None:
        """Have the chosen region scored; it is selected then."""
        self.regions.score(lambda candidate: self.select(candidate.key))

    def undo(self) -> None:
        """Take the last change back."""
        self._changed(self._case().undo())

    def redo(self) -> None:
        """Make the change that was taken back."""
        self._changed(self._case().redo())

    def _changed(self, report: cases.ApplyReport) -> None:
        if report.edited_by_hand:
            names = ", ".join(report.edited_by_hand)
            self.board.say("⚠ " + _("Edited by hand and left as they are: {n}").format(n=names))
        self.board.review_changed.emit()

    def _case(self) -> cases.Case:
        case = self.board.live_case()
        if case is None:
            raise InputError(_("Nothing was analysed yet."))
        return case

    # --- files -------------------------------------------------------------------------------

    def export(self) -> None:
        """Write lesions, tables and the report of the case into the folder of exports."""
        case = self._case()
        folder = self.out / EXPORTS
        self.written = [*files.export_lesions(case, folder), *files.export_tables(case, folder)]
        self.on_change("files")

        def answered(result: dict[str, Any]) -> None:
            page = report_message.put_title(str(result.get("html", "")), case.name)
            path = folder / "report.html"
            path.write_text(page, encoding="utf-8")
            self.written.append(path)
            self.on_change("files")
            self.board.say(_("Written to {folder}.").format(folder=folder))

        self.board.say(_("Writing …"))
        params = report_message.report_params(case)
        self.board.analysis.ask("report", params, answered, self._failed)

    def files(self) -> list[Path]:
        """Files that were written, and may be fetched."""
        return [*self.written, *self.dicom.writing.written]

    def export_dicom(self, study: str, reader: str, levels_checked: bool) -> None:
        """Have DICOM objects written beside the other exports; nothing is sent."""
        self.dicom.start(study, reader, levels_checked)

    def save(self) -> None:
        """Save the scene; Slicer opens it and the review goes on there."""
        with self.evidence.put_away():
            path = scene_file.save_mrb(self.app.scene, self.out / "review.mrb")
        self.written = [p for p in self.written if p != path] + [path]
        self.on_change("files")
        self.board.say(_("Saved as {path}; 3D Slicer opens it.").format(path=path))

    def _say(self, text: str) -> None:
        self.message = text
        self.on_change("message")


def _node_ids(scene: Any) -> set[str]:
    return {scene.GetNthNode(i).GetID() for i in range(scene.GetNumberOfNodes())}

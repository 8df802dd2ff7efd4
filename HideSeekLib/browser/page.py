"""The page: shows the reviewer's state and passes on what the reader does.

All of it is state of the server, so that a page that is loaded again, or a lost connection, shows
what was there before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3

from HideSeekLib.browser import sections
from HideSeekLib.browser.pointer import Pointer
from HideSeekLib.browser.regions import DEFAULT_RADIUS_MM
from HideSeekLib.browser.reviewer import Reviewer
from HideSeekLib.browser.worklist import Worklist
from HideSeekLib.case.case import cases_in_scene
from HideSeekLib.i18n import _
from HideSeekLib.run import words
from HideSeekLib.run.jobs import JobState
from HideSeekLib.wire.records import Vertebra

STATIC = Path(__file__).parent / "static"
MARKS = {"accept": "✓", "reject": "✗", "": ""}
_SIZED_S = 1.0
_VIEWS_S = 0.3  # the longest that tables wait for the views
_FULL_BAR = 1.2  # Δ that fills a bar: it may exceed one


class Page:
    """Keeps the page's state in step with a Reviewer. server: trame's."""

    def __init__(self, server: Any, app: Any) -> None:
        self.server, self.app = server, app
        self.state = server.state
        self.reviewer: Reviewer
        self.worklist: Worklist
        self._stale: set[str] = set()
        self._dragging = self._fitted = False
        self._later_s = 0.0
        self._pointers: list[Pointer] = []
        server.enable_module(
            {"serve": {"hideseek_static": str(STATIC)}, "scripts": ["hideseek_static/hideseek.js"]}
        )

    def changed(self, part: str) -> None:
        """Take note that a part of the page is out of date."""
        self._stale.add(part)

    def stale(self) -> bool:
        """Tell whether something is to be shown now."""
        return bool(self._stale) and time.monotonic() >= self._later_s

    def act(self, action: Callable[[], Any]) -> None:
        """Carry out what the reader asked for and show what it changed."""
        with self.state:
            self.reviewer.board.guarded(action)
            self.refresh()

    def look(self, action: Callable[[], Any]) -> None:
        """Carry out what moves the views. They are drawn first: a page that works at its tables
        at the same time takes half of the processor from them."""
        self.reviewer.board.guarded(action)
        self._later_s = time.monotonic() + _VIEWS_S
        self.app.turns.after_slices(lambda: self.act(lambda: None))

    def begin(self, reviewer: Reviewer, token: str) -> None:
        """Build the page for a reviewer and listen to keys, clicks and the slider.

        token: lets the page send and fetch files.
        """
        self.reviewer = reviewer
        self.worklist = Worklist(self)
        self.state.token = token
        self.state.trame__title = "HideSeek review"
        self.state.update(
            {
                "threshold": 0.5, "fade": 0.0, "reason": "", "path": "", "uploading": False,
                "scheme": "", "pick_level": "", "radius": DEFAULT_RADIUS_MM,
                "study": reviewer.study, "reader": "", "levels_checked": False,
                "list_folder": "", "reads_as": "",
            }
        )  # fmt: skip
        self._stale = {"inputs", "case", "review", "region", "job", "files", "message"}
        self.refresh()
        controller = self.server.controller
        for name, trigger in (
            ("key", self.key),
            ("upload_begins", lambda n: self.act(lambda: self._uploading(True))),
            ("upload_failed", self._upload_failed),
        ):
            controller.trigger(name)(trigger)
        self.state.change("threshold")(self._dragged)
        self.state.change("fade")(self._faded)
        self.state.change("radius")(self._radius)
        for view in self.app.slice_views():
            self._pointers.append(Pointer(view, reviewer, self.act))
        controller.on_client_connected.add(self._connected)
        with VAppLayout(self.server, theme="dark") as layout:
            client.Style(sections.CSS)
            with v3.VNavigationDrawer(permanent=True, width=460, classes="hs-drawer"):
                sections.build(self)
            with v3.VMain(classes="hs-main"), html.Div(classes="hs-views"):
                self.app.layouts.initialize_layout_grid(layout)
            html.Div(
                _("Research use only. Not a medical device, not cleared for diagnosis."),
                classes="hs-warning",
            )

    def _connected(self, *_args: Any, **_more: Any) -> None:
        """Fit the views once they have the page's size: before that they are small squares."""
        if not self._fitted:
            self._fitted = True
            asyncio.get_running_loop().call_later(_SIZED_S, self.app.fit)

    # --- the reader --------------------------------------------------------------------------

    def key(self, name: str) -> None:
        """Do what a key stands for."""
        reviewer = self.reviewer
        actions: dict[str, Callable[[], Any]] = {
            "a": lambda: reviewer.decide("accept"),
            "x": lambda: reviewer.decide("reject"),
            "u": lambda: reviewer.decide(None),
            "n": lambda: reviewer.step(True),
            "p": lambda: reviewer.step(False),
            "f": reviewer.evidence.toggle_flicker,
            "d": reviewer.evidence.toggle_difference,
            "undo": reviewer.undo,
            "redo": reviewer.redo,
            "next_case": self.worklist.open_next,
            "escape": self.leave,
        }
        if name in actions:
            (self.look if name in ("n", "p") else self.act)(actions[name])

    def pick(self, on: bool) -> None:
        """Let a click in a view choose a vertebra, or stop that."""
        self.reviewer.picking = on
        if on:
            self.reviewer.regions.draw(False)
            self.reviewer.board.say(_("Click a vertebra in a slice view. Esc leaves."))
        self.changed("inputs")

    def draw_with(self, *, erase: bool) -> None:
        """Let the left button draw or erase in the slice views; the same again ends it."""
        regions = self.reviewer.regions
        self.pick(False)
        on = not (regions.drawing and regions.erasing == erase)
        regions.erasing = erase
        regions.draw(on)

    def new_region(self) -> None:
        """Begin another region, to be drawn."""
        self.pick(False)
        self.reviewer.regions.erasing = False
        self.reviewer.regions.new()

    def leave(self) -> None:
        """Give the left button back to the views."""
        self.pick(False)
        self.reviewer.regions.draw(False)

    def tick(self, level: str) -> None:
        """Tick a vertebra for the analysis, or not."""
        self.reviewer.ticked ^= {level}
        self.changed("case")

    def drag_ends(self) -> None:
        """Make a drag of the threshold one step."""
        self._dragging = False
        self.act(lambda: self.reviewer.set_threshold(float(self.state.threshold), live=False))

    def _dragged(self, threshold: float, **_others: Any) -> None:
        case = self.reviewer.board.live_case()
        if case is not None and abs(case.review.threshold - float(threshold)) > 1e-9:
            self._dragging = True
            self.act(lambda: self.reviewer.set_threshold(float(threshold), live=True))

    def _faded(self, fade: float, **_others: Any) -> None:
        evidence = self.reviewer.evidence
        if abs(evidence.fading - float(fade)) > 1e-9:
            self.act(lambda: evidence.fade(float(fade)))

    def _radius(self, radius: float, **_others: Any) -> None:
        self.reviewer.regions.radius_mm = float(radius)

    def _uploading(self, on: bool) -> None:
        self.state.uploading = on
        if on:
            self.reviewer.board.say(_("Receiving files …"))

    def _upload_failed(self, reason: str) -> None:
        self._uploading(False)
        self.act(lambda: self.reviewer.board.say("⚠ " + reason))

    # --- showing -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Write what is out of date into the page's state."""
        stale, self._stale = self._stale, set()
        if "message" in stale:
            self.state.message = self.reviewer.message
            self.state.problem = "⚠" in self.reviewer.message
        if "inputs" in stale:
            self._show_inputs()
            self.worklist.show_list()
        if stale & {"inputs", "case", "review"}:
            self.worklist.show_findings()
        if stale & {"inputs", "case", "job", "review"}:
            self._show_vertebrae()
        if stale & {"case", "review"}:
            self._show_candidates()
        if "case" in stale:
            self._show_cases()
        if stale & {"region", "case", "job"}:
            self._show_regions()
        if "job" in stale:
            self._show_job()
        if "files" in stale:
            self._show_files()

    def _show_inputs(self) -> None:
        board, state = self.reviewer.board, self.state
        inputs = board.inputs()
        state.ct_name = inputs.ct.GetName() if inputs.ct is not None else ""
        state.vertebrae_name = inputs.vertebrae.GetName() if inputs.vertebrae is not None else ""
        state.needs_scheme = inputs.vertebrae is not None and not board.levels()
        state.picking = self.reviewer.picking
        state.has_body = self.reviewer.body is not None
        state.slices = board.more_options["slices"]

    def _show_vertebrae(self) -> None:
        board = self.reviewer.board
        case = board.live_case()
        known = {row.level: row for row in case.vertebra_rows()} if case is not None else {}
        candidates = case.rows() if case is not None else []
        rows = []
        for level in board.levels() or tuple(known):
            row = known.get(level)
            rows.append(
                {
                    "level": level,
                    "p": words.about_p(row),
                    "tint": _tint(row),
                    "doubt": row.outside if row is not None else "",
                    "state": words.state_in_job(board.job, level)
                    or words.state_of_vertebra(row, candidates),
                    "ticked": level in self.reviewer.ticked,
                }
            )
        self.state.vertebrae = rows

    def _show_candidates(self) -> None:
        reviewer, state = self.reviewer, self.state
        case = reviewer.board.live_case()
        rows = case.rows() if case is not None else []
        doubts = {v.level: v.outside for v in case.vertebra_rows()} if case is not None else {}
        state.candidates = [
            {
                "key": row.key,
                "polarity": row.polarity,
                "delta": f"{row.delta:.2f}",
                "bar": round(100 * min(1.0, max(0.0, row.delta / _FULL_BAR))),
                "volume": f"{row.volume_mm3:.0f}",
                "hu": f"{row.mean_hu:.0f}",
                "kept": row.kept,
                "doubt": doubts.get(row.vertebra, ""),
                "mark": MARKS[row.decision] + ("✎" if row.source == "reader" else ""),
                "without": "" if without is None else f"{without:.2f}",
                "reason": row.reason,
            }
            for row, without in ((row, words.known(row.p_without)) for row in rows)
        ]
        state.selected = reviewer.selected
        state.counts = words.counts(rows, len(rows)) if rows else ""
        chosen = [row for row in rows if row.key == reviewer.selected]
        state.reason = chosen[0].reason if chosen else ""
        state.vertebra_text = state.volume_note = ""
        if case is not None and chosen:
            vertebra = [r for r in case.vertebra_rows() if r.level == chosen[0].vertebra]
            state.vertebra_text = words.about_candidate(vertebra[0], chosen[0])
            reply = case.record.replies.get(chosen[0].vertebra)
            if reply is not None and reply.options.get("slices") == "central":
                state.volume_note = _("Central slices: mm³ are of one slab, not of lesions.")
        if case is not None and not self._dragging:
            state.threshold = round(case.review.threshold, 3)
        state.can_undo = case is not None and case.review.can_undo
        state.can_redo = case is not None and case.review.can_redo
        evidence = reviewer.evidence
        state.fade, state.difference = evidence.fading, evidence.difference
        state.flickering = evidence.flickering

    def _show_cases(self) -> None:
        """Results of the scene: a new one is made beside one that was reviewed."""
        found = [case for case in cases_in_scene() if case.record.levels()]
        case = self.reviewer.board.live_case()
        self.state.cases = [{"title": c.name, "value": c.node.GetID()} for c in found]
        self.state.case = case.node.GetID() if case is not None else ""

    def _show_files(self) -> None:
        reviewer, state = self.reviewer, self.state
        state.files = [path.name for path in reviewer.files()]
        state.odd_levels = " ".join(reviewer.dicom.odd)
        writing = reviewer.dicom.writing
        state.writing_dicom, state.dicom_progress = writing.busy, writing.progress
        if reviewer.study and not state.study:
            state.study = reviewer.study

    def _show_regions(self) -> None:
        regions, state = self.reviewer.regions, self.state
        state.has_case = self.reviewer.board.live_case() is not None
        state.regions = regions.choices() if state.has_case else []
        state.region = regions.chosen
        state.drawn = f"{regions.drawn_mm3 / 1000:.2f} cm³" if regions.drawn_mm3 else ""
        state.drawing, state.erasing = regions.drawing, regions.erasing
        state.can_score = bool(
            regions.chosen and not regions.scoring.busy and not self.reviewer.board.analysis.busy()
        )

    def _show_job(self) -> None:
        board, state = self.reviewer.board, self.state
        job = board.job
        state.busy = board.analysis.busy()
        state.progress = 0
        state.progress_text = ""
        if job is not None and job.state == JobState.MODEL:
            state.progress_text = _("Starting the backend and its model …")
        elif job is not None:
            state.progress = round(100 * job.progress())
            waiting = board.analysis.waiting()
            state.progress_text = words.about_job(job, time.monotonic(), waiting)


def _tint(row: Vertebra | None) -> str:
    """The colour behind a P: red by its size, amber where it is not to be trusted."""
    if row is not None and row.outside:
        return "background: #6b5400"
    return f"background: rgba(208, 59, 50, {0.75 * words.weight_of_p(row):.2f})"

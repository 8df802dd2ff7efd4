"""What the parts of an interface share: the state, and signals that tell of its changes.

Parts know the board and what they show, and nothing of each other. No widget is known here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from HideSeekLib.anatomy import vertebrae
from HideSeekLib.case.case import Case, cases_in_scene
from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _
from HideSeekLib.run.analysis import Analysis
from HideSeekLib.run.jobs import Inputs, Job, PickedBody
from HideSeekLib.worker.request import Failure
from HideSeekLib.worker.settings import BackendSettings

log = logging.getLogger(__name__)


class Signal:
    """Calls everybody who connected, in the order in which they did."""

    def __init__(self) -> None:
        self._slots: list[Callable[..., Any]] = []

    def connect(self, slot: Callable[..., Any]) -> None:
        """Call `slot` from now on."""
        self._slots.append(slot)

    def emit(self, *values: Any) -> None:
        """Tell everybody."""
        for slot in self._slots:
            slot(*values)


class Board:
    """The state of an interface: Slicer's panel or the browser.

    parameters: the scene's parameter node, typed. matches: segments and their levels. case: the
    one under review, or None. analysis: what runs jobs; another one after the backend restarted.
    more_options: of a run, beside those of the parameter node. settings: how the backend is
    reached. restart_backend: ends it, and every job. closing: the scene or the module is about to
    go.

    inputs_changed(): nodes, levels or segments. case_changed(): another case, or other results in
    it. job_changed(job): progress, or the end, of a job (None when nothing runs any more).
    review_changed(): a decision or the threshold.
    """

    def __init__(self, settings: BackendSettings) -> None:
        self.parameters: Any = None
        self.matches: tuple[vertebrae.SegmentLevel, ...] = ()
        self.case: Case | None = None
        self.settings = settings
        self.closing = False
        self.more_options: dict[str, Any] = {}
        self.analysis: Analysis
        self.restart_backend: Callable[[], None]
        self.inputs_changed = Signal()
        self.case_changed = Signal()
        self.job_changed = Signal()
        self.review_changed = Signal()
        self.said = Signal()

    # --- inputs ------------------------------------------------------------------------------

    def inputs(self) -> Inputs:
        """Return the chosen nodes; `ct` may be None."""
        node = self.parameters
        return Inputs(node.ct, node.vertebrae, node.bodies, dict(node.levelOverrides))

    def levels(self) -> tuple[str, ...]:
        """Return the levels that have a segment, from head to feet."""
        return tuple(vertebrae.segments_by_level(self.matches))

    def match_inputs(self) -> None:
        """Match the segments to levels again and tell of it."""
        if self.closing:
            return
        inputs = self.inputs()
        self.matches = ()
        if inputs.vertebrae is not None:
            self.guarded(lambda: self._match(inputs))
        self.inputs_changed.emit()

    def _match(self, inputs: Inputs) -> None:
        self.matches = vertebrae.match_levels(inputs.vertebrae, inputs.overrides)

    def polarity_of(self, level: str) -> str:
        """Return what to look for in one vertebra."""
        # A copy: what Slicer's wrapper gives is no dict, and its `get` takes no default.
        own = dict(self.parameters.polarityByLevel)
        return str(own.get(level, self.parameters.polarity.value))

    # --- the case ----------------------------------------------------------------------------

    def live_case(self) -> Case | None:
        """Return the case under review while it is in the scene."""
        return self.case if self.case is not None and self.case.alive else None

    def set_case(self, case: Case | None) -> None:
        """Make `case` the one under review."""
        self.case = case
        alive = self.live_case()
        self.parameters.case = alive.node if alive is not None else None
        self.case_changed.emit()

    def take_case(self, case: Case | None) -> None:
        """Show the case that a job wrote into. One in which nothing is yet never takes the place of
        another: a job that is cancelled at once leaves what was there."""
        if case is None or not case.alive or case is self.case:
            self.case_changed.emit()
        elif case.record.levels() or self.live_case() is None:
            self.set_case(case)

    def case_lost(self) -> None:
        """Look for another case after nodes of this one are gone."""
        if self.live_case() is not None:
            self.case_changed.emit()
        else:
            cases = cases_in_scene()
            self.set_case(cases[-1] if cases else None)

    def run_options(self) -> dict[str, Any]:
        """Return the options that a run is asked for; an interface may offer more than one."""
        return {"protocol": self.parameters.protocol.value, **self.more_options}

    # --- jobs --------------------------------------------------------------------------------

    @property
    def job(self) -> Job | None:
        """The job that runs."""
        return self.analysis.job

    def start_job(
        self, kind: str, levels: tuple[str, ...], body: PickedBody | None = None
    ) -> Job | None:
        """Start a screening or an analysis; it waits behind those that run."""
        inputs = self.inputs()
        if inputs.ct is None or not levels:
            return None
        self.analysis.wanted_model = (self.settings.model, self.settings.device)
        polarity = {level: self.polarity_of(level) for level in levels}
        told = polarity if kind == "segment" else {}
        job = Job(kind, inputs, levels, told, self.run_options(), body)
        self.say(_("Starting …"))
        self.analysis.start(job)
        return job

    def ask(
        self,
        method: str,
        params: dict[str, Any],
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[Failure], None],
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> str:
        """Ask the backend something that is no job, with the model of the settings.

        Returns the id of the request, "" while a model is loaded for it.
        """
        self.analysis.wanted_model = (self.settings.model, self.settings.device)
        return self.analysis.ask(method, params, on_result, on_failure, on_progress)

    # --- the user ----------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a line where the user looks."""
        self.said.emit(text)

    def guarded(self, action: Callable[[], Any]) -> None:
        """Run an action of the user; what goes wrong is said to the user, never raised."""
        try:
            action()
        except SceneError as error:
            self.say("⚠ " + str(error))
        except Exception as error:  # a defect must not take the event loop with it
            log.exception("An action of the user failed")
            self.say("⚠ " + _("Unexpected problem: {error}").format(error=error))

"""From the panel's wishes to worker requests, and from the worker's answers into the scene.

Knows no Qt. The panel calls `tick` from a timer; each call does one short piece: cut one block out
of the CT, encode a chunk, read an answer, write one vertebra into the scene. A job fails or is
cancelled on its own; whatever it finished before stays in the scene.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from HideSeekLib.anatomy import blocks as scene_blocks
from HideSeekLib.case import case as scene
from HideSeekLib.case.region import remember_clicked
from HideSeekLib.errors import NodeGone, SceneError
from HideSeekLib.i18n import _
from HideSeekLib.run.jobs import Job, JobState
from HideSeekLib.wire.words import BESIDE
from HideSeekLib.worker.client import WorkerClient
from HideSeekLib.worker.request import ClientState, Failure, Request

log = logging.getLogger(__name__)

BATCH_VOXELS = 60_000_000
"""Voxels sent in one request at most, so that a fine CT does not fill memory twice."""


class Analysis:
    """Runs jobs one after another on a WorkerClient.

    on_change(): progress or state changed. on_job_end(job): a job ended, in whichever way.
    on_vertebra(job, level): one vertebra's result is in the scene.
    """

    def __init__(
        self,
        client: WorkerClient,
        *,
        on_change: Callable[[], None] | None = None,
        on_job_end: Callable[[Job], None] | None = None,
        on_vertebra: Callable[[Job, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client = client
        self.model: dict[str, Any] = {}
        self.wanted_model = ("bundled", "auto")
        self.on_change, self.on_job_end, self.on_vertebra = on_change, on_job_end, on_vertebra
        self.job: Job | None = None
        self._loaded: tuple[str, str] | None = None
        self._worker_pid: Any = None
        self._waiting: deque[Job] = deque()
        self._batches: deque[tuple[str, tuple[str, ...]]] = deque()
        self._cutter: Iterator[Any] | None = None
        self._cut: list[Any] = []
        self._cut_voxels = 0
        self._cut_done = True
        self._request = ""
        self._clock = clock

    # --- wishes ------------------------------------------------------------------------------

    def start(self, job: Job) -> None:
        """Queue a job; it begins when those before it have ended."""
        job.ct_id = job.inputs.ct.GetID() or ""
        self._waiting.append(job)
        self._changed()

    def busy(self) -> bool:
        """Return whether a job runs or waits."""
        return self.job is not None or bool(self._waiting)

    def waiting(self) -> int:
        """Return how many jobs wait behind the running one."""
        return len(self._waiting)

    def jobs(self) -> list[Job]:
        """Return the running job and those that wait."""
        return [*([self.job] if self.job is not None else []), *self._waiting]

    def cancel(self) -> None:
        """Cancel the running job and those that wait; finished vertebrae stay."""
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            self._end(job, JobState.CANCELLED, "")
        self._stop_running(JobState.CANCELLED, "")

    def fail(self, problem: str) -> None:
        """End every job because of something outside, such as a closed scene."""
        waiting, self._waiting = self._waiting, deque()
        self._stop_running(JobState.FAILED, problem, drop=True)
        for job in waiting:
            self._end(job, JobState.FAILED, problem)

    def node_removed(self, node_id: str) -> None:
        """End the jobs whose CT left the scene; nothing could be placed any more."""
        problem = _("The CT was removed from the scene.")
        for job in [j for j in self._waiting if j.ct_id == node_id]:
            self._waiting.remove(job)
            self._end(job, JobState.FAILED, problem)
        if self.job is not None and self.job.ct_id == node_id:
            self._stop_running(JobState.FAILED, problem, drop=True)

    def ask(
        self,
        method: str,
        params: Mapping[str, Any],
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[Failure], None],
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> str:
        """Send a request that is no job, such as a report, once the model it needs is loaded.

        Returns its id, by which it can be cancelled, or "" while the model is loaded.
        """
        request = Request(
            method, params, on_result=on_result, on_failure=on_failure, on_progress=on_progress
        )
        if method in BESIDE or self._loaded == self.wanted_model:
            return self.client.submit(request)
        self._load_model(lambda: self.client.submit(request), on_failure)
        return ""

    def forget_model(self) -> None:
        """Load the model anew before the next job."""
        self._loaded = None

    # --- one step ----------------------------------------------------------------------------

    def tick(self) -> None:
        """Advance by one short step."""
        self.client.tick()
        if (
            self.client.state in (ClientState.STOPPED, ClientState.STARTING)
            and self._loaded is not None
        ):
            self._loaded = None  # whatever worker comes next knows no model
        if self.job is None and self._waiting:
            self._begin(self._waiting.popleft())
        elif self.job is not None and self.job.state == JobState.CUTTING:
            self._guarded(self._cut_one)

    # --- inside ------------------------------------------------------------------------------

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _begin(self, job: Job) -> None:
        self.job = job
        job.started = self._clock()
        self._batches = deque(self._make_batches(job))
        if self._loaded == self.wanted_model:
            self._guarded(self._open_case)
        else:
            job.state = JobState.MODEL
            self._load_model(lambda: self._guarded(self._open_case), self._failed)
        self._changed()

    @staticmethod
    def _make_batches(job: Job) -> Iterable[tuple[str, tuple[str, ...]]]:
        groups: dict[str, list[str]] = {}
        for level in job.levels:
            groups.setdefault(job.polarity.get(level, "auto"), []).append(level)
        return [(polarity, tuple(levels)) for polarity, levels in groups.items()]

    def _load_model(self, then: Callable[[], Any], on_failure: Callable[[Failure], None]) -> None:
        wanted = self.wanted_model

        def loaded(result: dict[str, Any]) -> None:
            self.model = result
            self._loaded = wanted
            self._changed()
            then()

        model, device = wanted
        self._request = self.client.submit(
            Request(
                "load_model",
                {"model": model, "device": device},
                on_result=loaded,
                on_failure=on_failure,
            )
        )

    def _open_case(self) -> None:
        job = self._running()
        inputs = job.inputs
        if not inputs.ct.GetScene():
            raise NodeGone(_("The CT was removed from the scene."))
        model = {key: self.model.get(key) for key in ("name", "hash", "device")}
        job.case = scene.begin_run(
            inputs.ct,
            inputs.vertebrae,
            model=model,
            options=dict(job.options),
            levels=job.levels if job.kind == "segment" else (),
            body_node=inputs.bodies,
            overrides=dict(inputs.overrides),
        )
        if job.body is not None:
            remember_clicked(job.case, job.body.node)
        self._next_batch()

    def _next_batch(self) -> None:
        job = self._running()
        if self._cut_done:
            if not self._batches:
                self._end_running(JobState.DONE, "")
                return
            levels = self._batches[0][1]
            self._cutter = self._blocks(job, levels)
            self._cut_done = False
        job.state = JobState.CUTTING
        self._changed()

    @staticmethod
    def _blocks(job: Job, levels: tuple[str, ...]) -> Iterator[Any]:
        inputs = job.inputs
        if job.body is not None:
            return iter(
                [
                    scene_blocks.block_from_body(
                        inputs.ct, job.body.node, job.body.segment_id, job.body.level
                    )
                ]
            )
        return iter(
            scene_blocks.iter_blocks(
                inputs.ct,
                inputs.vertebrae,
                levels,
                body_node=inputs.bodies,
                overrides=dict(inputs.overrides),
            )
        )

    def _cut_one(self) -> None:
        assert self._cutter is not None
        block = next(self._cutter, None)
        if block is None:
            self._cut_done = True
            self._batches_sent()
            return
        self._cut.append(block)
        self._cut_voxels += block.ct.size
        if self._cut_voxels > BATCH_VOXELS:
            self._send()

    def _batches_sent(self) -> None:
        if self._cut:
            self._send()
        else:
            self._batches.popleft()
            self._next_batch()

    def _send(self) -> None:
        job = self._running()
        polarity = self._batches[0][0]
        params = {
            "options": {**job.options, "polarity": polarity},
            "blocks": [block.message() for block in self._cut],
        }
        job.sent, job.before = len(self._cut), len(job.finished)
        job.request_share, job.request_seconds_left = 0.0, None
        self._cut, self._cut_voxels = [], 0
        job.state = JobState.RUNNING
        self._request = self.client.submit(
            Request(
                job.kind,
                params,
                on_result=lambda result: self._guarded(lambda: self._sent_done(job, result)),
                on_failure=self._failed,
                on_vertebra=lambda reply: self._guarded(lambda: self._place(job, reply)),
                on_progress=lambda message: self._show_progress(job, message),
            )
        )
        self._changed()

    def _sent_done(self, job: Job, result: dict[str, Any]) -> None:
        if job is not self.job:
            return
        if job.kind == "screen":
            found = result.get("vertebrae", [])
            job.case.set_screen(found)
            job.finished += [str(v["vertebra"]) for v in found]
        else:
            job.case.finish(result.get("provenance", {}))
        job.sent, job.request_share, job.request_seconds_left = 0, 0.0, None
        if self._cut_done:
            self._batches.popleft()
        self._next_batch()

    def _place(self, job: Job, reply: dict[str, Any]) -> None:
        if job is not self.job or job.kind != "segment":
            return
        job.case = job.case.add_vertebra(reply, dict(job.options))
        level = str(reply["vertebra"])
        job.finished.append(level)
        if self.on_vertebra is not None:
            self.on_vertebra(job, level)
        self._changed()

    def _show_progress(self, job: Job, message: dict[str, Any]) -> None:
        if job is not self.job:
            return
        job.stage = str(message.get("stage") or "")
        job.vertebra = str(message.get("vertebra") or "")
        done, total = message.get("done"), message.get("total")
        if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
            job.request_share = min(1.0, max(0.0, done / total))
        left = message.get("seconds_left")
        job.request_seconds_left = float(left) if isinstance(left, (int, float)) else None
        self._changed()

    def _running(self) -> Job:
        assert self.job is not None
        return self.job

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run a step of the present job; whatever it raises ends the job, not the panel."""
        try:
            step()
        except SceneError as error:
            self._stop_running(JobState.FAILED, str(error), drop=True)
        except Exception as error:  # a defect must still leave the panel usable
            log.exception("A step of the analysis failed")
            self._stop_running(
                JobState.FAILED, _("Unexpected problem: {error}").format(error=error), drop=True
            )

    def _failed(self, failure: Failure) -> None:
        if self.job is None:
            return
        if failure.code == "cancelled":
            self._end_running(JobState.CANCELLED, self.job.problem)
        else:
            self._end_running(JobState.FAILED, str(failure))

    def _stop_running(self, state: JobState, problem: str, *, drop: bool = False) -> None:
        """End the running job; with `drop` at once, else when the worker confirms."""
        job = self.job
        if job is None:
            return
        job.problem = job.problem or problem
        sent = job.state in (JobState.RUNNING, JobState.MODEL)
        if drop or not sent:
            request = self._request
            self._end_running(state, problem)
            if sent:
                self.client.cancel(request)
        else:
            self.client.cancel(self._request)

    def _end_running(self, state: JobState, problem: str) -> None:
        job, self.job = self.job, None
        self._cutter, self._cut, self._cut_voxels, self._cut_done = None, [], 0, True
        self._batches.clear()
        if job is not None:
            self._end(job, state, problem)

    def _end(self, job: Job, state: JobState, problem: str) -> None:
        job.state, job.problem = state, problem
        if self.on_job_end is not None:
            self.on_job_end(job)
        self._changed()

"""Drives the backend from a timer: one worker client, one analysis, until they are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from HideSeekLib.i18n import _
from HideSeekLib.run.analysis import Analysis
from HideSeekLib.run.board import Board
from HideSeekLib.run.jobs import Job, JobState
from HideSeekLib.worker.client import WorkerClient
from HideSeekLib.worker.request import ClientState, Transport

BUSY_MS, IDLE_MS = 15, 250


class Work:
    """Owns the worker client and the timer; `board.analysis` is always the present one.

    make_transport: gives a Transport for the present settings. log: takes lines of the worker.
    on_silence: called when a job failed and the backend never spoke.
    """

    def __init__(
        self,
        board: Board,
        make_transport: Callable[[Any], Transport],
        log: Callable[[str], None],
        on_silence: Callable[[], None],
    ) -> None:
        self.board = board
        self._make_transport = make_transport
        self._log = log
        self._on_silence = on_silence
        self._timer = qt.QTimer()
        self._timer.setInterval(IDLE_MS)
        self._timer.connect("timeout()", self._tick)
        board.restart_backend = self.restart
        self._renew()

    def restart(self) -> None:
        """End the worker and every job; the next job starts a fresh one."""
        self.board.analysis.fail(_("The backend was restarted."))
        self.client.kill()
        self._renew()
        self.board.job_changed.emit(None)

    def follow(self) -> None:
        """Follow the worker closely."""
        self._timer.start()

    def rest(self) -> None:
        """Stop following it, unless something runs."""
        if not self._moving():
            self._timer.stop()

    def following(self) -> bool:
        """Return whether the worker is followed."""
        return bool(self._timer.isActive())

    def close(self, reason: str) -> None:
        """End the worker and every job for good."""
        self._timer.stop()
        self.board.analysis.fail(reason)
        self.client.kill()

    def _renew(self) -> None:
        self.client = WorkerClient(self._make_transport(self.board.settings), on_log=self._log)
        self.board.analysis = Analysis(
            self.client,
            on_change=self._progressed,
            on_job_end=self._job_ended,
            on_vertebra=self._vertebra_done,
        )

    def _moving(self) -> bool:
        alive = self.board.analysis.busy() or self.client.busy()
        return alive or self.client.state in (ClientState.STARTING, ClientState.STOPPING)

    def _progressed(self) -> None:
        self._timer.setInterval(BUSY_MS)
        if not self._timer.isActive():
            self._timer.start()
        self.board.job_changed.emit(self.board.job)

    def _tick(self) -> None:
        self.board.guarded(self.board.analysis.tick)
        self._timer.setInterval(BUSY_MS if self._moving() else IDLE_MS)

    def _job_ended(self, job: Job) -> None:
        self.board.take_case(job.case)
        self.board.job_changed.emit(job)
        if job.state == JobState.FAILED and not self.client.ever_ready and not self.board.closing:
            # No word from the backend: most likely it is not installed yet.
            self._on_silence()

    def _vertebra_done(self, job: Job, level: str) -> None:
        self.board.take_case(job.case)

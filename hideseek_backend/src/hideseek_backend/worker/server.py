"""Requests in, replies out: one thread reads, one analyses, one serves what needs no model.

So cancel always gets through, and a body about a click is found while an analysis runs.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Mapping
from typing import Any

from hideseek_backend.errors import Cancelled
from hideseek_backend.wire.words import BESIDE
from hideseek_backend.worker.about import hello, info
from hideseek_backend.worker.channel import Channel
from hideseek_backend.worker.jobs import Jobs, Outlet
from hideseek_backend.worker.protocol import (
    ProtocolError,
    Request,
    RequestId,
    error_reply,
    parse_request,
)

log = logging.getLogger(__name__)

CANCEL_SECONDS = 1.0
"""A cancelled job is answered after this long even if a network call has not returned yet."""


class Job:
    """A request that takes time. Ends exactly once; whatever it says later is dropped."""

    def __init__(self, request: Request, channel: Channel) -> None:
        self.request = request
        self.cancel = threading.Event()
        self._channel = channel
        self._lock = threading.Lock()
        self._ended = False

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a reply of a running job.

        Raises Cancelled when the job has been answered already, so that it stops.
        """
        with self._lock:
            if self._ended:
                raise Cancelled()
            self._channel.send({**message, "id": self.request.id})

    def end(self, message: Mapping[str, Any]) -> bool:
        """Send the last reply unless there was one; return whether this was it."""
        with self._lock:
            if self._ended:
                return False
            self._ended = True
            self._channel.send({**message, "id": self.request.id})
            return True


class Server:
    """Serve a channel until it closes or shutdown is asked for."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._jobs = Jobs()
        self._queue: queue.Queue[Job] = queue.Queue()
        self._beside: queue.Queue[Job] = queue.Queue()
        self._open: dict[RequestId, Job] = {}
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Say hello, then answer; never returns, as the process ends with its input."""
        self._channel.send(hello())
        beside = threading.Thread(target=self._work, args=(self._beside,), daemon=True)
        for thread in (threading.Thread(target=self._read, daemon=True), beside):
            thread.start()
        self._work(self._queue)

    # --- the threads that compute ---------------------------------------------------------------

    def _work(self, jobs: queue.Queue[Job]) -> None:
        while True:
            self._run(jobs.get())

    def _run(self, job: Job) -> None:
        request = job.request
        try:
            if job.cancel.is_set():
                raise Cancelled()
            outlet = Outlet(job.send, job.cancel.is_set)
            result = self._jobs.run(request.method, request.params, outlet)
            reply: Mapping[str, Any] = {"type": "result", "result": result}
        except BrokenPipeError:
            _leave("nobody reads the replies any more")
        except Exception as error:  # whatever happens in a job, the worker goes on serving
            if not isinstance(error, Cancelled):
                log.warning("request %s %s failed", request.id, request.method, exc_info=error)
            reply = error_reply(error)
        self._finish(job, reply)

    def _finish(self, job: Job, reply: Mapping[str, Any]) -> None:
        with self._lock:  # before the answer, so that who has read it finds the worker free
            if self._open.get(job.request.id) is job:
                del self._open[job.request.id]
        try:
            job.end(reply)
        except BrokenPipeError:
            _leave("nobody reads the replies any more")
        except ValueError as error:  # a number that JSON cannot hold: say so instead of nothing
            log.exception("the result of request %s cannot be sent", job.request.id)
            self._channel.send(error_reply(error, job.request.id))

    # --- the thread that reads ------------------------------------------------------------------

    def _read(self) -> None:
        try:
            for line in self._channel.lines():
                self._take(line)
        except OSError as error:
            _leave(f"the pipe broke: {error}")
        except BaseException:
            log.exception("the reading thread failed")
            _leave("a fault while reading", status=1)
        _leave("standard input closed")

    def _take(self, line: bytes | ProtocolError) -> None:
        if isinstance(line, ProtocolError):
            self._channel.send(error_reply(line))
            return
        if not line.strip():
            return
        try:
            request = parse_request(line)
            self._dispatch(request)
        except ProtocolError as error:
            self._channel.send(error_reply(error, error.request_id))

    def _dispatch(self, request: Request) -> None:
        if request.method == "ping":
            self._answer(request, {"busy": bool(self._open)})
        elif request.method == "info":
            self._answer(request, info(self._jobs.model))
        elif request.method == "cancel":
            self._answer(request, {"state": self._cancel(request)})
        elif request.method == "shutdown":
            self._answer(request, {})
            _leave("shutdown was asked for")
        else:
            self._enqueue(request)

    def _answer(self, request: Request, result: Mapping[str, Any]) -> None:
        self._channel.send({"type": "result", "id": request.id, "result": result})

    def _enqueue(self, request: Request) -> None:
        job = Job(request, self._channel)
        with self._lock:
            if request.id in self._open:
                error = ProtocolError(
                    f"Expected a new id, got {request.id!r}, which is still being worked on.",
                    "Give every request an id of its own.",
                )
                error.request_id = request.id
                raise error
            self._open[request.id] = job
        (self._beside if request.method in BESIDE else self._queue).put(job)

    def _cancel(self, request: Request) -> str:
        """Stop the request named by `target`; return "cancelling" or "unknown"."""
        if "target" not in request.params:
            error = ProtocolError("Expected a target, the id to cancel.", "Add it to params.")
            error.request_id = request.id
            raise error
        with self._lock:
            job = self._open.get(request.params["target"])
        if job is None:
            return "unknown"
        job.cancel.set()
        # Normally the job notices between two network calls; a single long call must not make the
        # user wait, so after a moment the answer goes out and the job's later words are dropped.
        timer = threading.Timer(CANCEL_SECONDS, self._finish, (job, error_reply(Cancelled())))
        timer.daemon = True
        timer.start()
        return "cancelling"


def _leave(reason: str, status: int = 0) -> None:
    """End the process at once, a computation in the other thread included; nothing is half-written,
    as the worker writes no files."""
    log.info("the worker ends: %s", reason)
    logging.shutdown()
    os._exit(status)

"""Client of the HideSeek worker: requests in order, answers by callback, faults contained.

Knows the protocol but no transport and no Qt: bytes go out through a Transport and come in through
`bytes_received`; time comes in through `tick`, which the panel calls from a timer. Every step is
short, so the window stays alive; the worker's death, silence or chatter ends requests with an
error and never raises.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from HideSeekLib.wire.lines import LineBuffer, decode_line, encode_line, encode_line_steps
from HideSeekLib.wire.version import PROTOCOL
from HideSeekLib.wire.words import BESIDE
from HideSeekLib.worker.request import ClientState, Failure, Limits, Message, Request, Transport

log = logging.getLogger(__name__)


class WorkerClient:
    """Keeps one worker process and a queue of requests to it.

    on_change(): called after every change of state; on_log(text): a line for the log.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[], None] | None = None,
        on_log: Callable[[str], None] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.state = ClientState.STOPPED
        self.hello: Message = {}
        self.on_change = on_change
        self.on_log = on_log
        self._transport = transport
        self._clock = clock
        self._lines = LineBuffer()
        self._inbox: deque[bytes] = deque()
        self._queue: deque[Request] = deque()
        self._active: Request | None = None
        self._beside: Request | None = None  # served by the worker beside the active one
        self._next_id = 1
        self._since = 0.0  # when the present state began
        self._heard = 0.0  # when the worker last said anything
        self._pinged = 0.0
        self._restarts = 0
        self.ever_ready = False  # whether a worker of these settings ever spoke
        self._noise = 0
        self._last_words = ""

    # --- what the panel asks -----------------------------------------------------------------

    def submit(self, request: Request) -> str:
        """Queue a request, start the worker if none runs, and return the request's id."""
        request.id = self._new_id()
        self._queue.append(request)
        if self.state == ClientState.STOPPED:
            self._restarts = 0
            self._start()
        return request.id

    def cancel(self, request_id: str) -> bool:
        """Stop a request: at once while it waits, within `limits.cancel` while it runs."""
        for request in self._queue:
            if request.id == request_id:
                self._queue.remove(request)
                self._fail(request, Failure("cancelled", "Cancelled before it started."))
                return True
        if self._beside is not None and self._beside.id == request_id:
            self._send("cancel", {"target": request_id})
            return True
        active = self._active
        if active is None or active.id != request_id:
            return False
        if self.state == ClientState.ENCODING:
            self._active = None
            self._set_state(ClientState.READY)
            self._fail(active, Failure("cancelled", "Cancelled before it was sent."))
        elif active.cancelling_since is None:
            active.cancelling_since = self._clock()
            self._send("cancel", {"target": request_id})
        return True

    def waiting(self) -> int:
        """Return how many requests wait behind the running one."""
        return len(self._queue)

    def busy(self) -> bool:
        """Return whether a request runs or waits."""
        return self._active is not None or self._beside is not None or bool(self._queue)

    def restart(self) -> None:
        """End the worker; the running request fails, the waiting ones run on a fresh one."""
        self._end("restarted", "The backend was restarted.", again=bool(self._queue))

    def shutdown(self) -> None:
        """Ask the worker to leave; `tick` kills it when it does not."""
        if self.state == ClientState.STOPPED:
            return
        for request in [*self._queue, *([self._active] if self._active else [])]:
            self._fail(request, Failure("cancelled", "The backend was shut down."))
        self._queue.clear()
        self._active = None
        self._drop_beside(Failure("cancelled", "The backend was shut down."))
        self._send("shutdown", {})
        self._set_state(ClientState.STOPPING)

    def kill(self) -> None:
        """End the worker now and fail every request; for closing the module."""
        self._queue, waiting = deque(), self._queue
        self._end("cancelled", "The backend was stopped.", again=False)
        for request in waiting:
            self._fail(request, Failure("cancelled", "The backend was stopped."))

    # --- what the transport says -------------------------------------------------------------

    def bytes_received(self, data: bytes) -> None:
        """Take bytes of the worker's standard output; they are read in `tick`."""
        if self.state == ClientState.STOPPED:
            return
        self._heard = self._clock()
        for line in self._lines.feed(data):
            if not line.strip():
                continue
            # The size decides: a vertebra's arrays are parsed one line a tick, see tick().
            self._inbox.append(line)

    def log_started(self, command: str) -> None:
        """Take note of the command that is about to run."""
        self._note("$ " + command)

    def log_received(self, text: str) -> None:
        """Take text of the worker's standard error."""
        lines = [line for line in text.splitlines() if line.strip()]
        if lines:
            self._last_words = lines[-1].strip()[:200]
        self._note(text)

    def exited(self, reason: str) -> None:
        """Take note that the worker process is gone."""
        if self.state == ClientState.STOPPED:
            return
        if self.state == ClientState.STOPPING:
            self._forget_process()
            self._set_state(ClientState.STOPPED)
            return
        self._drain()  # results it said before it died count
        if self.state == ClientState.STOPPED:
            return
        words = f" Its last words: {self._last_words}" if self._last_words else ""
        self._end(
            "crashed",
            f"The backend stopped unexpectedly ({reason}).{words}",
            again=True,
            remedy="The environment section has its log and can check what is missing.",
            running=False,
        )

    def tick(self) -> None:
        """Advance: read answers, encode the next request, watch the clock; returns quickly."""
        stop_at = self._clock() + self.limits.step
        while self._inbox and self._clock() < stop_at:
            self._handle_next()
        while self.state == ClientState.ENCODING and self._clock() < stop_at:
            self._encode_step()
        if self.state == ClientState.BUSY or self._beside is not None:
            self._send_beside(stop_at)
        if self.state == ClientState.READY and self._queue:
            self._begin(self._queue.popleft())
        self._watch_clock()

    # --- inside ------------------------------------------------------------------------------

    def _new_id(self) -> str:
        self._next_id += 1
        return str(self._next_id - 1)

    def _set_state(self, state: ClientState) -> None:
        self.state = state
        self._since = self._clock()
        if self.on_change is not None:
            self.on_change()

    def _note(self, text: str) -> None:
        log.debug("%s", text)
        if self.on_log is not None:
            self.on_log(text)

    def _start(self) -> None:
        self._forget_process()
        self._heard = self._pinged = self._clock()
        self._last_words = ""
        self._set_state(ClientState.STARTING)
        self._transport.start(self)

    def _forget_process(self) -> None:
        self._lines.clear()
        self._inbox.clear()
        self.hello = {}
        self._noise = 0

    def _end(
        self, code: str, message: str, *, again: bool, remedy: str = "", running: bool = True
    ) -> None:
        """Drop the process, fail the running request, and restart for those that wait."""
        active, self._active = self._active, None
        starting = self.state == ClientState.STARTING
        if running and self.state != ClientState.STOPPED:
            self._transport.kill()
        self._forget_process()
        self._set_state(ClientState.STOPPED)
        failure = Failure(code, message, remedy)
        if active is not None:
            self._fail(active, failure)
        self._drop_beside(failure)
        if self._queue and (starting or not again or self._restarts >= self.limits.restarts):
            # It never came up, or keeps dying: the waiting requests would meet the same end.
            waiting, self._queue = self._queue, deque()
            for request in waiting:
                self._fail(request, failure)
        if self._queue and self.state == ClientState.STOPPED:
            self._restarts += 1
            self._start()

    def _fail(self, request: Request, failure: Failure) -> None:
        self._call(request.on_failure, failure)

    def _call(self, callback: Callable[[Any], None] | None, value: Any) -> None:
        """Call back without letting the caller's mistake break the protocol."""
        if callback is None:
            return
        try:
            callback(value)
        except Exception:  # the boundary between the worker and any user code
            log.exception("A callback of a worker request failed")
            self._note("An answer of the backend could not be used; see the application log.")

    def _send(self, method: str, params: Mapping[str, Any]) -> None:
        message = {"id": self._new_id(), "method": method, "params": params}
        self._transport.write(encode_line(message))

    def _begin(self, request: Request) -> None:
        self._active = request
        request.encoder = encode_line_steps(
            {"id": request.id, "method": request.method, "params": request.params}
        )
        self._set_state(ClientState.ENCODING)

    def _encode_step(self) -> None:
        request = self._active
        if request is None or request.encoder is None:
            self._set_state(ClientState.READY)
            return
        try:
            next(request.encoder)
        except StopIteration as stop:
            request.encoder = None
            request.params = {}  # the blocks are on their way; do not hold them twice
            self._heard = self._pinged = self._clock()
            self._set_state(ClientState.BUSY)
            self._transport.write(stop.value)
        except (TypeError, ValueError) as error:
            request.encoder, self._active = None, None
            self._set_state(ClientState.READY)
            self._fail(request, Failure("input", f"The request cannot be sent: {error}"))

    def _send_beside(self, stop_at: float) -> None:
        """While a request runs, send one of those that the worker serves beside it."""
        if self._beside is None:
            waiting = (request for request in self._queue if request.method in BESIDE)
            self._beside = next(waiting, None)
            if self._beside is None:
                return
            request = self._beside
            self._queue.remove(request)
            request.encoder = encode_line_steps(
                {"id": request.id, "method": request.method, "params": request.params}
            )
        request = self._beside
        while request.encoder is not None and self._clock() < stop_at:
            try:
                next(request.encoder)
            except StopIteration as stop:
                request.encoder, request.params = None, {}
                self._transport.write(stop.value)
            except (TypeError, ValueError) as error:
                self._drop_beside(Failure("input", f"The request cannot be sent: {error}"))
                return

    def _drop_beside(self, failure: Failure) -> None:
        beside, self._beside = self._beside, None
        if beside is not None:
            self._fail(beside, failure)

    def _drain(self) -> None:
        while self._inbox:
            self._handle_next()

    def _handle_next(self) -> None:
        line = self._inbox.popleft()
        message = decode_line(line)
        if message is None:
            self._noise += 1
            if self._noise <= 20:
                self._note("worker printed: " + line[:200].decode("utf-8", "replace"))
            return
        kind = message["type"]
        if kind == "hello":
            self._greeted(message)
        elif kind in ("result", "error", "progress", "vertebra"):
            self._answered(kind, message)

    def _greeted(self, message: Message) -> None:
        if self.state != ClientState.STARTING:
            return
        if message.get("protocol") != PROTOCOL:
            self._end(
                "protocol",
                f"The backend speaks protocol {message.get('protocol')!r}; this extension needs "
                f"{PROTOCOL}.",
                again=False,
                remedy="Install the backend that came with the extension (Environment section).",
            )
            return
        self.hello = message
        self.ever_ready = True
        self._set_state(ClientState.READY)

    def _answered(self, kind: str, message: Message) -> None:
        beside, active = self._beside, self._active
        if beside is not None and message.get("id") == beside.id:
            if kind in ("result", "error"):
                self._beside = None
                self._finished(beside, kind, message)
            return
        if active is None or self.state != ClientState.BUSY or message.get("id") != active.id:
            return  # an answer to a ping, or to something cancelled long ago
        if kind == "progress":
            self._call(active.on_progress, message)
        elif kind == "vertebra":
            self._call(active.on_vertebra, message.get("vertebra") or {})
        else:
            self._active = None
            self._restarts = 0
            self._set_state(ClientState.READY)
            self._finished(active, kind, message)

    def _finished(self, request: Request, kind: str, message: Message) -> None:
        if kind == "result":
            self._call(request.on_result, message.get("result") or {})
            return
        failure = Failure(
            str(message.get("code", "internal")),
            str(message.get("message", "The backend reported an error.")),
            str(message.get("remedy") or ""),
        )
        self._fail(request, failure)

    def _watch_clock(self) -> None:
        now = self._clock()
        if self.state == ClientState.STARTING and now - self._since > self.limits.hello:
            self._end(
                "silent",
                f"The backend did not start within {self.limits.hello:.0f} s.",
                again=False,
                remedy="Check the Python executable in the environment section.",
            )
        elif self.state == ClientState.STOPPING and now - self._since > self.limits.shutdown:
            self._transport.kill()
            self._forget_process()
            self._set_state(ClientState.STOPPED)
        elif self._beside is not None or self.state == ClientState.BUSY:
            since = self._active.cancelling_since if self._active is not None else None
            if since is not None and now - since > self.limits.cancel:
                self._end("cancelled", "Cancelled by the user.", again=True)
            elif now - self._heard > self.limits.silence:
                self._end(
                    "silent",
                    f"The backend said nothing for {self.limits.silence:.0f} s and was stopped.",
                    again=True,
                    remedy="Run again; it starts afresh.",
                )
            elif now - self._pinged > self.limits.ping_every:
                self._pinged = now
                self._send("ping", {})

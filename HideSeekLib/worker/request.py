"""What a client of the worker is asked and answers: requests, failures, limits, transports."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

Message = dict[str, Any]


def percent(message: Message) -> int | None:
    """How far a request is, 0 to 100; None where its progress message does not tell."""
    done, total = message.get("done"), message.get("total")
    if isinstance(done, (int, float)) and isinstance(total, (int, float)) and total > 0:
        return round(100 * done / total)
    return None


class ClientState(str, Enum):
    """What a client of the worker is doing; STARTING until the worker's hello."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    ENCODING = "encoding"
    BUSY = "busy"
    STOPPING = "stopping"


class Listener(Protocol):
    """What a transport reports to."""

    def bytes_received(self, data: bytes) -> None:
        """Take bytes of the worker's standard output."""

    def log_received(self, text: str) -> None:
        """Take text of the worker's standard error."""

    def log_started(self, command: str) -> None:
        """Take note of the command that is about to run."""

    def exited(self, reason: str) -> None:
        """Take note that the worker process is gone."""


class Transport(Protocol):
    """What carries the bytes: starts the worker, writes to it, ends it with all its children."""

    def start(self, listener: Listener) -> None:
        """Start the worker and report to the listener; failures are reported, not raised."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the worker's standard input without waiting."""

    def kill(self) -> None:
        """End the worker and every process below it, without waiting."""


@dataclass(frozen=True)
class Limits:
    """Seconds the client waits before it stops believing in the worker."""

    hello: float = 120.0  # importing torch from a cold network disk takes a minute
    ping_every: float = 5.0
    silence: float = 45.0  # without any word, while pinged, the worker is hung
    cancel: float = 1.5  # then the worker is killed: the user was promised two seconds
    step: float = 0.02  # work done in one tick
    shutdown: float = 1.5
    restarts: int = 2  # automatic restarts in a row for requests still waiting


@dataclass(frozen=True)
class Failure:
    """Why a request ended without a result; `code` as in the protocol, or "crashed", "silent"."""

    code: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclass
class Request:
    """One request and what to do with its answers; `on_failure` gets a Failure."""

    method: str
    params: Mapping[str, Any]
    on_result: Callable[[Message], None] | None = None
    on_failure: Callable[[Failure], None] | None = None
    on_vertebra: Callable[[Message], None] | None = None
    on_progress: Callable[[Message], None] | None = None
    id: str = ""
    cancelling_since: float | None = None
    encoder: Generator[None, None, bytes] | None = field(default=None, repr=False)

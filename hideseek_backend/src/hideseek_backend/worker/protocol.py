"""Requests read from lines, and the reply for any failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hideseek_backend.errors import HideSeekError
from hideseek_backend.wire.version import PROTOCOL
from hideseek_backend.wire.words import CODES, METHODS

# Families of errors that the protocol does not name, and what they are to the other side.
_CODE_OF = {"option": "input", "dependency": "internal", "output": "internal"}

RequestId = str | int | None
Message = dict[str, Any]


class ProtocolError(HideSeekError):
    """A line or its content does not follow the protocol."""

    code = "protocol"
    request_id: RequestId = None


@dataclass(frozen=True)
class Request:
    """One request: its id, returned with every reply, its method and its parameters."""

    id: RequestId
    method: str
    params: Mapping[str, Any]


def parse_request(line: bytes) -> Request:
    """Read one line.

    Raises ProtocolError; where the line has a usable id, the error carries it as `request_id`.
    """
    try:
        message = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _refuse(None, f"Expected a JSON object in one line, got {_shown(line)}.") from error
    if not isinstance(message, dict):
        raise _refuse(None, f"Expected a JSON object, got {_shown(line)}.")
    identifier = message.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, (str, int)):
        raise _refuse(None, f"Expected an id (text or whole number), got {identifier!r}.")
    if message.get("protocol", PROTOCOL) != PROTOCOL:
        raise _refuse(
            identifier,
            f"Expected protocol {PROTOCOL}, got {message['protocol']!r}.",
            "Install a backend and an extension of the same release.",
        )
    method = message.get("method")
    if method not in METHODS:
        raise _refuse(identifier, f"Expected a method among {', '.join(METHODS)}, got {method!r}.")
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise _refuse(identifier, f"Expected params as an object, got {type(params).__name__}.")
    return Request(identifier, str(method), params)


def error_reply(error: BaseException, identifier: RequestId = None) -> Message:
    """Return the reply for any failure; what is not ours is "internal", memory is "device"."""
    if isinstance(error, HideSeekError):
        code = _CODE_OF.get(error.code, error.code)
        return _error(
            identifier, code if code in CODES else "internal", error.message, error.remedy
        )
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _error(
            identifier,
            "device",
            "Not enough memory for this request.",
            "Send fewer vertebrae at once, close other programs, or use another device.",
        )
    return _error(
        identifier,
        "internal",
        f"The backend failed: {type(error).__name__}: {error}",
        "This is a fault of HideSeek; its log has the details.",
    )


def _error(identifier: RequestId, code: str, message: str, remedy: str) -> Message:
    return {"type": "error", "id": identifier, "code": code, "message": message, "remedy": remedy}


def _refuse(identifier: RequestId, message: str, remedy: str = "") -> ProtocolError:
    error = ProtocolError(message, remedy or "Send requests as the worker's protocol describes.")
    error.request_id = identifier
    return error


def _shown(line: bytes) -> str:
    text = line[:60].decode("utf-8", "replace")
    return repr(text + ("…" if len(line) > 60 else ""))

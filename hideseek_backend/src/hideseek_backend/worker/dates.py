"""Requests about one date or two: follow-up, worksheets, sentences. No model is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hideseek_backend.followup.timepoint import Timepoint, timepoint
from hideseek_backend.volumes.bodies import split_body
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import Acquisition
from hideseek_backend.wire.changes import FollowUp
from hideseek_backend.wire.codec import from_plain, to_plain
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.records import Vertebra, VertebraMessage
from hideseek_backend.worker.messages import read_body
from hideseek_backend.worker.protocol import ProtocolError


def follow_up(params: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two dates. params: `earlier` and `current`, each as `read_date` takes it;
    same_protocol: see `MatchOptions`."""
    from hideseek_backend.followup.compare import follow_up as compare
    from hideseek_backend.followup.matching import MatchOptions

    options = MatchOptions(same_protocol=params.get("same_protocol") is True)
    told = compare(read_date(params.get("earlier")), read_date(params.get("current")), options)
    return {"follow_up": to_plain(told)}


def sheets(params: Mapping[str, Any]) -> dict[str, Any]:
    """Suggest the worksheet of each of `levels`. params: a date, see `read_date`."""
    from hideseek_backend.sins.measure import body_frames
    from hideseek_backend.sins.worksheet import suggest

    date = read_date(params)
    frames = body_frames(date.bodies)
    return {"sheets": to_plain([suggest(date, frames, str(x)) for x in params.get("levels") or ()])}


def text(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return sentences for the report. params: vertebrae; language; template (its text); follow_up;
    volumes: False where only the central slice was analysed."""
    from hideseek_backend.report.sentences import report_text

    try:
        vertebrae = [
            from_plain(Vertebra, one, "vertebrae") for one in params.get("vertebrae") or ()
        ]
        given = params.get("follow_up")
        told = from_plain(FollowUp, given, "follow_up") if given else None
    except WireError as error:
        raise ProtocolError(f"{error}.", "Send them as this worker tells them.") from error
    template = params.get("template")
    return {
        "text": report_text(
            vertebrae, language=str(params.get("language") or "en"),
            template=str(template) if template else None, told=told,
            volumes=bool(params.get("volumes", True)),
        )
    }  # fmt: skip


def read_date(message: object) -> Timepoint:
    """Read one date: vertebrae as streamed (their `kept` as the review has it), `affine` of the CT,
    `bodies` (level, affine, vertebra and body masks; where body is null it is split off by
    geometry), options, model (hash), date, scan (an `Acquisition`).

    Raises ProtocolError naming the field.
    """
    if not isinstance(message, Mapping):
        raise ProtocolError("date: expected an object.", "Send earlier and current.")
    try:
        vertebrae = tuple(
            from_plain(VertebraMessage, one, "vertebrae") for one in message.get("vertebrae") or ()
        )
        affine = np.array(message["affine"], dtype=float).reshape(4, 4)
        scan = from_plain(Acquisition, message.get("scan") or {}, "scan")
    except (WireError, KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"date: {error}.", "Send it as the panel does.") from error
    bodies: dict[str, Volume] = {}
    for one in message.get("bodies") or ():
        level, vertebra, body = read_body(one)
        bodies[level] = body if body is not None else vertebra.with_data(
            split_body(vertebra.data > 0, vertebra.affine)
        )  # fmt: skip
    return timepoint(
        vertebrae, affine, bodies, options=dict(message.get("options") or {}),
        model=str(message.get("model") or ""), date=str(message.get("date") or ""), scan=scan,
    )  # fmt: skip

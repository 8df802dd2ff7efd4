"""What the worker does for a request: load a model, find a body, screen, segment, report."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hideseek_backend.errors import Cancelled, InputError
from hideseek_backend.report.json_report import to_plain
from hideseek_backend.worker.about import model_message, versions
from hideseek_backend.worker.eta import Eta
from hideseek_backend.worker.protocol import ProtocolError

if TYPE_CHECKING:
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import CaseResult, VertebraResult
    from hideseek_backend.models.store import Model
    from hideseek_backend.progress import Progress
    from hideseek_backend.volumes.crops import VertebraBlock

KEPT_RESULTS = 32
"""Segment requests whose results a report can still be made of; a case takes one to a few."""


@dataclass(frozen=True)
class Outlet:
    """How a job speaks while it runs: `send` a reply, and whether it was `cancelled`."""

    send: Callable[[Mapping[str, Any]], None]
    cancelled: Callable[[], bool]


class Jobs:
    """The worker's state: one model, and the latest results for reports."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self._wanted = ("bundled", "auto")
        self._results: OrderedDict[str, CaseResult] = OrderedDict()

    def run(self, method: str, key: str, params: Mapping[str, Any], outlet: Outlet) -> Any:
        """Carry out a request and return its result as JSON-ready values.

        key: names the result for later reports. Raises HideSeekError, Cancelled among them.
        """
        if method == "load_model":
            return self.load_model(params, outlet)
        if method == "body":
            return self.body(params)
        if method == "screen":
            return self.screen(params, outlet)
        if method == "segment":
            return self.segment(key, params, outlet)
        return self.report(params)

    def load_model(self, params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
        """Load a model by name or folder and keep it warm."""
        from hideseek_backend.models.store import load_model

        wanted = (_text(params, "model", "bundled"), _text(params, "device", "auto"))
        model = load_model(wanted[0], device=wanted[1])
        if outlet.cancelled():
            raise Cancelled()
        self.model, self._wanted = model, wanted
        return model_message(model)

    def body(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the approximate body around a clicked point; needs no model."""
        from hideseek_backend.volumes.click import grow_body
        from hideseek_backend.worker.messages import body_message, read_click

        ct, point, level = read_click(params)
        return body_message(grow_body(ct, point, level))

    def screen(self, params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
        """Return P(malignant) of every block."""
        from hideseek_backend.case import screen_vertebrae
        from hideseek_backend.worker.messages import read_blocks

        model = self._ready(outlet)
        options = self._options(params, model)
        blocks = read_blocks(params)
        usable = [block for block in blocks if block.body.any()]
        p_of = dict(
            screen_vertebrae(
                model, usable, options, progress=_reporter(outlet), cancelled=outlet.cancelled
            )
        )
        return {"vertebrae": to_plain([_screen_message(block, p_of) for block in blocks])}

    def segment(self, key: str, params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
        """Analyse every block; each finished vertebra is sent at once."""
        from hideseek_backend.case import EMPTY, VertebraResult, analyse_vertebra
        from hideseek_backend.progress import within_case
        from hideseek_backend.worker.messages import read_blocks, vertebra_message

        started = time.monotonic()
        model = self._ready(outlet)
        options = self._options(params, model)
        blocks = read_blocks(params)
        report = _reporter(outlet)
        finished: list[VertebraResult] = []
        provenance = _provenance(model, options)
        for index, block in enumerate(blocks):
            step = within_case(report, index, len(blocks))
            if block.body.any():
                result = analyse_vertebra(
                    model, block, options, progress=step, cancelled=outlet.cancelled
                )
            else:
                result = VertebraResult(block.level, float("nan"), reason=EMPTY)
            finished.append(result)
            self._remember(key, finished, options, provenance)
            # The threshold goes along: a review starts with what the backend itself kept.
            told = {**vertebra_message(result), "tau": options.tau}
            outlet.send({"type": "vertebra", "vertebra": told})
        seconds = time.monotonic() - started
        # With every option spelled out, a report can be made later without this model.
        explained = {**provenance, "options": options.to_dict()}
        return {"provenance": to_plain(explained), "seconds": round(seconds, 3)}

    def report(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the report of earlier results, or of vertebrae sent along, as HTML."""
        from hideseek_backend.report.html import case_page

        decisions = params.get("decisions") or {}
        if not isinstance(decisions, dict) or not all(
            isinstance(v, str) for v in decisions.values()
        ):
            raise ProtocolError('decisions: expected {"T12:3": "accept"}.', "Send texts only.")
        title = params.get("title")
        case = self._case_of(params)
        return {"html": case_page(case, decisions, str(title) if title else None)}

    def _case_of(self, params: Mapping[str, Any]) -> CaseResult:
        if params.get("vertebrae") is not None:
            return case_from_messages(params)
        if not self._results:
            raise InputError(
                "There is no result to report on.",
                "Run a segmentation first, or send the vertebrae along.",
            )
        targets = params.get("targets") or [params.get("target") or next(reversed(self._results))]
        if not isinstance(targets, list):
            raise ProtocolError("targets: expected a list of request ids.", "Send a list.")
        missing = [str(t) for t in targets if str(t) not in self._results]
        if missing:
            raise InputError(
                f"There is no result of request {', '.join(missing)} any more.",
                "Run the segmentation again, or send the vertebrae along.",
            )
        return merged([self._results[str(target)] for target in targets])

    def _ready(self, outlet: Outlet) -> Model:
        if self.model is None:
            self.load_model({"model": self._wanted[0], "device": self._wanted[1]}, outlet)
        if self.model is None:
            raise ProtocolError("No model is loaded.", "Send load_model first.")
        return self.model

    def _options(self, params: Mapping[str, Any], model: Model) -> Options:
        return read_options(params.get("options"), model.spec.defaults)

    def _remember(
        self,
        key: str,
        vertebrae: list[VertebraResult],
        options: Options,
        provenance: Mapping[str, Any],
    ) -> None:
        self._results[key] = _case(tuple(vertebrae), options, dict(provenance))
        self._results.move_to_end(key)
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)


def read_options(values: object, defaults: Mapping[str, Any] | None) -> Options:
    """Return options from the fields a request gives; the rest follows the protocol it names.

    Raises ProtocolError when `values` is no object, OptionError for a field or value.
    """
    from hideseek_backend.attribution.options import Options

    if values is not None and not isinstance(values, dict):
        raise ProtocolError("options: expected an object.", "Send the option fields by name.")
    given = dict(values or {})
    return Options.for_protocol(str(given.pop("protocol", "fast")), defaults, **given)


def case_from_messages(params: Mapping[str, Any]) -> CaseResult:
    """Return a case from vertebrae as they were streamed, with their options and provenance."""
    from hideseek_backend.worker.messages import vertebra_from_message

    messages = params["vertebrae"]
    if not isinstance(messages, list) or not messages:
        raise ProtocolError("vertebrae: expected a list of at least one.", "Send them as streamed.")
    provenance = params.get("provenance") or {}
    if not isinstance(provenance, dict):
        raise ProtocolError("provenance: expected an object.", "Send it as the result gave it.")
    given = params.get("options")
    if given is not None and not isinstance(given, dict):
        raise ProtocolError("options: expected an object.", "Send the option fields by name.")
    options = {**(provenance.get("options") or {}), **(given or {})}
    vertebrae = tuple(vertebra_from_message(message) for message in messages)
    shown = {key: value for key, value in provenance.items() if key != "options"}
    return _case(vertebrae, read_options(options, None), shown)


def merged(cases: list[CaseResult]) -> CaseResult:
    """Join the results of several requests into one case; a level's latest result counts."""
    from hideseek_backend.volumes.labels import LEVELS

    latest = {v.level: v for case in cases for v in case.vertebrae}
    ordered = tuple(latest[level] for level in LEVELS if level in latest)
    return _case(ordered, cases[-1].options, dict(cases[-1].provenance))


def _provenance(model: Model, options: Options) -> dict[str, Any]:
    from hideseek_backend.attribution.intensity import invertible

    return {
        "versions": versions(),
        "model": {"name": model.spec.name, "hash": model.hash},
        "device": str(model.device),
        "seed": options.seed,
        "evidence_units": "HU" if invertible(model) else "model",
    }


def _case(
    vertebrae: tuple[VertebraResult, ...], options: Options, provenance: dict[str, Any]
) -> CaseResult:
    import numpy as np

    from hideseek_backend.case import CaseResult
    from hideseek_backend.volumes.volume import Volume

    # The CT stays on the other side, and a report shows slices: no mask of the whole grid here.
    nothing = Volume(np.zeros((1, 1, 1), np.uint8), np.eye(4))
    return CaseResult(vertebrae=vertebrae, lesions=nothing, options=options, provenance=provenance)


def _screen_message(block: VertebraBlock, p_of: Mapping[str, float]) -> dict[str, Any]:
    from hideseek_backend.case import EMPTY

    reason = "" if block.level in p_of else EMPTY
    if not reason and block.cut:
        reason = "cut by the field of view"
    return {"level": block.level, "p_malignant": p_of.get(block.level), "reason": reason}


def _reporter(outlet: Outlet) -> Callable[[Progress], None]:
    eta = Eta()

    def report(progress: Progress) -> None:
        left = eta.seconds_left(progress.done, progress.total)
        if not eta.due(finished=progress.done >= progress.total):
            return
        outlet.send(
            {
                "type": "progress",
                "stage": progress.stage,
                "vertebra": progress.vertebra,
                "done": progress.done,
                "total": progress.total,
                "seconds_left": left,
            }
        )

    return report


def _text(params: Mapping[str, Any], name: str, default: str) -> str:
    value = params.get(name) or default
    if not isinstance(value, str):
        raise ProtocolError(f"{name}: expected text, got {type(value).__name__}.", "Send text.")
    return value

"""What the worker does for a request: load a model, find a body, screen, segment, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hideseek_backend.errors import Cancelled
from hideseek_backend.wire.codec import shared, to_plain
from hideseek_backend.wire.records import Vertebra
from hideseek_backend.wire.words import CUT, EMPTY
from hideseek_backend.worker.about import model_message, versions
from hideseek_backend.worker.protocol import ProtocolError

if TYPE_CHECKING:
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import CaseResult, VertebraResult
    from hideseek_backend.models.store import Model
    from hideseek_backend.progress import Progress
    from hideseek_backend.volumes.crops import VertebraBlock


SPEAK_SECONDS = 0.1
"""Between two reports of progress, at least; the last one is always sent."""


@dataclass(frozen=True)
class Outlet:
    """How a job speaks while it runs: `send` a reply, and whether it was `cancelled`."""

    send: Callable[[Mapping[str, Any]], None]
    cancelled: Callable[[], bool]


class Jobs:
    """What the worker can do; its state is one model. Results stay with who asked for them."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self._wanted = ("bundled", "auto")

    def run(self, method: str, params: Mapping[str, Any], outlet: Outlet) -> Any:
        """Carry out a request and return its result as plain values and arrays.

        Raises HideSeekError, Cancelled among them.
        """
        if method == "load_model":
            return self.load_model(params, outlet)
        if method == "body":
            return self.body(params)
        if method == "screen":
            return self.screen(params, outlet)
        if method == "segment":
            return self.segment(params, outlet)
        if method == "score":
            return self.score(params, outlet)
        if method == "dicom_export":
            return dicom_export(params, outlet)
        if method in ("text", "follow_up", "sheets"):
            from hideseek_backend.worker import dates

            return getattr(dates, method)(params)
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
        blocks, warnings = read_blocks(params)
        usable = [block for block in blocks if block.body.any()]
        told = screen_vertebrae(
            model, usable, options, progress=_reporter(outlet), cancelled=outlet.cancelled
        )
        found = {result.level: result for result in told}
        return {
            "vertebrae": to_plain([_screened(block, found) for block in blocks]),
            "warnings": list(warnings),
        }

    def segment(self, params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
        """Analyse every block; each finished vertebra is sent at once."""
        from hideseek_backend.case import VertebraResult, analyse_vertebra
        from hideseek_backend.progress import within_case
        from hideseek_backend.worker.messages import read_blocks, vertebra_message

        started = time.monotonic()
        model = self._ready(outlet)
        options = self._options(params, model)
        blocks, warnings = read_blocks(params)
        report = _reporter(outlet)
        provenance = {**_provenance(model, options), "warnings": warnings}
        for index, block in enumerate(blocks):
            step = within_case(report, index, len(blocks))
            if block.body.any():
                result = analyse_vertebra(
                    model, block, options, progress=step, cancelled=outlet.cancelled
                )
            else:
                result = VertebraResult(block.level, float("nan"), reason=EMPTY)
            # The threshold goes along: a review starts with what the backend itself kept.
            told = to_plain(vertebra_message(result, options.tau))
            outlet.send({"type": "vertebra", "vertebra": told})
        seconds = time.monotonic() - started
        # With every option spelled out, a report can be made later without this model.
        explained = {**provenance, "options": options.to_dict()}
        return {"provenance": to_plain(explained), "seconds": round(seconds, 3)}

    def score(self, params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
        """Score a region that a reader drew in one vertebra against its other candidates.

        params: `blocks` with one block; `region`, a mask, and `others`, candidate numbers, on its
        grid; `number` of the new candidate; `polarity`, or null to read it off the healthy edit.
        """
        from hideseek_backend.attribution.region import score_region
        from hideseek_backend.worker.messages import read_blocks, read_region

        model = self._ready(outlet)
        options = self._options(params, model)
        blocks, warnings = read_blocks(params)
        block = blocks[0]
        region, others, number, polarity = read_region(params, block)
        scored = score_region(
            model,
            block,
            region,
            others,
            options,
            number=number,
            polarity=polarity,
            progress=_reporter(outlet),
            cancelled=outlet.cancelled,
        )
        return {
            "candidate": to_plain(scored.candidate),
            "tau": options.tau,
            "warnings": [*warnings, *scored.warnings],
        }

    def report(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the report of the vertebrae sent along, as HTML."""
        from hideseek_backend.report.html import case_page

        title = params.get("title")
        return {"html": case_page(case_from_messages(params), str(title) if title else None)}

    def _ready(self, outlet: Outlet) -> Model:
        if self.model is None:
            self.load_model({"model": self._wanted[0], "device": self._wanted[1]}, outlet)
        if self.model is None:
            raise ProtocolError("No model is loaded.", "Send load_model first.")
        return self.model

    def _options(self, params: Mapping[str, Any], model: Model) -> Options:
        return read_options(params.get("options"), model.spec.defaults)


def dicom_export(params: Mapping[str, Any], outlet: Outlet) -> dict[str, Any]:
    """Write a reviewed case as DICOM into the folder `out`, for the study at `study`.

    vertebrae, options, provenance: as streamed; grid: {"shape", "affine"} of the CT. decisions:
    {"T12:3": "accept"}. reader, organization, sign: who answers for it. study: a path, or a list
    of files. All paths are on this machine; nothing is sent anywhere.
    Raises InputError, LabelError, OutputError, Cancelled.
    """
    from pathlib import Path

    from hideseek_backend.dicom.export import ExportOptions, export_case
    from hideseek_backend.dicom.objects import Signature
    from hideseek_backend.report.case_store import FORMAT, stored_from_message
    from hideseek_backend.report.output import OutputFolder, writing

    given = {name: params.get(name) or {} for name in ("grid", "options", "provenance")}
    record = {"format": FORMAT, "vertebrae": params.get("vertebrae") or [], **given}
    case = stored_from_message(record, "the request")
    options = ExportOptions(
        series=params.get("series"),
        decisions={str(k): str(v) for k, v in (params.get("decisions") or {}).items()},
        rejected=bool(params.get("rejected")),
        signature=Signature(
            _text(params, "reader", ""),
            _text(params, "organization", ""),
            bool(params.get("sign")),
        ),
        pseudonym=_text(params, "pseudonym", "") or None,
        levels_checked=bool(params.get("levels_checked")),
    )
    given_study, out = params.get("study"), _text(params, "out", "")
    if not given_study or not out:
        raise ProtocolError("study, out: expected two paths.", "Send both.")
    study: Path | list[Path]
    if isinstance(given_study, list):
        study = [Path(str(one)) for one in given_study]
    else:
        study = Path(_text(params, "study", ""))
    overwrite = bool(params.get("overwrite"))
    with OutputFolder(Path(out), overwrite=overwrite) as folder, writing(folder.target):
        done = export_case(
            case,
            study,
            folder.staging,
            options,
            progress=_reporter(outlet),
            cancelled=outlet.cancelled,
        )
    return {
        "files": [str(path) for path in done.files],
        "lesions": len(done.lesions),
        "warnings": list(done.warnings),
    }


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

    messages = params.get("vertebrae")
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


def _provenance(model: Model, options: Options) -> dict[str, Any]:

    return {
        "versions": versions(),
        "model": {"name": model.spec.name, "hash": model.hash},
        "device": str(model.device),
        "evidence_units": model.intensity.unit,
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


def _screened(block: VertebraBlock, found: Mapping[str, VertebraResult]) -> Vertebra:
    if block.level not in found:
        return Vertebra(block.level, float("nan"), reason=EMPTY)
    told = Vertebra(**shared(found[block.level], Vertebra))
    return replace(told, reason=CUT if block.cut else "")


def _reporter(outlet: Outlet) -> Callable[[Progress], None]:
    from hideseek_backend.progress import Eta

    eta, spoken = Eta(), float("-inf")

    def report(progress: Progress) -> None:
        nonlocal spoken
        left = eta.seconds_left(progress.done, progress.total)
        now = time.monotonic()
        if progress.done < progress.total and now - spoken < SPEAK_SECONDS:
            return
        spoken = now
        outlet.send(
            {
                "type": "progress",
                "stage": progress.stage,
                "vertebra": progress.vertebra,
                "done": progress.done,
                "total": progress.total,
                "seconds_left": None if left is None else round(left, 1),
            }
        )

    return report


def _text(params: Mapping[str, Any], name: str, default: str) -> str:
    value = params.get(name) or default
    if not isinstance(value, str):
        raise ProtocolError(f"{name}: expected text, got {type(value).__name__}.", "Send text.")
    return value

"""One CT in, one CaseResult out: the main job."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hideseek_backend.attribution.lesions import paint_lesions
from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.region import labels_in_crop, score_region
from hideseek_backend.attribution.results import (
    Candidate,
    CaseResult,
    SliceEvidence,
    VertebraResult,
)
from hideseek_backend.attribution.vertebra import analyse_vertebra, screen_vertebrae
from hideseek_backend.dicom.media import is_study
from hideseek_backend.errors import InputError, LabelError
from hideseek_backend.progress import (
    CancelledCallback,
    Progress,
    ProgressCallback,
    within_case,
)
from hideseek_backend.volumes.crops import VertebraBlock, cut_block
from hideseek_backend.volumes.regions import read_regions
from hideseek_backend.volumes.vertebrae import LoadedCase, Vertebrae, load_case
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import UNTOLD
from hideseek_backend.wire.heights import with_fractures
from hideseek_backend.wire.levels import LEVELS
from hideseek_backend.wire.version import VERSION
from hideseek_backend.wire.words import ABSENT, EMPTY

if TYPE_CHECKING:
    from hideseek_backend.models.store import Model

__all__ = [
    "Candidate",
    "CaseResult",
    "SliceEvidence",
    "VertebraResult",
    "analyse_vertebra",
    "score_ct",
    "screen_ct",
    "screen_vertebrae",
    "segment_ct",
]

ScanInput = str | Path | Volume
MaskInput = str | Path | Volume | Vertebrae


def segment_ct(
    ct: ScanInput,
    vertebrae: MaskInput,
    *,
    bodies: ScanInput | None = None,
    labels: str | Path | Mapping[str, int] | None = None,
    levels: Sequence[str] | None = None,
    series: str | None = None,
    model: str | Path | Model = "bundled",
    device: str = "auto",
    options: Options | None = None,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> CaseResult:
    """Find, score and measure lesion candidates in every vertebra of a CT.

    ct: a file, a DICOM folder, or a Volume in HU. vertebrae: a label map on disk, as a Volume, or
    a finished `Vertebrae` on the CT's grid (then without bodies and labels). bodies, labels,
    series: see `volumes.vertebrae.load_case`. levels: names to look at, all by default; those that
    are not in the segmentation are reported with a reason. model: name, folder, or a loaded model.
    options: the fast protocol's with the model's own defaults if None.

    progress runs over the whole case. cancelled is asked between network steps. The CT is not
    changed.

    Raises InputError, GeometryError, LabelError, ModelError, DeviceError, OptionError, Cancelled.
    """
    started = time.perf_counter()
    case = _loaded(ct, vertebrae, bodies, labels, levels, series)
    levels_to_analyse = _levels_to_analyse(levels, case.vertebrae)
    ready = _ready(model, device)
    options = _options(options, ready)
    lesions = np.zeros(case.ct.shape, dtype=np.uint8)
    results: list[VertebraResult] = []
    for index, level in enumerate(levels_to_analyse):
        report = within_case(progress, index, len(levels_to_analyse))
        block, reason = _block(case, level)
        if block is None:
            report(Progress("volumes", level, 1, 1))
            results.append(VertebraResult(level, float("nan"), reason=reason))
            continue
        result = analyse_vertebra(ready, block, options, progress=report, cancelled=cancelled)
        if result.block_labels is not None:
            paint_lesions(lesions, result.candidates, result.block_labels, block.origin_ijk)
        report(Progress("volumes", level, 1, 1))
        results.append(result)
    results = with_fractures(results, options.fracture_loss)
    provenance = _provenance(ready, options, case, _names(ct, vertebrae, bodies), results, started)
    bodies = case.ct.with_data(case.vertebrae.bodies)
    return CaseResult(
        tuple(results), case.ct.with_data(lesions), options, provenance, bodies=bodies
    )


def screen_ct(
    ct: ScanInput,
    vertebrae: MaskInput,
    *,
    bodies: ScanInput | None = None,
    labels: str | Path | Mapping[str, int] | None = None,
    levels: Sequence[str] | None = None,
    series: str | None = None,
    model: str | Path | Model = "bundled",
    device: str = "auto",
    options: Options | None = None,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> CaseResult:
    """Return each vertebra's malignancy probability, by the encoder alone.

    Arguments and errors are those of `segment_ct`. No vertebra is analysed and `lesions` is empty.
    """
    started = time.perf_counter()
    case = _loaded(ct, vertebrae, bodies, labels, levels, series)
    levels_to_analyse = _levels_to_analyse(levels, case.vertebrae)
    ready = _ready(model, device)
    options = _options(options, ready)
    found = {level: _block(case, level) for level in levels_to_analyse}
    blocks = [block for block, _ in found.values() if block is not None]
    told = screen_vertebrae(ready, blocks, options, progress=progress, cancelled=cancelled)
    screened = {result.level: result for result in told}
    results = with_fractures(
        (
            screened.get(level) or VertebraResult(level, float("nan"), reason=reason)
            for level, (_, reason) in found.items()
        ),
        options.fracture_loss,
    )
    provenance = _provenance(ready, options, case, _names(ct, vertebrae, bodies), results, started)
    empty = case.ct.with_data(np.zeros(case.ct.shape, dtype=np.uint8))
    return CaseResult(tuple(results), empty, options, provenance)


def score_ct(
    ct: ScanInput,
    vertebrae: MaskInput,
    candidates: ScanInput,
    *,
    whole_labels: bool = False,
    bodies: ScanInput | None = None,
    labels: str | Path | Mapping[str, int] | None = None,
    levels: Sequence[str] | None = None,
    series: str | None = None,
    model: str | Path | Model = "bundled",
    device: str = "auto",
    options: Options | None = None,
    progress: ProgressCallback | None = None,
    cancelled: CancelledCallback | None = None,
) -> CaseResult:
    """Score regions that a reader drew, or another tool found, as candidates of source "reader".

    candidates: a mask on disk or as a Volume; each connected part of it is a region, or each value
    with `whole_labels`. A region belongs to the vertebra that holds most of it and is scored
    against the candidates that the method finds there, whatever the vertebra's p. Other arguments
    and errors are those of `segment_ct`; vertebrae without a region are left out, `lesions` is
    empty, and volumes of a vertebra are those of the method's own candidates.
    """
    started = time.perf_counter()
    case = _loaded(ct, vertebrae, bodies, labels, levels, series)
    levels_to_analyse = _levels_to_analyse(levels, case.vertebrae)
    regions, warnings = read_regions(candidates, case.ct, case.vertebrae, whole_labels=whole_labels)
    ready = _ready(model, device)
    options = _options(options, ready).with_changes(force=True)
    wanted = [
        level for level in levels_to_analyse if any(region.level == level for region in regions)
    ]
    results: list[VertebraResult] = []
    for index, level in enumerate(wanted):
        report = within_case(progress, index, len(wanted))
        block, reason = _block(case, level)
        if block is None:
            results.append(VertebraResult(level, float("nan"), reason=reason))
            continue
        own = [region for region in regions if region.level == level]
        # The vertebra itself is one part of the work, each region another.
        steps = [within_case(report, n, len(own) + 1) for n in range(len(own) + 1)]
        result = analyse_vertebra(ready, block, options, progress=steps[0], cancelled=cancelled)
        for region, step in zip(own, steps[1:], strict=True):
            mask = region.in_box(block.origin_ijk, block.ct.shape)
            result = _with_region(ready, block, result, mask, options, step, cancelled)
        results.append(result)
    results = with_fractures(results, options.fracture_loss)
    names = {**_names(ct, vertebrae, bodies), "candidates": _name(candidates)}
    told = replace(case, warnings=case.warnings + warnings)
    provenance = _provenance(ready, options, told, names, results, started)
    empty = case.ct.with_data(np.zeros(case.ct.shape, dtype=np.uint8))
    return CaseResult(tuple(results), empty, options, provenance)


def _with_region(
    model: Model,
    block: VertebraBlock,
    result: VertebraResult,
    mask: NDArray[np.bool_],
    options: Options,
    progress: ProgressCallback,
    cancelled: CancelledCallback | None,
) -> VertebraResult:
    """The result with one region (block's grid) as a further candidate, or a warning."""
    if result.block_labels is None or result.frame is None:
        return result
    try:
        scored = score_region(
            model,
            block,
            mask,
            result.block_labels,
            options,
            number=len(result.candidates) + 1,
            progress=progress,
            cancelled=cancelled,
        )
    except InputError as error:
        text = f"A region of {int(mask.sum())} voxels was not scored. {error.message}"
        return replace(result, warnings=(*result.warnings, text))
    candidate = scored.candidate
    drawn = labels_in_crop(mask.astype(np.uint16), block, result.frame) > 0
    evidence = tuple(
        replace(e, labels=np.where(drawn[:, :, e.k], candidate.number, e.labels).astype(np.uint16))
        for e in result.evidence
    )
    return replace(
        result,
        candidates=(*result.candidates, candidate),
        evidence=evidence,
        warnings=(*result.warnings, *scored.warnings),
    )


def _loaded(
    ct: ScanInput,
    vertebrae: MaskInput,
    bodies: ScanInput | None,
    labels: str | Path | Mapping[str, int] | None,
    levels: Sequence[str] | None,
    series: str | None,
) -> LoadedCase:
    """Read what is still on disk."""
    if not isinstance(vertebrae, Vertebrae):
        return load_case(
            ct, vertebrae, bodies_path=bodies, labels=labels, levels=levels, series=series
        )
    if bodies is not None or labels is not None:
        raise InputError(
            "Expected no bodies or labels beside finished Vertebrae, which hold both.",
            "Leave them out, or pass the vertebra mask itself.",
        )
    if not isinstance(ct, Volume) or ct.shape != vertebrae.labels.shape:
        got = ct.shape if isinstance(ct, Volume) else type(ct).__name__
        raise InputError(
            f"Expected the CT as a Volume of shape {vertebrae.labels.shape}, got {got}.",
            "Pass the Volume that the Vertebrae were made on, or pass both as files.",
        )
    return LoadedCase(ct, vertebrae)


def _levels_to_analyse(levels: Sequence[str] | None, vertebrae: Vertebrae) -> tuple[str, ...]:
    """The levels to look at, in cranio-caudal order, each once."""
    present = tuple(vertebrae.levels)
    if levels is None:
        return present
    unknown = [name for name in levels if name not in LEVELS]
    if unknown or not levels:
        raise LabelError(
            f"Unknown level {', '.join(map(repr, unknown)) or '(none given)'}.",
            f"The segmentation has {', '.join(present)}.",
        )
    if not set(levels) & set(present):
        raise LabelError(
            f"None of the levels {', '.join(levels)} is in the segmentation.",
            f"It has {', '.join(present)}.",
        )
    return tuple(name for name in LEVELS if name in set(levels))


def _block(case: LoadedCase, level: str) -> tuple[VertebraBlock | None, str]:
    """The block of a level, or None and why there is none."""
    if level not in case.vertebrae.levels:
        return None, ABSENT
    if not (case.vertebrae.bodies == case.vertebrae.levels[level]).any():
        return None, EMPTY
    return cut_block(case.ct, case.vertebrae, level), ""


def _ready(model: str | Path | Model, device: str) -> Model:
    if isinstance(model, (str, Path)):
        from hideseek_backend.models.store import load_model

        return load_model(model, device=device)
    return model


def _options(options: Options | None, model: Model) -> Options:
    return Options.for_protocol("fast", model.spec.defaults) if options is None else options


def _names(ct: ScanInput, vertebrae: MaskInput, bodies: ScanInput | None) -> dict[str, str]:
    """Names of the inputs, without their folders; a study is often named after its patient."""
    given = {"ct": ct, "vertebrae": vertebrae, "bodies": bodies}
    return {role: _name(value) for role, value in given.items() if value is not None}


def _name(value: ScanInput | MaskInput) -> str:
    if not isinstance(value, (str, Path)):
        return "in memory"
    return "a DICOM study" if is_study(Path(value)) else Path(value).name


def _provenance(
    model: Model,
    options: Options,
    case: LoadedCase,
    inputs: dict[str, str],
    results: Sequence[VertebraResult],
    started: float,
) -> dict[str, Any]:
    """What one needs to make the same result again."""
    import torch

    return {
        "versions": {
            "hideseek": VERSION,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": np.__version__,
        },
        "model": {"name": model.spec.name, "hash": model.hash},
        "device": str(model.device),
        "evidence_units": model.intensity.unit,
        "inputs": inputs,
        "labels": {
            "scheme": case.vertebrae.scheme,
            "bodies": case.vertebrae.body_source,
            "levels": list(case.vertebrae.levels),
        },
        "timings": {
            "total": round(time.perf_counter() - started, 3),
            **{r.level: round(r.seconds, 3) for r in results if r.seconds > 0},
        },
        "warnings": list(case.warnings),
        # Only what headers told: the results of a NIfTI file do not depend on this field.
        **({"scan": case.scan} if case.scan != UNTOLD else {}),
    }

"""A phantom scan as one date: outlined by the truth, or as a model finds its lesions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.files import whole_file
from hideseek_backend.followup.timepoint import Finding, Timepoint, boxes, timepoint
from hideseek_backend.report.case_store import read_stored, write_stored
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.acquisition import Acquisition
from hideseek_backend.wire.levels import VERSE_VALUES
from hideseek_backend.wire.records import Candidate
from hideseek_lab.benchmark.follow_up_pairs import Focus, PhantomScan


def outlined(scan: PhantomScan, foci: Sequence[Focus]) -> Timepoint:
    """The date as a reader would outline it: one finding a focus, from the truth's voxels."""
    findings = []
    for focus in foci:
        index = np.argwhere(scan.foci.data == focus.number)
        if not len(index):
            continue
        places = scan.foci.ras(index)
        volume = len(index) * scan.foci.voxel_volume_mm3
        centre = places.mean(axis=0)
        hu = float(scan.ct.data[tuple(index.T)].mean())
        candidate = Candidate(
            scan.names[focus.level], focus.number, focus.polarity, 1.0, True, 1.0, (), 0, volume,  # type: ignore[arg-type]
            hu, (float(centre[0]), float(centre[1]), float(centre[2])), "reader",
        )  # fmt: skip
        findings.append(Finding(candidate, places, True, scan.ct.affine[:3, :3]))
    return Timepoint(_bodies(scan), tuple(findings), scan.ct.spacing, scan=_acquisition(scan))


def analyse(scan: PhantomScan, model: Any, file: Path) -> None:
    """Segment the scan with all slices and store the case, without its pictures."""
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import segment_ct
    from hideseek_backend.volumes.vertebrae import load_case

    names = {name: VERSE_VALUES[level] for level, name in scan.names.items()}
    case = load_case(scan.ct, scan.bodies, bodies_path=scan.bodies, labels=names)
    options = Options.for_protocol("fast", model.spec.defaults, slices="all")
    result = segment_ct(case.ct, case.vertebrae, model=model, options=options)
    bare = tuple(replace(v, evidence=()) for v in result.vertebrae)
    with whole_file(file) as part:
        write_stored(part, replace(result, vertebrae=bare))


def analysed(scan: PhantomScan, file: Path) -> Timepoint:
    """The date that `analyse` stored, with the bodies of the scan."""
    case = read_stored(file)
    return timepoint(
        case.vertebrae, case.affine, _bodies(scan), options=case.options,
        model=str(case.provenance["model"]["hash"]), scan=_acquisition(scan),
    )  # fmt: skip


def _acquisition(scan: PhantomScan) -> Acquisition:
    kernel = "bone" if scan.bone_kernel else "soft tissue"
    return Acquisition(kernel, scan.bone_kernel, scan.contrast)


def _bodies(scan: PhantomScan) -> dict[str, Volume]:
    values = {name: VERSE_VALUES[level] for level, name in scan.names.items()}
    return boxes(scan.bodies.data, values, scan.bodies.affine)

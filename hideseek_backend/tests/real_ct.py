"""Print what the bundled model says of the real CT examples: `python tests/real_ct.py [--model M]`.

Two scans without known metastases, one vertebra of a training scan, two patches with boxed
metastases and a DICOM folder; the last two have no masks, so bodies are fitted at points. Not a
test: figures, and with `--out DIR` each case's report. The levels of the patches are unknown and
stand for sizes only.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from shared_data import shared_folder

from hideseek_backend import load_model
from hideseek_backend.attribution.options import Options
from hideseek_backend.case import screen_ct, segment_ct
from hideseek_backend.report.case_files import write_case
from hideseek_backend.volumes.click import body_map
from hideseek_backend.volumes.reading import read_ct

HEALTHY, TRAINED, BOXED, UNBOXED, UNKNOWN = "no lesion known", "trained on", "boxed", "unboxed", "?"


@dataclass(frozen=True)
class RealScan:
    """A scan, its masks or points (voxel indices), and what is known of each level."""

    name: str
    ct: str
    known: dict[str, str]
    vertebrae: str | None = None
    bodies: str | None = None
    labels: str | None = None
    points: dict[str, tuple[float, float, float]] | None = None


SCANS = (
    RealScan(
        "VerSe 014",
        "verse014/sub-verse014_ct.nii.gz",
        {"L1": "wedged, dense, degenerative"} | {f"L{n}": HEALTHY for n in range(2, 6)},
        vertebrae="verse014/sub-verse014_seg-vert_msk.nii.gz",
        labels="verse",
    ),
    RealScan(
        "TotalSegmentator",
        "totalsegmentator_example/ct.nii.gz",
        {"L1": HEALTHY, "L2": TRAINED, "L3": TRAINED, "L4": TRAINED, "L5": HEALTHY},
        vertebrae="totalsegmentator_example/vertebrae_pp_refined.nii.gz",
        bodies="totalsegmentator_example/vertebrae_body.nii.gz",
        labels="verse",
    ),
    RealScan(
        "BLDS 2",
        "blds/2.nii.gz",
        {"T7": UNBOXED, "T8": BOXED, "T9": UNBOXED},
        points={"T7": (36, 32, 63), "T8": (38, 41, 44), "T9": (37, 46, 22)},
    ),
    RealScan(
        "BLDS 7",
        "blds/7.nii.gz",
        {"T8": BOXED, "T9": BOXED},
        points={"T8": (73, 38, 37), "T9": (73, 48, 20)},
    ),
    RealScan(
        "DICOM",
        "totalsegmentator_dicom",
        {"L1": UNKNOWN},
        points={"L1": (250, 325, 11)},
    ),
)


def main() -> int:
    """Screen every scan, print the table and how far boxed bodies rank above unboxed ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--out", type=Path, help="also segment every level and write the reports")
    args = parser.parse_args()
    folder = shared_folder()
    if folder is None:
        sys.exit("The folder of real CT examples is absent; HIDESEEK_SHARED names it.")
    model = load_model(args.model)
    p_of: dict[str, list[float]] = {}
    for scan in SCANS:
        given = _inputs(scan, folder / "data")
        result = screen_ct(model=model, **given)
        for vertebra in result.vertebrae:
            known = scan.known.get(vertebra.level)
            if known is None:
                continue
            p_of.setdefault(known, []).append(vertebra.p_malignant)
            print(f"{scan.name:18s} {vertebra.level:4s} p = {vertebra.p_malignant:.2f}  {known}")
        if args.out is not None:
            options = Options.for_protocol("fast", model.spec.defaults, force=True)
            target = args.out / scan.name.replace(" ", "-").lower()
            target.mkdir(parents=True, exist_ok=True)
            write_case(
                segment_ct(model=model, options=options, levels=list(scan.known), **given), target
            )
    quiet = np.array([*p_of[HEALTHY], *p_of[TRAINED]])
    print(f"\nbelow p = 0.5: {np.sum(quiet < 0.5)} of {len(quiet)} without a known lesion")
    boxed, unboxed = np.array(p_of[BOXED]), np.array(p_of[UNBOXED])
    above = (boxed[:, None] > unboxed[None]).sum()
    print(f"boxed above unboxed: {above} of {boxed.size * unboxed.size} pairs")
    return 0


def _inputs(scan: RealScan, data: Path) -> dict[str, Any]:
    """The arguments of `screen_ct` and `segment_ct`."""
    if scan.points is None:
        return {
            "ct": data / scan.ct,
            "vertebrae": data / str(scan.vertebrae),
            "bodies": data / scan.bodies if scan.bodies else None,
            "labels": scan.labels,
        }
    ct, _ = read_ct(data / scan.ct)
    bodies = body_map(ct, {level: ct.ras(np.array(ijk)) for level, ijk in scan.points.items()})
    return {"ct": ct, "vertebrae": bodies, "bodies": bodies, "labels": "verse"}


if __name__ == "__main__":
    sys.exit(main())

"""The Slicer side of an exchange of scenes: opens an .mrb, tells its case, decides, saves.

Run by the Python of the Slicer side (another slicer-core than the browser's):

    python in_slicer_core.py SCENE.mrb TOLD.json --reject T9:1 --threshold 0.9 --save OUT.mrb
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

TESTING = Path(__file__).resolve().parents[1]
for folder in (TESTING.parent, TESTING):
    sys.path.insert(0, str(folder))


def told(case: Any) -> dict[str, Any]:
    """What must be the same wherever the case is opened."""
    import hashlib

    import numpy as np

    from HideSeekLib.case.files import lesion_map

    lesions = lesion_map(case)
    healthy = {
        level: case.nodes.healthy(level) is not None
        and case.nodes.healthy(level).GetImageData().GetDimensions()
        for level in case.record.replies
    }
    return {
        "threshold": round(case.review.threshold, 6),
        "rows": {
            row.key: [row.decision, row.reason, row.kept, row.source, round(row.delta, 6)]
            for row in case.rows()
        },
        "voxels": [int(np.count_nonzero(lesions == value)) for value in (1, 2)],
        "lesions": hashlib.sha256(np.ascontiguousarray(lesions).tobytes()).hexdigest(),
        "healthy": {level: list(size or ()) for level, size in healthy.items()},
        "ct": case.ct.GetName() if case.ct is not None else None,
        "levels": list(case.record.overrides.values()),
        "edited": sorted(map(list, case._edited)),
    }


def main() -> None:
    """Open, decide if asked to, tell, and save if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("told", type=Path)
    parser.add_argument("--accept", default="")
    parser.add_argument("--reject", default="")
    parser.add_argument("--threshold", type=float)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()

    from slicer_core_app import CoreApp

    app = CoreApp()
    if not app.scene.ReadFromMRB(str(arguments.scene)):
        raise SystemExit(f"error: {arguments.scene} cannot be read")
    from HideSeekLib.case.case import cases_in_scene
    from HideSeekLib.case.scene_file import save_mrb

    case = cases_in_scene()[-1]
    before = told(case)
    if arguments.accept:
        case.decide([arguments.accept], "accept", "seen in Slicer")
    if arguments.reject:
        case.decide([arguments.reject], "reject")
    if arguments.threshold is not None:
        case.set_threshold(arguments.threshold)
    if arguments.save:
        save_mrb(app.scene, arguments.save)
    answer = {"opened": before, "left": told(case)}
    arguments.told.write_text(json.dumps(answer), encoding="utf-8")
    app.close()


if __name__ == "__main__":
    main()

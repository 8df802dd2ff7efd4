"""The demo's Slicer scene: CT and vertebrae in, an .mrb and pictures of Slicer's views out.

Runs the same HideSeekLib code as the panel, on slicer-core, with the real worker.

    python Testing/make_demo_scene.py --ct ct.nii.gz --vertebrae vertebrae.nii.gz --out out/slicer
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "Testing"):
    sys.path.insert(0, str(folder))

import numpy as np
import slicer
from drawing import draw_case
from slicer_core_app import CoreApp
from worker_run import Worker, WorkerFailed, analyse

from HideSeekLib.anatomy import geometry
from HideSeekLib.anatomy.labelmaps import add_segment, new_image
from HideSeekLib.case import files as export
from HideSeekLib.case.scene_file import save_mrb
from HideSeekLib.errors import SceneError
from HideSeekLib.wire.codes import vertebra_entry
from HideSeekLib.wire.levels import LABEL_SCHEMES


def load_volume(scene: Any, path: Path, name: str, label_map: bool = False) -> Any:
    """Read a NIfTI or NRRD file into a volume node, as Slicer does."""
    kind = "vtkMRMLLabelMapVolumeNode" if label_map else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(kind, name)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        raise SystemExit(f"error: {path} cannot be read as an image")
    if not label_map:  # a label map is only read, and wants a colour table that is Slicer's
        node.CreateDefaultDisplayNodes()
    return node


def vertebra_segmentation(scene: Any, labels: Any, ct: Any, scheme: str, name: str) -> Any:
    """Make a segmentation with one segment a vertebra from a label map; removes the label map."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    node.CreateDefaultDisplayNodes()
    grid, voxels = geometry.grid_of(labels), geometry.voxels_of(labels)
    for value in np.unique(voxels[voxels > 0]).tolist():
        level = LABEL_SCHEMES[scheme].get(int(value))
        if level is None:
            continue
        mask = voxels == value
        low, high = geometry.box_of(mask)
        image, view = new_image(grid, low, high - low)
        box = mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        view[:] = box.transpose(2, 1, 0).reshape(-1)
        entry = vertebra_entry(level)
        add_segment(node, f"vertebrae_{level}", f"{level} vertebra", (0.9, 0.85, 0.7), entry, image)
    scene.RemoveNode(labels)
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetOpacity2DOutline(0.6)
    display.SetOpacity3D(0.25)
    return node


def bodies_beside(vertebrae: Path) -> Path | None:
    """The phantom's body file, where it lies beside the vertebrae."""
    path = vertebrae.with_name("bodies.nii.gz")
    return path if path.is_file() else None


def options_of(case_folder: Path | None, slices: str) -> dict[str, Any]:
    """Options of the run: those of the case's own report where there is one."""
    options: dict[str, Any] = {"protocol": "fast", "slices": slices}
    report = case_folder / "report.json" if case_folder is not None else None
    if report is not None and report.is_file():
        stored = json.loads(report.read_text(encoding="utf-8")).get("options", {})
        options.update({k: stored[k] for k in ("slices", "polarity") if k in stored})
    return options


def compare_volumes(case: Any, table: Path) -> str:
    """Say how the scene's volumes compare with those of the command line's table."""
    if not table.is_file():
        return f"note: {table} is not there to compare with"
    ours = {row.level: row for row in case.vertebra_rows()}
    worst = 0.0
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            mine = ours.get(row["vertebra"])
            for name in ("lytic_volume_mm3", "blastic_volume_mm3"):
                if mine is not None and row[name]:
                    worst = max(worst, abs(getattr(mine, name) - float(row[name])))
    return f"Volumes differ from the command line's by at most {worst:.1f} mm³"


def main() -> int:
    """Make the scene and the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", type=Path, required=True)
    parser.add_argument("--vertebrae", type=Path, required=True)
    parser.add_argument("--labels", default="verse", help="scheme of the vertebra labels")
    parser.add_argument("--case", type=Path, help="result folder of `hideseek segment`")
    parser.add_argument(
        "--slices", choices=("central", "all"), default="central", help="unless --case says"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    # Slicer's storage nodes take a relative path as relative to the scene.
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)

    app = CoreApp()
    ct = load_volume(app.scene, arguments.ct, "Phantom CT")
    ct.GetDisplayNode().AutoWindowLevelOff()
    ct.GetDisplayNode().SetWindowLevel(1400, 300)
    labels = load_volume(app.scene, arguments.vertebrae, "labels", label_map=True)
    vertebrae = vertebra_segmentation(app.scene, labels, ct, arguments.labels, "Vertebrae")
    bodies = None
    body_file = bodies_beside(arguments.vertebrae)
    if body_file is not None:
        labels = load_volume(app.scene, body_file, "labels", label_map=True)
        bodies = vertebra_segmentation(app.scene, labels, ct, arguments.labels, "Bodies")
        bodies.GetDisplayNode().SetVisibility(False)
    try:
        with Worker() as worker:
            case = analyse(
                worker,
                ct,
                vertebrae,
                bodies=bodies,
                options=options_of(arguments.case, arguments.slices),
                say=print,
            )
        export.export_lesions(case, arguments.out)
        export.export_tables(case, arguments.out)
    except (WorkerFailed, SceneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in case.rows():
        kept = "kept" if row.kept else "dropped"
        print(
            f"  {row.key:8} {row.polarity:8} Δ {row.delta:5.2f}  {row.volume_mm3:7.0f} mm³  {kept}"
        )
    if arguments.case is not None:
        print(compare_volumes(case, arguments.case / "vertebrae.csv"))
    pictures = draw_case(app, case, arguments.out)
    mrb = arguments.out / "hideseek-demo.mrb"
    save_mrb(app.scene, mrb)
    print(f"Scene    {mrb} (opens in 3D Slicer; the review goes on there)")
    for path in pictures:
        print(f"Picture  {path}")
    app.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

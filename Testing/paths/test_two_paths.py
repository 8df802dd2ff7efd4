"""One CT through the command and through Slicer's nodes, blocks and worker: the same answer.

The models are tiny and their pictures mean nothing; whatever they say, both paths must say it.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scene_helpers import add_ct, add_segmentation
from worker_run import ROOT, Worker, WorkerFailed, analyse

from HideSeekLib.anatomy.blocks import iter_blocks
from HideSeekLib.case import files
from HideSeekLib.case.region import region_of
from HideSeekLib.wire.lines import encode_line

sys.path.insert(0, str(ROOT / "hideseek_backend" / "tests"))
tiny_model = pytest.importorskip("tiny_model", reason="the backend's tests are not here")
toy_spine = pytest.importorskip("toy_spine")
cli = pytest.importorskip("hideseek_backend.cli")

LEVELS = ("T12", "L1", "L2")
# Whatever differs is a candidate, so that random pictures give some.
SETTINGS = {"slices": "all", "min_contrast": 0.0}
VALUES = {"T12": 19, "L1": 20, "L2": 21}
GRIDS = {
    "oblique": toy_spine.grid_affine((1.5, 1.2, 2.0), (8.0, -6.0, 12.0), flips=(-1, -1, 1)),
    "sagittal": toy_spine.grid_affine((1.1, 1.1, 2.5), order=(2, 1, 0)),
}


@pytest.fixture(scope="module", name="models")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {
        "window": tiny_model.write_tiny_model(place / "window"),
        "percentile": tiny_model.write_tiny_model(
            place / "percentile", intensity_map=tiny_model.PERCENTILE
        ),
    }


class Scan:
    """A CT and its vertebrae, as arrays, to be given to either path."""

    def __init__(self, affine: np.ndarray, *, top_mm: float = 100.0) -> None:
        """affine: of the grid; top_mm: where the field of view ends, above the middle of L1."""
        spine = toy_spine.toy_spine(LEVELS, affine, (90.0, 110.0, 110.0))
        self.hu = spine.ct.data.astype(np.int16)
        rng = np.random.default_rng(1)
        for level, place in spine.centres.items():
            # Something to find, other in each vertebra.
            index = np.rint(spine.ct.ijk(place + rng.uniform(-5, 5, 3))).astype(int)
            box = tuple(slice(max(0, int(n) - 3), int(n) + 4) for n in index)
            self.hu[box] += np.int16(500 if level == "L1" else -150)
        axis = int(np.abs(spine.ct.affine[2, :3]).argmax())
        index = np.tile((np.array(self.hu.shape) - 1) / 2, (self.hu.shape[axis], 1))
        index[:, axis] = np.arange(len(index))
        inside = np.flatnonzero(spine.ct.ras(index)[:, 2] < top_mm)
        low, high = np.zeros(3, int), np.array(self.hu.shape)
        low[axis], high[axis] = inside[0], inside[-1] + 1
        ct, labels = (v.box(low, high) for v in (spine.ct.with_data(self.hu), spine.labels))
        self.hu, self.labels = np.ascontiguousarray(ct.data), np.ascontiguousarray(labels.data)
        self.affine = ct.affine.astype(np.float32).astype(float)  # as NIfTI keeps it

    def by_command(self, verb: str, model: Path, folder: Path, *more: str) -> tuple[int, str]:
        """Write the files, run `hideseek VERB` on them; its exit status and what it complained."""
        for name, data in (("ct", self.hu), ("vertebrae", self.labels)):
            nibabel.save(nibabel.Nifti1Image(data, self.affine), folder / f"{name}.nii.gz")
        said = io.StringIO()
        settings = [x for name, value in SETTINGS.items() for x in ("--set", f"{name}={value}")]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = cli.main(
                [
                    verb, str(folder / "ct.nii.gz"), str(folder / "vertebrae.nii.gz"),
                    "--labels", "verse", "--model", str(model), "--device", "cpu", *settings,
                    "--quiet", "--out", str(folder / "out"), *more,
                ]
            )  # fmt: skip
        return status, said.getvalue()

    def nodes(self, scene: Any) -> tuple[Any, Any]:
        """The CT and its segmentation in a scene."""
        ct = add_ct(scene, self.hu, self.affine)
        segments = {
            f"vertebrae_{level}": (f"{level} vertebra", self.labels == value)
            for level, value in VALUES.items()
        }
        return ct, add_segmentation(scene, ct, segments)


@pytest.fixture(scope="module", name="worker")
def one_worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


def by_slicer(scan: Scan, scene: Any, worker: Worker, model: Path) -> Any:
    ct, segmentation = scan.nodes(scene)
    return analyse(worker, ct, segmentation, model=str(model), options=SETTINGS, levels=LEVELS)


@pytest.mark.parametrize(
    ("grid", "kind"), [("oblique", "window"), ("oblique", "percentile"), ("sagittal", "window")]
)
def test_the_same_answer(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path, grid: str, kind: str
) -> None:
    # The field of view ends within the uppermost vertebra.
    scan = Scan(GRIDS[grid], top_mm=34.0)
    status, said = scan.by_command("segment", models[kind], tmp_path)
    assert status == 0, said
    case = by_slicer(scan, scene, worker, models[kind])
    ours, theirs = tmp_path / "slicer", tmp_path / "out"
    files.export_lesions(case, ours, ["nii.gz"])
    files.export_tables(case, ours)
    for name in ("candidates.csv", "vertebrae.csv"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    a, b = (nibabel.load(folder / "lesions.nii.gz") for folder in (ours, theirs))
    assert np.array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))
    assert np.allclose(a.affine, b.affine, atol=1e-4)

    report = json.loads((theirs / "report.json").read_text(encoding="utf-8"))
    told = {v["vertebra"]: v for v in report["vertebrae"]}
    assert {v["analysed"] for v in told.values()} == {True, False}, "one is cut, the others not"
    assert sum(len(v["candidates"]) for v in told.values()) > 0
    assert case.record.provenance["evidence_units"] == report["provenance"]["evidence_units"]
    for level in LEVELS:
        if told[level]["analysed"]:
            node = case.nodes.healthy(level)
            assert node.GetAttribute("HideSeek.Unit") == ("HU" if kind == "window" else "model")


def test_a_models_own_intensity_is_not_called_hu(
    scene: Any, worker: Worker, models: dict[str, Path]
) -> None:
    """Percentiles give 0 to 1: a window of HU would show nothing, and a unit of HU would lie."""
    scan = Scan(GRIDS["oblique"])
    case = by_slicer(scan, scene, worker, models["percentile"])
    node, difference = case.nodes.healthy("L1"), case.nodes.difference("L1")
    low, high = difference.GetImageData().GetScalarRange()
    assert max(abs(low), abs(high)) < 50, "not HU"
    display = difference.GetDisplayNode()
    assert display.GetWindow() == pytest.approx(2 * max(abs(low), abs(high)), rel=1e-3)
    units = node.GetVoxelValueUnits()
    assert units is None or "hnsf" not in (units.GetCodeValue() or "")
    assert node.GetImageData().GetScalarRange()[0] > -1000, "gaps are not filled with air"


SPOILT = {
    "MR": (lambda hu: hu - hu.min(), "MR image"),
    "offset not applied": (lambda hu: hu + 1024, "offset of -1024"),
    "NaN": (lambda hu: np.where(hu > 150, np.nan, hu).astype(np.float32), "NaN"),
    "normalised": (lambda hu: (hu / 100).astype(np.float32), "normalised"),
    "windowed": (lambda hu: np.clip((hu + 160) / 2, 0, 255).astype(np.int16), "8-bit"),
    "wrong slope": (lambda hu: (hu * 60).clip(-32768, 32767).astype(np.int16), "scale"),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_the_same_refusals(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    scan = Scan(GRIDS["oblique"])
    spoil, words = SPOILT[fault]
    scan.hu = spoil(scan.hu)
    with pytest.raises(WorkerFailed) as told:
        by_slicer(scan, scene, worker, models["window"])
    for verb in ("screen", "segment"):
        status, said = scan.by_command(verb, models["window"], tmp_path)
        assert status == 2 and words in said
        # One sentence, apart from the numbers that differ between a block and the whole.
        assert _without_numbers(str(told.value)) in _without_numbers(said)


@pytest.mark.parametrize("asked", [LEVELS, ("L1",)], ids=["all levels", "one level"])
def test_a_mask_beside_the_bone_is_refused_on_both_paths(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path, asked: tuple[str, ...]
) -> None:
    scan = Scan(GRIDS["oblique"])
    scan.labels = np.roll(scan.labels, 30, axis=0)
    status, said = scan.by_command("segment", models["window"], tmp_path)
    assert status == 2 and "lie on bone" in said
    ct, segmentation = scan.nodes(scene)
    worker.ask("load_model", {"model": str(models["window"]), "device": "cpu"})
    blocks = [block.to_json() for block in iter_blocks(ct, segmentation, asked)]
    for verb in ("screen", "segment"):
        with pytest.raises(WorkerFailed) as told:
            worker.ask(verb, {"blocks": blocks})
        assert _without_numbers(str(told.value)) in _without_numbers(said)


def test_a_destroyed_vertebra_is_judged_with_its_neighbours(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path
) -> None:
    """No brighter than muscle, and the mask is right all the same."""
    scan = Scan(GRIDS["oblique"])
    scan.hu[scan.labels == VALUES["L1"]] = 45
    status, said = scan.by_command("screen", models["window"], tmp_path)
    assert status == 0, said
    ct, segmentation = scan.nodes(scene)
    worker.ask("load_model", {"model": str(models["window"]), "device": "cpu"})
    (block,) = iter_blocks(ct, segmentation, ["L1"])
    told = worker.ask("screen", {"blocks": [block.to_json()]})
    assert [v["vertebra"] for v in told["vertebrae"]] == ["L1"]
    alone = {**block.to_json(), "neighbours": None}
    with pytest.raises(WorkerFailed, match="lie on bone"):
        worker.ask("screen", {"blocks": [alone]})


def _without_numbers(text: str) -> str:
    joined = " ".join(text.split()).replace("the CT at T12", "the CT")
    joined = joined.replace("vertebrae.nii.gz", "the vertebra mask")
    return re.sub(r"-?\d+(\.\d+)?", "#", joined)


def test_padding_cuts_on_both_paths(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path
) -> None:
    scan = Scan(GRIDS["sagittal"])
    heights = (np.argwhere(np.ones(scan.hu.shape)) @ scan.affine[2, :3]).reshape(scan.hu.shape)
    body = heights[scan.labels == VALUES["L2"]]
    scan.hu[heights < np.percentile(body, 40)] = -2000
    status, said = scan.by_command("screen", models["window"], tmp_path)
    assert status == 0, said
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    reasons = {v["vertebra"]: v["reason"] for v in report["vertebrae"]}
    ct, segmentation = scan.nodes(scene)
    blocks = [block.to_json() for block in iter_blocks(ct, segmentation)]
    worker.ask("load_model", {"model": str(models["window"]), "device": "cpu"})
    told = worker.ask("screen", {"blocks": blocks})["vertebrae"]
    assert reasons["L2"] == "cut by the field of view"
    assert {v["vertebra"] for v in told if v["reason"]} == {
        level for level, reason in reasons.items() if reason == "cut by the field of view"
    }


def test_a_drawn_region_gets_the_same_score(
    scene: Any, worker: Worker, models: dict[str, Path], tmp_path: Path
) -> None:
    scan = Scan(GRIDS["oblique"])
    body = np.argwhere(scan.labels == VALUES["L1"]).mean(axis=0).round().astype(int)
    drawn = np.zeros(scan.labels.shape, np.uint8)
    drawn[tuple(slice(n, n + 7) for n in body)] = 1
    drawn[scan.labels != VALUES["L1"]] = 0
    nibabel.save(nibabel.Nifti1Image(drawn, scan.affine), tmp_path / "drawn.nii.gz")
    status, said = scan.by_command(
        "score", models["window"], tmp_path, "--candidates", str(tmp_path / "drawn.nii.gz")
    )
    assert status == 0, said

    ct, segmentation = scan.nodes(scene)
    options = {**SETTINGS, "force": True}
    case = analyse(
        worker, ct, segmentation, model=str(models["window"]), options=options, levels=["L1"]
    )
    node = add_segmentation(scene, ct, {"mine": ("seen by me", drawn > 0)}, "drawn")
    region = region_of(case, node, "mine")
    message = json.loads(encode_line({**region.params, "options": options}))
    result = worker.ask("score", message)
    case.add_region(result["candidate"], region.voxels)
    files.export_tables(case, tmp_path / "slicer")
    ours, theirs = (
        (tmp_path / folder / "candidates.csv").read_text(encoding="utf-8").splitlines()
        for folder in ("slicer", "out")
    )
    assert sum(",reader," in row for row in theirs) == 1
    assert ours == [row for row in theirs if row.startswith(("vertebra,", "L1,"))]

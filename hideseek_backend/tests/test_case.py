"""Whole cases on an autoencoder whose answers are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from oracle import BLASTIC, LYTIC, MARROW_HU, oracle_block, oracle_model

from hideseek_backend.attribution.options import Options
from hideseek_backend.case import score_ct, screen_ct, segment_ct
from hideseek_backend.errors import Cancelled, InputError, LabelError
from hideseek_backend.progress import Progress
from hideseek_backend.volumes.vertebrae import Vertebrae
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire.levels import LEVELS
from hideseek_backend.wire.version import VERSION

VOXEL = 0.8**3
OPTIONS = Options.for_protocol(
    "fast",
    None,
    invert_steps=2,
    render_steps=2,
    smooth_sigma=0.0,
    smooth_through=0.0,
    closing=0,
    direction="normal",
    polarity="both",
)


def spine(*, t12: tuple[str, ...] = ("lytic", "blastic")) -> tuple[Volume, Vertebrae]:
    """T12 with findings above a healthy L1, 64 voxels of 0.8 mm each along S."""
    upper, lower = oracle_block("T12", findings=t12), oracle_block("L1", findings=())
    hu = np.concatenate([lower.ct.data, upper.ct.data], axis=1)
    values = {"T12": 19, "L1": 20}
    bodies = np.concatenate([lower.body * np.uint8(20), upper.body * np.uint8(19)], axis=1)
    return Volume(hu, upper.ct.affine), Vertebrae(bodies, bodies.copy(), values)


def segment(**kwargs: Any) -> Any:
    ct, vertebrae = spine()
    settings = {"model": oracle_model(), "options": OPTIONS, **kwargs}
    return segment_ct(ct, vertebrae, **settings)


def test_lesions_lie_where_they_are() -> None:
    result = segment()
    t12, l1 = result.vertebrae
    assert (t12.level, t12.analysed, l1.level, l1.analysed) == ("T12", True, "L1", False)
    assert l1.reason == "below p = 0.5"
    expected = np.zeros(result.lesions.shape, dtype=np.uint8)
    p, s = LYTIC
    expected[p, s.start + 64 : s.stop + 64, 32] = 1
    p, s = BLASTIC
    expected[p, s.start + 64 : s.stop + 64, 32] = 2
    np.testing.assert_array_equal(result.lesions.data, expected)
    np.testing.assert_array_equal(result.lesions.affine, spine()[0].affine)
    assert result.lesions.data.dtype == np.uint8


def test_three_dimensions() -> None:
    result = segment(options=OPTIONS.with_changes(slices="all"))
    t12 = result.vertebrae[0]
    assert t12.lytic_volume_mm3 == pytest.approx(48 * 7 * VOXEL)
    assert t12.blastic_volume_mm3 == pytest.approx(64 * 7 * VOXEL)
    assert (result.lesions.data == 1).sum() * VOXEL == pytest.approx(t12.lytic_volume_mm3)


def test_dropped_candidates_are_not_painted() -> None:
    result = segment(options=OPTIONS.with_changes(tau=0.9))
    assert result.vertebrae[0].candidates
    assert not any(c.kept for c in result.vertebrae[0].candidates)
    assert result.vertebrae[0].phenotype is None
    assert not result.lesions.data.any()


def test_inputs_are_not_changed() -> None:
    ct, vertebrae = spine()
    before = ct.data.copy(), vertebrae.bodies.copy()
    for array in (ct.data, vertebrae.labels, vertebrae.bodies):
        array.setflags(write=False)
    segment_ct(ct, vertebrae, model=oracle_model(), options=OPTIONS.with_changes(slices="all"))
    np.testing.assert_array_equal(ct.data, before[0])
    np.testing.assert_array_equal(vertebrae.bodies, before[1])


def test_levels_are_chosen_and_ordered() -> None:
    result = segment(levels=["L1", "T12", "T12"])
    assert [v.level for v in result.vertebrae] == ["T12", "L1"]


def test_an_absent_level_is_skipped_with_its_reason() -> None:
    result = segment(levels=["L1", "L5"])
    assert [(v.level, v.reason) for v in result.vertebrae] == [
        ("L1", "below p = 0.5"),
        ("L5", "not in the segmentation"),
    ]
    assert np.isnan(result.vertebrae[1].p_malignant)


@pytest.mark.parametrize(
    ("levels", "named"), [(["Th12"], "Th12"), ([], "none given"), (["C3", "C4"], "C3, C4")]
)
def test_levels_that_cannot_be_meant(levels: list[str], named: str) -> None:
    with pytest.raises(LabelError, match=named):
        segment(levels=levels)


def test_a_level_without_a_body() -> None:
    ct, vertebrae = spine()
    vertebrae.bodies[vertebrae.bodies == 20] = 0
    result = segment_ct(ct, vertebrae, model=oracle_model(), options=OPTIONS)
    assert result.vertebrae[1].reason == "no body in the segmentation"
    assert screen_ct(ct, vertebrae, model=oracle_model()).vertebrae[1].reason


def test_provenance() -> None:
    record = segment().provenance
    assert record["model"] == {"name": "oracle", "hash": "ab" * 32}
    assert (record["device"], record["evidence_units"]) == ("cpu", "HU")
    assert set(record["versions"]) >= {"hideseek", "python", "torch", "numpy"}
    assert record["timings"]["total"] >= record["timings"]["T12"] > 0
    assert record["inputs"] == {"ct": "in memory", "vertebrae": "in memory"}


def test_progress_runs_over_the_whole_case() -> None:
    seen: list[Progress] = []
    segment(progress=seen.append)
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert {p.total for p in seen} == {200}
    assert done[-1] == 200
    assert {p.vertebra for p in seen} == {"T12", "L1"}


def test_cancel() -> None:
    with pytest.raises(Cancelled):
        segment(cancelled=lambda: True)
    ct, vertebrae = spine()
    with pytest.raises(Cancelled):
        screen_ct(ct, vertebrae, model=oracle_model(), cancelled=lambda: True)


def test_screening_gives_probabilities_only() -> None:
    ct, vertebrae = spine()
    model = oracle_model()
    result = screen_ct(ct, vertebrae, model=model)
    assert [v.reason for v in result.vertebrae] == ["screened only"] * 2
    assert result.vertebrae[0].p_malignant > 0.99 > 0.5 > result.vertebrae[1].p_malignant
    assert model.dae.calls["invert"] == model.dae.calls["render"] == 0
    assert not result.lesions.data.any()
    assert result.vertebrae[0].body_volume_mm3 == pytest.approx(41**3 * VOXEL)


def test_from_files(tmp_path: Path) -> None:
    """The same through NIfTI; the body mask is given, so nothing is split by geometry."""
    ct, vertebrae = spine()
    hu = ct.data.astype(np.int16)
    hu[:2] = -1000  # air around the patient, as a CT has it
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("ct", "vertebrae", "bodies")}
    nib.save(nib.Nifti1Image(hu, ct.affine), paths["ct"])
    for name in ("vertebrae", "bodies"):
        nib.save(nib.Nifti1Image(vertebrae.labels, ct.affine), paths[name])
    result = segment_ct(
        paths["ct"],
        str(paths["vertebrae"]),
        bodies=paths["bodies"],
        labels="verse",
        model=oracle_model(),
        options=OPTIONS,
    )
    np.testing.assert_array_equal(result.lesions.data, segment().lesions.data)
    assert result.provenance["inputs"]["ct"] == "ct.nii.gz"


def test_finished_vertebrae_stand_alone() -> None:
    ct, vertebrae = spine()
    with pytest.raises(InputError, match="bodies"):
        segment_ct(ct, vertebrae, labels="verse", model=oracle_model())
    other = Volume(np.full((4, 4, 4), MARROW_HU), ct.affine)
    with pytest.raises(InputError, match="shape"):
        segment_ct(other, vertebrae, model=oracle_model())


def test_levels_are_known() -> None:
    assert {"T12", "L1"} <= set(LEVELS)


def test_the_import_is_quick_and_the_names_are_there() -> None:
    """`import hideseek_backend` loads no torch; its public names load what they need."""
    code = (
        "import sys, hideseek_backend as h; assert 'torch' not in sys.modules; "
        "assert set(h.__all__) <= set(dir(h)); assert callable(h.segment_ct); "
        "assert callable(h.load_model) and callable(h.screen_ct) and h.__version__"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_version_is_the_packages() -> None:
    import hideseek_backend

    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = { attr = "hideseek_backend.wire.version.VERSION" }' in project
    assert hideseek_backend.__version__ == VERSION


def test_drawn_regions_are_scored_beside_the_models_own() -> None:
    ct, vertebrae = spine()
    own = segment(options=OPTIONS.with_changes(slices="all"))
    lesions = np.where(own.lesions.data == 2, own.lesions.data, 0)  # what a reader drew: blastic
    lesions[0, 0, 0] = 1  # and a slip of the pen
    result = score_ct(
        ct,
        vertebrae,
        ct.with_data(lesions),
        model=oracle_model(),
        options=OPTIONS.with_changes(slices="all"),
    )
    (t12,) = result.vertebrae
    mine = [c for c in t12.candidates if c.source == "reader"]
    theirs = [c for c in t12.candidates if c.source == "model"]
    assert theirs == list(own.vertebrae[0].candidates)
    assert [(c.vertebra, c.number, c.polarity) for c in mine] == [("T12", 3, "blastic")]
    (same,) = [c for c in theirs if c.polarity == "blastic"]
    assert mine[0].delta == pytest.approx(same.delta, abs=1e-3)
    assert mine[0].p_hide == pytest.approx(same.p_hide, abs=1e-3)
    assert mine[0].volume_mm3 == pytest.approx(same.volume_mm3)
    assert any((e.labels == 3).any() for e in t12.evidence)
    assert t12.blastic_volume_mm3 == own.vertebrae[0].blastic_volume_mm3
    assert any("in no vertebra" in text for text in result.provenance["warnings"])
    assert result.provenance["inputs"]["candidates"] == "in memory"
    assert not result.lesions.data.any()


def test_a_body_lower_than_its_neighbour_is_said_to_be_fractured() -> None:
    ct, whole = spine()
    bodies = whole.bodies.copy()
    p, s, _ = np.nonzero(bodies == 19)
    front = slice(p.min(), (p.min() + p.max()) // 2)
    bodies[front, s.max() - 15 : s.max() + 1][bodies[front, s.max() - 15 : s.max() + 1] == 19] = 0
    broken = Vertebrae(bodies, bodies.copy(), whole.levels)
    for run in (screen_ct, segment_ct):
        plain = run(ct, whole, model=oracle_model(), options=OPTIONS)
        assert [v.outside for v in plain.vertebrae] == ["", ""]
        t12, l1 = run(ct, broken, model=oracle_model(), options=OPTIONS).vertebrae
        assert (t12.outside, l1.outside) == ("fractured: outside the method", "")
        # Told, and not hidden.
        assert t12.p_malignant > 0.8
        assert t12.heights_mm[0] < 0.75 * t12.heights_mm[2] and t12.height_ratio < 0.75
        lenient = OPTIONS.with_changes(fracture_loss=0.9)
        assert run(ct, broken, model=oracle_model(), options=lenient).vertebrae[0].outside == ""

"""Real vertebrae as they are screened, from the scan and from kept slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_model import write_tiny_model

from hideseek_backend.attribution.options import Options
from hideseek_backend.models.store import load_model
from hideseek_backend.phantom import make_block
from hideseek_backend.volumes.writing import write_nifti
from hideseek_lab.benchmark.real_set import UNTOUCHED, screened, screened_from
from hideseek_lab.training.real_cases import RealCase


def test_kept_slices_say_what_the_scan_says(tmp_path: Path) -> None:
    block = make_block(13, phenotype="healthy", level="L2").block
    ct, bodies = tmp_path / "ct.nii.gz", tmp_path / "bodies.nii.gz"
    write_nifti(block.ct, ct)
    write_nifti(block.ct.with_data(np.where(block.body, 21, 0).astype(np.uint8)), bodies)
    case = RealCase("made", "somebody", ct, bodies, bodies, "verse", ("L2",))
    model = load_model(write_tiny_model(tmp_path / "model"), "cpu")
    options = Options.for_protocol("fast", p_slices=3, p_span=0.5)
    direct = screened(model, [case], options)
    kept = [screened_from(tmp_path / "kept", model, [case], options) for _ in range(2)]
    assert kept[0] == kept[1] and len(list((tmp_path / "kept").iterdir())) == 1
    assert [row.kind for row in direct][0] == UNTOUCHED and len(direct) == 8
    for one, other in zip(direct, kept[0], strict=True):
        assert (one.kind, one.phenotype, one.volume_ml) == (
            other.kind,
            other.phenotype,
            other.volume_ml,
        )
        assert other.logit == pytest.approx(one.logit, abs=0.05)

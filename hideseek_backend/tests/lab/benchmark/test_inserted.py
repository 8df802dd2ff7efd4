"""Phantom lesions inserted into a real vertebra."""

from __future__ import annotations

import numpy as np
from shared_data import shared_file

from hideseek_lab.benchmark.inserted import RealCase, inserted_set


def test_real_vertebra_with_inserted_lesions() -> None:
    folder = shared_file("data", "tptbox_l3")
    images = sorted(folder.glob("*ct*.nii.gz"))
    masks = sorted(folder.glob("*vert*.nii.gz"))
    case = RealCase(images[0], masks[0], ("L3",))
    vertebrae = inserted_set([case], per_level=1)
    assert vertebrae.phenotype.tolist() == ["healthy", "lytic", "blastic", "mixed"]
    healthy, lytic, blastic, _ = vertebrae.hu.astype(int)
    truth = vertebrae.truth
    assert not truth[0].any()
    if (truth[1] == 1).sum() > 20:
        assert (lytic - healthy)[truth[1] == 1].mean() < -5
    if (truth[2] == 2).sum() > 20:
        assert (blastic - healthy)[truth[2] == 2].mean() > 60
    # far from the body nothing changes
    assert np.abs(lytic - healthy)[:, :3].max() == 0
    again = inserted_set([case], per_level=1)
    np.testing.assert_array_equal(vertebrae.hu, again.hu)

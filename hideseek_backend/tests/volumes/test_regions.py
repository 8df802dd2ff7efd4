"""A drawn mask is taken apart by vertebra, whatever its labels and grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_spine import ToySpine, toy_spine

from hideseek_backend.errors import GeometryError, InputError
from hideseek_backend.volumes.regions import read_regions
from hideseek_backend.volumes.vertebrae import Vertebrae
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.volumes.writing import write_nifti


@pytest.fixture(scope="module", name="spine")
def three_vertebrae() -> ToySpine:
    return toy_spine()


def vertebrae(spine: ToySpine) -> Vertebrae:
    values = {"L1": 20, "L2": 21, "L3": 22}
    return Vertebrae(spine.labels.data, spine.bodies.data, values)


def drawn(spine: ToySpine, value: int = 1) -> Volume:
    """A large cube in L1, a small one in L3, and one in no vertebra."""
    mask = np.zeros(spine.ct.shape, np.int64)
    for place, half in ((spine.centres["L1"], 3), (spine.centres["L3"], 1), ([30, 48, 0], 1)):
        index = np.rint(spine.ct.ijk(place)).astype(int)
        mask[tuple(slice(n - half, n + half + 1) for n in index)] = value
    return spine.ct.with_data(mask)


def test_connected_parts_with_their_vertebrae(spine: ToySpine) -> None:
    regions, warnings = read_regions(drawn(spine), spine.ct, vertebrae(spine))
    assert [(r.level, int(r.mask.sum())) for r in regions] == [("L1", 343), ("L3", 27), (None, 27)]
    assert warnings == ("1 of 3 regions of the candidate mask lie in no vertebra.",)
    inside = regions[0].in_box((0, 0, 0), spine.ct.shape)
    assert np.array_equal(inside, (drawn(spine).data > 0) & (spine.labels.data == 20))
    assert not regions[0].in_box((0, 0, 0), (2, 2, 2)).any()


def test_whole_labels_and_huge_values(spine: ToySpine) -> None:
    mask = drawn(spine, value=2**31 - 1)
    (region,), _ = read_regions(mask, spine.ct, vertebrae(spine), whole_labels=True)
    assert (region.level, region.value, int(region.mask.sum())) == ("L1", 2**31 - 1, 397)


def test_a_file_on_another_grid_is_brought_onto_the_cts(spine: ToySpine, tmp_path: Path) -> None:
    mask = drawn(spine)
    part = mask.box((5, 5, 5), np.array(mask.shape) - 3)
    write_nifti(part.with_data(part.data.astype(np.uint8)), tmp_path / "drawn.nii.gz")
    regions, _ = read_regions(tmp_path / "drawn.nii.gz", spine.ct, vertebrae(spine))
    whole, _ = read_regions(mask, spine.ct, vertebrae(spine))
    assert [r.mask.sum() for r in regions] == [r.mask.sum() for r in whole]
    assert [r.box for r in regions] == [r.box for r in whole]


def test_masks_that_cannot_be_used(spine: ToySpine) -> None:
    empty = spine.ct.with_data(np.zeros(spine.ct.shape, np.uint8))
    with pytest.raises(InputError, match="without labels"):
        read_regions(empty, spine.ct, vertebrae(spine))
    outside = empty.data.copy()
    outside[:2, :2, :2] = 1
    with pytest.raises(InputError, match="within the vertebrae"):
        read_regions(spine.ct.with_data(outside), spine.ct, vertebrae(spine))
    moved = spine.ct.affine.copy()
    moved[:3, 3] += 900.0
    with pytest.raises(GeometryError, match="do not overlap"):
        read_regions(Volume(drawn(spine).data, moved), spine.ct, vertebrae(spine))

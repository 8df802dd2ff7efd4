"""Instance-balanced patches: one for each lesion and epoch, matched negatives without a lesion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hideseek_backend.errors import InputError
from hideseek_lab.supervised.patches import BalancedPatches, Patch, cut, window, window_starts
from hideseek_lab.supervised.scans import Scan


def _scan(shape: tuple[int, int, int], boxes: list[tuple[slice, ...]], number: int = 0) -> Scan:
    lesions = np.zeros(shape, np.uint8)
    for box in boxes:
        lesions[box] = 1
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
    return Scan("s", f"p{number}", image, lesions, np.zeros(shape, np.uint8), (1.0, 1.0, 1.0))


def test_every_lesion_has_one_patch_an_epoch_and_as_many_are_without() -> None:
    s = slice
    scans = [
        _scan((40, 40, 40), [(s(3, 6), s(3, 6), s(3, 6)), (s(30, 33), s(30, 33), s(30, 34))]),
        _scan((40, 40, 40), [(s(20, 22), s(5, 9), s(30, 31))], 1),
        _scan((40, 40, 40), [], 2),
    ]
    patches = BalancedPatches(scans, (16, 16, 16))
    starts = set()
    for epoch in range(6):
        drawn = patches.epoch(np.random.default_rng(epoch))
        positive = [p for p in drawn if p.lesion]
        assert sorted((p.scan, p.lesion) for p in positive) == [(0, 1), (0, 2), (1, 1)]
        assert len(drawn) == 6
        for patch in drawn:
            shown = patches.components[patch.scan][window(patch.start, patches.roi)]
            assert (patch.lesion in shown) if patch.lesion else not shown.any()
        starts |= {p.start for p in positive}
    assert len(starts) > 8  # crops are drawn anew each epoch
    assert len(BalancedPatches(scans, (16, 16, 16), ratio=2).epoch(np.random.default_rng(0))) == 9


def test_slices_are_patches_of_depth_one() -> None:
    scans = [_scan((32, 32, 5), [(slice(4, 8), slice(4, 8), slice(1, 3))])]
    patches = BalancedPatches(scans, (32, 32, 1))
    seen = {p.start[2] for n in range(20) for p in patches.epoch(np.random.default_rng(n))
            if p.lesion}  # fmt: skip
    assert seen == {1, 2}
    assert {p.start[2] for p in patches.negatives} == {0, 3, 4}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40))
def test_windows_cover_and_stay_inside(full: int, size: int) -> None:
    starts = [s[0] for s in window_starts((full, 1, 1), (size, 1, 1))]
    covered = np.zeros(full, bool)
    for a in starts:
        assert 0 <= a <= max(full - size, 0)
        covered[a : a + size] = True
    assert covered.all() and len(starts) == len(set(starts))


def test_a_small_scan_is_filled_up_with_air() -> None:
    scan = _scan((6, 6, 2), [(slice(1, 2), slice(1, 2), slice(0, 1))])
    image, masks = cut(scan, Patch(0, (0, 0, 0)), (8, 8, 2))
    assert image.shape == (1, 8, 8, 2) and (image[0, :6, :6] == scan.image[0]).all()
    assert not image[0, 6:].any() and masks[0].sum() == 1


def test_no_lesion_at_all_is_told() -> None:
    with pytest.raises(InputError, match="none in 1 scans"):
        BalancedPatches([_scan((8, 8, 8), [])], (4, 4, 4))

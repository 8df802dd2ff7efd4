"""Small scans with drawn lesions, each of another patient."""

from __future__ import annotations

import numpy as np
import pytest

from hideseek_lab.supervised.scans import Scan


def drawn_scan(number: int, shape: tuple[int, int, int] = (32, 32, 4), lesion: bool = True) -> Scan:
    """A bright box of bone in noise, with a dark lesion in every slice but the last."""
    rng = np.random.default_rng(number)
    image = rng.normal(0.2, 0.02, (1, *shape)).astype(np.float32)
    bones = np.zeros(shape, np.uint8)
    bones[6:26, 8:28] = 2
    image[0][bones > 0] += 0.3
    lesions = np.zeros(shape, np.uint8)
    if lesion:
        i, j = rng.integers(9, 16, 2)
        lesions[i : i + 7, j : j + 7, :-1] = 1
        image[0][lesions > 0] -= 0.25
    return Scan(f"scan{number}", f"p{number}", image, lesions, bones, (0.8, 0.8, 0.8))


@pytest.fixture
def scans() -> list[Scan]:
    return [drawn_scan(n, lesion=n % 2 == 0) for n in range(8)]

"""NIfTI-1 bytes of a label map. Pure numpy: Slicer's own writer would lose a left-handed grid."""

from __future__ import annotations

import struct

import numpy as np

_UINT8 = 2
_MILLIMETRES = 2
_ALIGNED = 2  # NIFTI_XFORM_ALIGNED_ANAT: the frame is that of another image, the CT


def to_bytes(labels: np.ndarray, affine: np.ndarray) -> bytes:
    """Encode a uint8 array (I, J, K) as an uncompressed NIfTI-1 file.

    affine: (4, 4), index -> RAS mm, stored as the sform (NIfTI's world is RAS too); the qform is
    left unset, since it cannot hold a grid that is not orthogonal.
    """
    header = bytearray(352)  # 348 bytes of header, 4 that say that no extension follows
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *labels.shape, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, _UINT8, 8)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    struct.pack_into("<8f", header, 76, 1.0, *spacing, 0, 0, 0, 0)
    struct.pack_into("<f", header, 108, 352.0)
    struct.pack_into("<f", header, 112, 1.0)
    struct.pack_into("<B", header, 123, _MILLIMETRES)
    struct.pack_into("<hh", header, 252, 0, _ALIGNED)
    for row in range(3):
        struct.pack_into("<4f", header, 280 + 16 * row, *(float(v) for v in affine[row]))
    header[344:348] = b"n+1\0"
    return bytes(header) + np.asfortranarray(labels, np.uint8).tobytes(order="F")

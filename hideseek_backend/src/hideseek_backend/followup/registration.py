"""Rigid registration of a vertebral body onto itself at another date, by its mask.

Masks, not grey values: another kernel, dose or contrast phase then moves nothing, and neither does
a lesion that grew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from hideseek_backend.volumes.volume import FloatArray, Volume, apply_affine, inverse

_REACH_MM = 6.0  # distances beyond are cut: far bone says nothing about this body
_MARGIN_MM = 8.0
# Turns about the spine's axis to begin with: a body is nearly round from above.
TURNS_DEG = (0.0, -10.0, 10.0)
_GOOD_MM2 = 0.5  # mean square after which no other turn is tried
_SAMPLED = 0.3  # share of the voxels about the surface that the metric looks at


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a body went. matrix: (4, 4) earlier RAS mm -> current RAS mm, a rigid motion.

    gap_mm: mean distance between the two surfaces after it. rotation_deg: its angle.
    """

    matrix: FloatArray
    gap_mm: float

    @property
    def rotation_deg(self) -> float:
        """Angle of the motion in degrees."""
        return float(np.degrees(Rotation.from_matrix(self.matrix[:3, :3]).magnitude()))


def centroid(body: Volume) -> FloatArray:
    """(3,) RAS mm of a mask's centre."""
    return body.ras(np.argwhere(body.data).mean(axis=0))


def spine_motion(earlier: FloatArray, current: FloatArray) -> FloatArray:
    """Rotation (3, 3) that turns the earlier centroids (n, 3) best onto the current ones.

    Fewer than three points, or points on a line, say nothing about a turn: no more than the least
    rotation is given. Kabsch 1976.
    """
    if len(earlier) < 2:
        return np.eye(3)
    a, b = earlier - earlier.mean(axis=0), current - current.mean(axis=0)
    left, values, right = np.linalg.svd(a.T @ b)
    if len(earlier) < 3 or values[1] < 0.02 * values[0]:
        return _least_turn(a[-1] - a[0], b[-1] - b[0])
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(right.T @ left.T))])
    return np.asarray(right.T @ flip @ left.T)


def register(
    earlier: Volume,
    current: Volume,
    start: FloatArray,
    pitch_mm: float = 1.0,
    turns: Sequence[float] = (0.0,),
) -> Pose:
    """Move the earlier body onto the current one.

    earlier, current: masks (I, J, K) of one body each, not empty. start: (3, 3) rotation to begin
    with. pitch_mm: of the grid on which it is done. turns: about the patient's long axis, degrees,
    to begin with as well.
    """
    import SimpleITK as sitk

    fixed, origin = _distances(current, pitch_mm)
    moving, moving_origin = _distances(earlier, pitch_mm)
    near = np.abs(fixed) < _REACH_MM - 1.0
    images = [
        _image(sitk, fixed, origin, pitch_mm),
        _image(sitk, moving, moving_origin, pitch_mm),
        _image(sitk, near.astype(np.uint8), origin, pitch_mm),
    ]
    centre, target = centroid(current), centroid(earlier)
    best: tuple[float, Any] | None = None
    for turn in turns:
        extra = Rotation.from_euler("z", turn, degrees=True).as_matrix()
        # The optimiser's transform runs from the fixed (current) image to the moving one.
        found = _optimised(sitk, images, centre, target, (extra @ start).T)
        if best is None or found[0] < best[0]:
            best = found
        if best[0] < _GOOD_MM2:
            break
    assert best is not None
    to_earlier = np.eye(4)
    to_earlier[:3, :3] = np.array(best[1].GetMatrix()).reshape(3, 3)
    to_earlier[:3, 3] = np.array(best[1].GetTranslation()) + centre - to_earlier[:3, :3] @ centre
    return Pose(
        inverse(to_earlier), _gap(fixed, origin, moving, moving_origin, pitch_mm, to_earlier)
    )


def _optimised(
    sitk: Any, images: list[Any], centre: FloatArray, target: FloatArray, rotation: FloatArray
) -> tuple[float, Any]:
    transform = sitk.Euler3DTransform()
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(np.asarray(rotation, dtype=float).ravel().tolist(), 1e-6)
    transform.SetTranslation((target - centre).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricFixedMask(images[2])
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SAMPLED, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=0.001, numberOfIterations=200, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.SetNumberOfThreads(1)  # sums in one order: the same input, the same pose
    method.Execute(images[0], images[1])
    return float(method.GetMetricValue()), transform


def _distances(body: Volume, pitch_mm: float) -> tuple[NDArray[np.float32], FloatArray]:
    """Signed distance to the surface (mm, negative inside, cut at ±6) on an upright grid.

    Returns it with the RAS of its first voxel.
    """
    index = np.argwhere(body.data)
    corners = body.ras(np.array([index.min(axis=0) - 0.5, index.max(axis=0) + 0.5])[_CORNERS, _XYZ])
    low, high = corners.min(axis=0) - _MARGIN_MM, corners.max(axis=0) + _MARGIN_MM
    shape = np.ceil((high - low) / pitch_mm).astype(int) + 1
    to_index = inverse(body.affine)
    share: NDArray[np.float32] = np.empty(shape, dtype=np.float32)
    offset = apply_affine(to_index, low) + 1.0
    # Interpolated before it is cut, so that thick slices make no steps.
    ndimage.affine_transform(
        np.pad(body.data > 0, 1).astype(np.float32), to_index[:3, :3] * pitch_mm, offset,
        tuple(shape), share, order=1,
    )  # fmt: skip
    inside = share > 0.5
    signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    signed -= np.where(inside, -0.5, 0.5)  # from a voxel's centre to its face
    # Beside the surface, how much of a voxel is bone says where it runs.
    signed = np.where(np.abs(signed) <= 0.6, np.clip(0.5 - share, -1, 1), signed)
    return np.clip(signed * pitch_mm, -_REACH_MM, _REACH_MM).astype(np.float32), low


def _image(sitk: Any, data: NDArray[Any], origin: FloatArray, pitch_mm: float) -> Any:
    """An image whose physical space is RAS mm: all that is registered here lives in it."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.transpose(2, 1, 0)))
    image.SetSpacing([pitch_mm] * 3)
    image.SetOrigin(np.asarray(origin, dtype=float).tolist())
    return image


def _gap(
    fixed: NDArray[np.float32],
    origin: FloatArray,
    moving: NDArray[np.float32],
    moving_origin: FloatArray,
    pitch_mm: float,
    to_moving: FloatArray,
) -> float:
    """Mean |distance| to the moving surface over points on the fixed one, mm."""
    shell = np.argwhere(np.abs(fixed) <= 0.6 * pitch_mm)
    places = apply_affine(to_moving, shell * pitch_mm + origin)
    index = ((places - moving_origin) / pitch_mm).T
    values = ndimage.map_coordinates(moving, index, order=1, mode="nearest")
    return float(np.abs(values - fixed[tuple(shell.T)]).mean())


def _least_turn(a: FloatArray, b: FloatArray) -> FloatArray:
    """The least rotation (3, 3) that turns direction a into direction b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis = np.cross(a, b)
    angle = np.arctan2(np.linalg.norm(axis), a @ b)
    unit = axis / max(float(np.linalg.norm(axis)), 1e-12)
    return np.asarray(Rotation.from_rotvec(unit * angle).as_matrix())


_CORNERS = np.array(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij")).reshape(3, -1).T
_XYZ = np.arange(3)

"""How the CTs of two dates differ, by what their headers say."""

from __future__ import annotations

from hideseek_backend.followup.limits import ScanPair
from hideseek_backend.followup.timepoint import Timepoint

_KVP = 10.0  # less is the same tube voltage, rounded otherwise
_FIELD = 1.5  # ratio of reconstruction diameters: voxels of another size


def scan_pair(earlier: Timepoint, current: Timepoint, same_protocol: bool = False) -> ScanPair:
    """What limits of agreement need to know of two scans; same_protocol: what headers do not say is
    taken to be alike."""
    untold = False if same_protocol else None
    thick = sorted((earlier.thickness_mm, current.thickness_mm))
    return ScanPair(
        thick[1],
        thick[1] / thick[0],
        _differ(earlier.scan.bone_kernel, current.scan.bone_kernel, untold),
        _differ(earlier.scan.contrast, current.scan.contrast, untold),
    )


def unlike_scans(earlier: Timepoint, current: Timepoint) -> list[str]:
    """What a reader must know before comparing: kernel, contrast medium, tube voltage, field."""
    a, b = earlier.scan, current.scan
    found = []
    if a.kernel and b.kernel and a.kernel != b.kernel:
        wider = "; the limits are wider for it" if _differ(a.bone_kernel, b.bone_kernel) else ""
        found.append(
            f"Other kernel: {a.kernel} before, {b.kernel} now{wider}. Do not compare mean HU."
        )
    if _differ(a.contrast, b.contrast):
        when = "now" if b.contrast else "before"
        found.append(
            f"Contrast medium was given only {when}; the limits are wider for it. Do not compare "
            "mean HU."
        )
    elif a.contrast and b.contrast and a.phase and b.phase and a.phase != b.phase:
        found.append(f"Other phase of the contrast medium: {a.phase} before, {b.phase} now.")
    if abs(a.kvp - b.kvp) > _KVP:
        found.append(
            f"Other tube voltage: {a.kvp:g} kV before, {b.kvp:g} kV now. Do not compare mean HU."
        )
    if max(a.diameter_mm, b.diameter_mm) > _FIELD * min(a.diameter_mm, b.diameter_mm):
        found.append(
            f"Reconstructed over {a.diameter_mm:g} mm before, {b.diameter_mm:g} mm now: pixels of "
            "another size."
        )
    return found


def _differ(a: bool | None, b: bool | None, untold: bool | None = None) -> bool | None:
    return untold if a is None or b is None else a != b

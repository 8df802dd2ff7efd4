"""Slices as PNG and outlines as SVG paths, in the orientation a radiologist expects.

A sagittal slice comes as (64, 64), axes (posterior, superior); on screen anterior is on the left
and superior at the top. One unit of the SVG coordinates is one crop pixel of 0.8 mm, the origin at
the picture's top left corner.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours

Slice = NDArray[np.floating]
Mask = NDArray[np.bool_]
RED = np.array([255.0, 92.0, 80.0])
BLUE = np.array([80.0, 158.0, 255.0])
NEUTRAL = np.array([18.0, 20.0, 24.0])


@dataclass(frozen=True)
class Window:
    """Grey values of a picture: `level` is mid-grey, `width` spans black to white."""

    level: float
    width: float
    unit: str = "HU"

    @property
    def text(self) -> str:
        """As written under a picture: "W 1200 / L 350 HU"."""
        if self.unit == "HU":
            return f"W {self.width:.0f} / L {self.level:.0f} HU"
        return f"{self.level - self.width / 2:.2f} to {self.level + self.width / 2:.2f} {self.unit}"


BONE = Window(350.0, 1200.0)


def to_display(values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Turn a slice (posterior, superior) into rows and columns of a picture: (S down, P right)."""
    return values.T[::-1]


def grey_picture(values: Slice, window: Window, scale: int = 4) -> str:
    """Return a slice as a PNG data URI of `scale` times its size."""
    low = window.level - window.width / 2
    shown = _enlarge(to_display(values), scale)
    grey = np.clip((shown - low) / window.width, 0, 1) * 255
    return data_uri(np.round(grey).astype(np.uint8))


def difference_picture(difference: Slice, limit: float, scale: int = 4) -> str:
    """Return healthy - image as a PNG data URI: red where positive (lytic), blue where negative.

    Values beyond ±limit are shown as limit; zero is near black, as CT pictures are dark.
    """
    shown = np.clip(_enlarge(to_display(difference), scale) / limit, -1, 1)
    share = np.abs(shown)[..., None] ** 0.8
    colour = np.where(shown[..., None] > 0, RED, BLUE)
    mixed = NEUTRAL + share * (colour - NEUTRAL)
    return data_uri(np.round(mixed).astype(np.uint8))


def symmetric_limit(difference: Slice, body: Mask, least: float) -> float:
    """Return the end of the difference's colour scale: its 99.5th percentile inside the body.

    Rounded up to a readable number and at least `least`, so that noise does not look like a lesion.
    """
    inside = np.abs(difference[body]) if body.any() else np.abs(difference).ravel()
    high = max(least, float(np.percentile(inside, 99.5)) if inside.size else 0.0)
    step = 10.0 ** np.floor(np.log10(high)) / 2
    return float(np.ceil(high / step - 1e-9) * step)


def outline(mask: Mask) -> str:
    """Return the outline of a mask (posterior, superior) as an SVG path, "" where it is empty."""
    shown = np.pad(to_display(mask).astype(np.float32), 1)
    parts = []
    for contour in find_contours(shown, 0.5):
        # -1 undoes the padding, +0.5 goes from pixel centres to the picture's corner.
        points = [f"{column - 0.5:.1f} {row - 0.5:.1f}" for row, column in contour[:-1]]
        parts.append("M" + "L".join(points) + "Z")
    return "".join(parts)


def centre(mask: Mask) -> tuple[float, float]:
    """Return the point (x, y) of a mask that lies deepest inside it, in SVG coordinates."""
    depth = ndimage.distance_transform_edt(np.pad(to_display(mask), 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column) + 0.5, float(row) + 0.5


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Return grey (H, W) or RGB (H, W, 3) pixels as a PNG data URI, always the same."""
    height, width = pixels.shape[:2]
    colour_type = 0 if pixels.ndim == 2 else 2
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    # Filter 1 (difference to the left neighbour) packs smooth pictures to half the size.
    step = 1 if pixels.ndim == 2 else 3
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    lines = np.concatenate([np.ones((height, 1), np.uint8), rows - left], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, data)
        for kind, data in (
            (b"IHDR", header),
            (b"IDAT", zlib.compress(lines.tobytes(), 9)),
            (b"IEND", b""),
        )
    )
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _enlarge(shown: NDArray[np.generic], scale: int) -> NDArray[np.float32]:
    """Interpolate linearly between pixel centres, so that the picture keeps its place."""
    values = np.asarray(shown, dtype=np.float32)
    if scale == 1:
        return values
    enlarged = ndimage.zoom(values, scale, order=1, mode="nearest", grid_mode=True)
    return np.asarray(enlarged, dtype=np.float32)

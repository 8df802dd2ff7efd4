"""Vertebra blocks and results as JSON, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.volumes import checks
from hideseek_backend.volumes.bodies import split_body
from hideseek_backend.volumes.crops import CropFrame, VertebraBlock, marked_cut
from hideseek_backend.volumes.strays import without_strays
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.wire import arrays
from hideseek_backend.wire.codec import from_plain, shared
from hideseek_backend.wire.codes import POLARITIES
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.levels import LEVELS
from hideseek_backend.wire.records import Evidence, Polarity, Vertebra, VertebraMessage
from hideseek_backend.worker.protocol import ProtocolError

if TYPE_CHECKING:
    from hideseek_backend.case import SliceEvidence, VertebraResult

MAX_BLOCK_BYTES = 1 << 30


def read_blocks(params: Mapping[str, Any]) -> tuple[list[VertebraBlock], tuple[str, ...]]:
    """Read the `blocks` of a request; returns warnings too, once each.

    Raises ProtocolError where one is malformed or a level comes twice, and what the checks of a CT
    raise: a block is refused for the same reasons as a file.
    """
    blocks = params.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        raise _refuse("blocks", "a list of at least one vertebra block", blocks)
    read = [read_block(block) for block in blocks]
    levels = [block.level for block in read]
    if len(set(levels)) < len(levels):
        raise _refuse("blocks", "each level once", ", ".join(levels))
    warnings: dict[str, None] = {}
    for block in read:
        source = f"the CT at {block.level}"
        found = checks.check_spacing(block.ct) + checks.check_hu(block.ct, source)
        warnings.update(dict.fromkeys(found))
    labelled = [
        (block.ct, block.vertebra | _neighbours(message, block))
        for message, block in zip(blocks, read, strict=True)
    ]
    warnings.update(dict.fromkeys(checks.check_bone_parts(labelled)))
    return read, tuple(warnings)


def _neighbours(message: Mapping[str, Any], block: VertebraBlock) -> NDArray[np.bool_]:
    """The other vertebrae in a block's box, as far as the request tells of them."""
    if message.get("neighbours") is None:
        return np.zeros(block.ct.shape, bool)
    return _mask(message, "neighbours", f"{block.level}: ", block.ct.shape)


def read_block(message: object) -> VertebraBlock:
    """Read one block: ct (I, J, K) HU, masks on its grid, affine block index -> RAS mm.

    edges says of each axis whether the block's low and its high face is the CT's own. Where `body`
    is null the body is split off the vertebra by geometry.
    Raises ProtocolError naming the field; GeometryError for an affine that cannot be used.
    """
    if not isinstance(message, Mapping):
        raise _refuse("blocks", "an object for each block", message)
    level, volume = _read_box(message)
    where, ct = f"{level}: ", volume.data
    vertebra = _mask(message, "vertebra", where, ct.shape)
    vertebra = without_strays(vertebra.astype(np.uint8), volume.spacing)[0] > 0
    if message.get("body") is not None:
        body = _mask(message, "body", where, ct.shape)
    elif vertebra.any():
        body = split_body(vertebra, volume.affine)
    else:
        raise LabelError(f"{where}expected voxels in the vertebra mask, got none.", "Check it.")
    origin = [int(v) for v in _numbers(message.get("origin_ijk", [0, 0, 0]), 3, where + "origin")]
    edges = message.get("edges", [[False, False]] * 3)
    if np.shape(edges) != (3, 2) or np.asarray(edges).dtype != bool:
        raise _refuse(where + "edges", "two flags for each of three axes", edges)
    block = VertebraBlock(
        level=level,
        ct=volume,
        vertebra=vertebra,
        body=body,
        origin_ijk=(origin[0], origin[1], origin[2]),
    )
    return marked_cut(block, np.asarray(edges))


def read_body(message: object) -> tuple[str, Volume, Volume | None]:
    """Read the masks of one vertebra, and of its body where it is known, with their level.

    Raises ProtocolError naming the field; GeometryError for an affine that cannot be used.
    """
    if not isinstance(message, Mapping):
        raise _refuse("bodies", "an object for each vertebra", message)
    level = message.get("level")
    if level not in LEVELS:
        raise _refuse("level", "C1 to C7, T1 to T13 or L1 to L6", level)
    where = f"{level}: "
    affine = np.array(_numbers(message.get("affine"), 16, where + "affine")).reshape(4, 4)
    vertebra = Volume(_array(message, "vertebra", where) > 0, affine)
    if message.get("body") is None:
        return str(level), vertebra, None
    return str(level), vertebra, vertebra.with_data(_mask(message, "body", where, vertebra.shape))


def read_click(params: Mapping[str, Any]) -> tuple[Volume, NDArray[np.float64], str]:
    """Read a clicked point: the box of the CT about it, the point (3,) in RAS mm, and the level.

    Raises ProtocolError naming the field; GeometryError for an affine that cannot be used.
    """
    level, ct = _read_box(params)
    return ct, np.array(_numbers(params.get("point"), 3, f"{level}: point")), level


def read_region(
    params: Mapping[str, Any], block: VertebraBlock
) -> tuple[NDArray[np.bool_], NDArray[np.uint16], int, Polarity | None]:
    """Read a region to score: its mask, the other candidates' numbers, its number and polarity.

    The number is 0 where the request leaves it to us. Raises ProtocolError naming the field.
    """
    where = f"{block.level}: "
    region = _mask(params, "region", where, block.ct.shape)
    others = np.zeros(region.shape, np.uint16)
    if params.get("others") is not None:
        others = _array(params, "others", where).astype(np.uint16)
        if others.shape != region.shape:
            expected = f"the shape of the CT {list(region.shape)}"
            raise _refuse(where + "others", expected, list(others.shape))
    number = params.get("number") or 0
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 16:
        raise _refuse(where + "number", "a candidate's number", number)
    if number and (others == number).any():
        raise _refuse(where + "number", "one that no other candidate has", number)
    polarity = params.get("polarity")
    if polarity is not None and polarity not in POLARITIES:
        raise _refuse(where + "polarity", f"one of {POLARITIES} or null", polarity)
    return region, others, number, polarity


def body_message(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask on the request's box as the smallest box that holds it.

    Its corner's index is "low"; the array is empty where the mask is.
    """
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    box = boxes[0] if boxes else (slice(0, 0),) * 3
    return {"low": [axis.start for axis in box], "mask": mask[box]}


def vertebra_message(vertebra: VertebraResult, tau: float) -> VertebraMessage:
    """Return a finished vertebra as it is sent, with the threshold that `kept` comes from."""
    return VertebraMessage(
        **shared(vertebra, Vertebra),
        evidence=_stacked(vertebra),
        block_labels=vertebra.block_labels,
        block_origin_ijk=vertebra.block_origin_ijk,
        tau=tau,
    )


def vertebra_from_message(message: object) -> VertebraResult:
    """Read back what `vertebra_message` made; evidence without labels gives no outlines.

    The block of labels is left out: a report shows slices. Raises ProtocolError naming the field.
    """
    from hideseek_backend.case import VertebraResult

    try:
        read = from_plain(VertebraMessage, message, "vertebrae")
    except WireError as error:
        raise _refuse("vertebrae", "vertebrae as this worker streams them", error) from error
    evidence = read.evidence
    return VertebraResult(
        **shared(read, Vertebra),
        evidence=() if evidence is None else _unstacked(evidence),
        evidence_unit="HU" if evidence is None else evidence.unit,
        frame=None if evidence is None else CropFrame(evidence.affine),
        block_origin_ijk=read.block_origin_ijk,
    )


def _stacked(vertebra: VertebraResult) -> Evidence | None:
    if not vertebra.evidence or vertebra.frame is None:
        return None

    def stack(name: str, dtype: type) -> NDArray[Any]:
        slices = [getattr(evidence, name) for evidence in vertebra.evidence]
        return np.stack(slices, axis=2).astype(dtype)

    return Evidence(
        affine=np.asarray(vertebra.frame.affine),
        slices=tuple(int(evidence.k) for evidence in vertebra.evidence),
        image=stack("image", np.float32),
        healthy=stack("healthy", np.float32),
        difference=stack("difference", np.float32),
        unit=vertebra.evidence_unit,
        labels=stack("labels", np.uint16),
        body=stack("body", np.uint8),
    )


def _unstacked(evidence: Evidence) -> tuple[SliceEvidence, ...]:
    from hideseek_backend.case import SliceEvidence

    nothing = np.zeros(evidence.image.shape, np.uint16)
    labels = nothing if evidence.labels is None else evidence.labels
    body = nothing if evidence.body is None else evidence.body
    return tuple(
        SliceEvidence(
            k=k,
            image=evidence.image[:, :, n],
            healthy=evidence.healthy[:, :, n],
            difference=evidence.difference[:, :, n],
            labels=labels[:, :, n],
            body=body[:, :, n] > 0,
        )
        for n, k in enumerate(evidence.slices)
    )


def _read_box(message: Mapping[str, Any]) -> tuple[str, Volume]:
    """The level of a message and its box of the CT, `ct` on the grid of `affine`."""
    level = message.get("level")
    if level not in LEVELS:
        raise _refuse("level", "C1 to C7, T1 to T13 or L1 to L6", level)
    ct = _array(message, "ct", f"{level}: ")
    affine = np.array(_numbers(message.get("affine"), 16, f"{level}: affine")).reshape(4, 4)
    return str(level), Volume(ct if ct.dtype == np.int16 else ct.astype(np.float32), affine)


def _array(message: Mapping[str, Any], name: str, where: str) -> NDArray[Any]:
    try:
        return arrays.decode(message.get(name), ndim=3, max_bytes=MAX_BLOCK_BYTES)
    except ValueError as error:
        raise ProtocolError(f"{where}{name}: {error}.", "Send it as the protocol says.") from error


def _mask(
    message: Mapping[str, Any], name: str, where: str, shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    mask = _array(message, name, where) > 0
    if mask.shape != shape:
        raise _refuse(where + name, f"the shape of the CT {list(shape)}", list(mask.shape))
    return mask


def _numbers(value: object, count: int, name: str) -> list[float]:
    """Return `count` finite numbers of a list, nested or flat."""
    flat = np.ravel(np.array(value, dtype=object)).tolist() if isinstance(value, Sequence) else []
    usable = [v for v in flat if isinstance(v, (int, float)) and not isinstance(v, bool)]
    if len(flat) != count or len(usable) != count or not np.isfinite(usable).all():
        raise _refuse(name, f"{count} numbers", value)
    return [float(v) for v in usable]


def _refuse(name: str, expected: str, got: object) -> ProtocolError:
    shown = repr(got)
    return ProtocolError(
        f"{name}: expected {expected}, got {shown[:80]}{'…' if len(shown) > 80 else ''}.",
        "Send it as the worker's protocol describes.",
    )

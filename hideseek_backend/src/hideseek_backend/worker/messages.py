"""Vertebra blocks and results as JSON, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hideseek_backend.errors import LabelError
from hideseek_backend.report.json_report import candidate_record, to_plain
from hideseek_backend.volumes.bodies import split_body
from hideseek_backend.volumes.crops import CropFrame, VertebraBlock
from hideseek_backend.volumes.labels import LEVELS
from hideseek_backend.volumes.volume import Volume
from hideseek_backend.worker import arrays
from hideseek_backend.worker.protocol import ProtocolError

if TYPE_CHECKING:
    from hideseek_backend.case import Candidate, SliceEvidence, VertebraResult

MAX_BLOCK_BYTES = 1 << 30


def read_blocks(params: Mapping[str, Any]) -> list[VertebraBlock]:
    """Read the `blocks` of a request.

    Raises ProtocolError where one is malformed or a level comes twice.
    """
    blocks = params.get("blocks")
    if not isinstance(blocks, list) or not blocks:
        raise _refuse("blocks", "a list of at least one vertebra block", blocks)
    read = [read_block(block) for block in blocks]
    levels = [block.level for block in read]
    if len(set(levels)) < len(levels):
        raise _refuse("blocks", "each level once", ", ".join(levels))
    return read


def read_block(message: object) -> VertebraBlock:
    """Read one block: ct (I, J, K) HU, masks on its grid, affine block index -> RAS mm.

    Where `body` is null the body is split off the vertebra by geometry.
    Raises ProtocolError naming the field; GeometryError for an affine that cannot be used.
    """
    if not isinstance(message, Mapping):
        raise _refuse("blocks", "an object for each block", message)
    level, volume = _read_box(message)
    where, ct = f"{level}: ", volume.data
    vertebra = _mask(message, "vertebra", where, ct.shape)
    if message.get("body") is not None:
        body = _mask(message, "body", where, ct.shape)
    elif vertebra.any():
        body = split_body(vertebra, volume.affine)
    else:
        raise LabelError(f"{where}expected voxels in the vertebra mask, got none.", "Check it.")
    origin = [int(v) for v in _numbers(message.get("origin_ijk", [0, 0, 0]), 3, where + "origin")]
    return VertebraBlock(
        level=level,
        ct=volume,
        vertebra=vertebra,
        body=body,
        origin_ijk=(origin[0], origin[1], origin[2]),
        cut=bool(message.get("cut", False)),
    )


def read_click(params: Mapping[str, Any]) -> tuple[Volume, NDArray[np.float64], str]:
    """Read a clicked point: the box of the CT about it, the point (3,) in RAS mm, and the level.

    Raises ProtocolError naming the field; GeometryError for an affine that cannot be used.
    """
    level, ct = _read_box(params)
    return ct, np.array(_numbers(params.get("point"), 3, f"{level}: point")), level


def body_message(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a mask on the request's box as the smallest box that holds it.

    Its corner's index is "low"; the array is empty where the mask is.
    """
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    box = boxes[0] if boxes else (slice(0, 0),) * 3
    return {"low": [axis.start for axis in box], "mask": arrays.encode(mask[box])}


def vertebra_message(vertebra: VertebraResult) -> dict[str, Any]:
    """Return a finished vertebra as JSON: its numbers, label block and evidence arrays."""
    message = {
        "level": vertebra.level,
        "p_malignant": vertebra.p_malignant,
        "p_healthy_image": vertebra.p_healthy_image,
        "analysed": vertebra.analysed,
        "reason": vertebra.reason,
        "phenotype": vertebra.phenotype,
        "candidates": [candidate_record(c) for c in vertebra.candidates],
        "body_volume_mm3": vertebra.body_volume_mm3,
        "lytic_volume_mm3": vertebra.lytic_volume_mm3,
        "blastic_volume_mm3": vertebra.blastic_volume_mm3,
        "warnings": vertebra.warnings,
        "seconds": vertebra.seconds,
        "block_origin_ijk": vertebra.block_origin_ijk,
    }
    plain: dict[str, Any] = to_plain(message)
    labels = vertebra.block_labels
    plain["block_labels"] = None if labels is None else arrays.encode(labels.astype(np.uint16))
    plain["evidence"] = _evidence_message(vertebra) if vertebra.evidence else None
    return plain


def vertebra_from_message(message: object) -> VertebraResult:
    """Read back what `vertebra_message` wrote; evidence without labels gives no outlines.

    Raises ProtocolError naming the field.
    """
    from hideseek_backend.case import VertebraResult

    if not isinstance(message, Mapping):
        raise _refuse("vertebrae", "an object for each vertebra", message)
    try:
        level = str(message["level"])
        frame, evidence = _read_evidence(message.get("evidence"), level)
        origin = [int(v) for v in message.get("block_origin_ijk") or (0, 0, 0)]
        return VertebraResult(
            level=level,
            p_malignant=_number_or_nan(message["p_malignant"]),
            p_healthy_image=message.get("p_healthy_image"),
            analysed=bool(message["analysed"]),
            reason=str(message.get("reason") or ""),
            phenotype=message.get("phenotype"),
            candidates=tuple(_read_candidate(c) for c in message.get("candidates") or ()),
            evidence=evidence,
            frame=frame,
            block_labels=None,  # a report shows slices; nothing reads the block again
            block_origin_ijk=(origin[0], origin[1], origin[2]),
            body_volume_mm3=float(message.get("body_volume_mm3") or 0.0),
            lytic_volume_mm3=float(message.get("lytic_volume_mm3") or 0.0),
            blastic_volume_mm3=float(message.get("blastic_volume_mm3") or 0.0),
            warnings=tuple(str(w) for w in message.get("warnings") or ()),
            seconds=float(message.get("seconds") or 0.0),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _refuse("vertebrae", "vertebrae as this worker streams them", error) from error


def _evidence_message(vertebra: VertebraResult) -> dict[str, Any]:
    def stack(name: str, dtype: type) -> dict[str, Any]:
        slices = [getattr(evidence, name) for evidence in vertebra.evidence]
        return arrays.encode(np.stack(slices, axis=2).astype(dtype))

    return {
        "affine": None if vertebra.frame is None else np.asarray(vertebra.frame.affine).tolist(),
        "slices": [int(evidence.k) for evidence in vertebra.evidence],
        "image": stack("image", np.float32),
        "healthy": stack("healthy", np.float32),
        "difference": stack("difference", np.float32),
        "labels": stack("labels", np.uint16),
        "body": stack("body", np.uint8),
    }


def _read_evidence(message: Any, level: str) -> tuple[CropFrame | None, tuple[SliceEvidence, ...]]:
    from hideseek_backend.case import SliceEvidence

    if not message:
        return None, ()
    stacks = {
        name: _array(message, name, f"{level}: evidence ")
        for name in ("image", "healthy", "difference")
    }
    shape = stacks["image"].shape
    for name, dtype in (("labels", np.uint16), ("body", np.uint8)):
        given = message.get(name) is not None
        stacks[name] = _array(message, name, level) if given else np.zeros(shape, dtype)
    slices = [int(k) for k in message["slices"]]
    if any(stack.shape != (*shape[:2], len(slices)) for stack in stacks.values()):
        raise _refuse(f"{level}: evidence", f"{len(slices)} slices in each array", list(shape))
    frame = None
    if message.get("affine") is not None:
        frame = CropFrame(np.array(_numbers(message["affine"], 16, "affine")).reshape(4, 4))
    return frame, tuple(
        SliceEvidence(
            k=k,
            image=stacks["image"][:, :, n],
            reconstruction=stacks["image"][:, :, n],
            healthy=stacks["healthy"][:, :, n],
            difference=stacks["difference"][:, :, n],
            labels=stacks["labels"][:, :, n],
            body=stacks["body"][:, :, n] > 0,
        )
        for n, k in enumerate(slices)
    )


def _read_candidate(message: Mapping[str, Any]) -> Candidate:
    from hideseek_backend.case import Candidate

    r, a, s = (float(v) for v in message["centroid_ras"])
    return Candidate(
        vertebra=str(message["vertebra"]),
        candidate=int(message["candidate"]),
        polarity=message["polarity"],
        delta=float(message["delta"]),
        kept=bool(message["kept"]),
        p_hide=float(message["p_hide"]),
        slices=tuple(int(k) for k in message["slices"]),
        area_px=int(message["area_px"]),
        volume_mm3=float(message["volume_mm3"]),
        mean_hu=float(message["mean_hu"]),
        centroid_ras=(r, a, s),
    )


def _number_or_nan(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


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

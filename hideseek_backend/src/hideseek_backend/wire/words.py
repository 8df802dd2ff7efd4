"""Words of the protocol: what can be asked, and the families of failures."""

from __future__ import annotations

METHODS = (
    "ping",
    "info",
    "load_model",
    "body",
    "screen",
    "segment",
    "score",
    "report",
    "text",
    "follow_up",
    "sheets",
    "dicom_export",
    "cancel",
    "shutdown",
)
AT_ONCE = ("ping", "info", "cancel", "shutdown")
"""Answered by the thread that reads, whatever the others are doing."""

BESIDE = ("body", "report", "text", "follow_up", "sheets", "dicom_export")
"""Need no model, so they are served beside a running analysis."""

CODES = ("input", "model", "device", "cancelled", "protocol", "internal")

# Why a vertebra has no candidates.
ABSENT = "not in the segmentation"
EMPTY = "no body in the segmentation"
CUT = "cut by the field of view"
SCREENED = "screened only"
UNEXPLAINED = "flagged, nothing found that explains it"

# Why a vertebra's p is not to be trusted.
FRACTURED = "fractured: outside the method"
UNSEEN = "outside what the model has seen"

DEVICES = ("auto", "cpu", "cuda")
"""What a model runs on; "cuda:1" is the second card."""

CASE_FILE = "case.json.gz"
CASE_FORMAT = "hideseek-stored-case-1"
"""A whole case, with evidence and voxels: what `segment` and an export of a review write."""

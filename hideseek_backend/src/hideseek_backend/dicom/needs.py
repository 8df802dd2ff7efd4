"""The optional libraries, imported when needed, with an error that says what to install."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hideseek_backend.optional import import_optional

_FOR = {
    "pydicom": ("reading DICOM", "dicom"),
    "highdicom": ("writing DICOM segmentations and reports", "dicom"),
    "PIL": ("drawing key images", "dicom"),
    "matplotlib": ("drawing key images", "dicom"),
    "pynetdicom": ("talking to a PACS by DIMSE", "dicom-network"),
    "dicomweb_client": ("talking to a PACS by DICOMweb", "dicom-network"),
    "requests": ("talking to a PACS by DICOMweb", "dicom-network"),
    "keyring": ("reading a password from the keyring", "dicom-network"),
}


def need(module: str) -> Any:
    """Import an optional module, "highdicom.sr" among them.

    Raises MissingDependencyError with the command that installs it.
    """
    purpose, extra = _FOR[module.partition(".")[0]]
    command = f"python -m pip install 'hideseek-backend[{extra}]'"
    return import_optional(module, purpose.capitalize(), command)


@contextmanager
def lenient() -> Iterator[None]:
    """Read what scanners wrote, odd values included, and keep the libraries from printing them.

    Warnings and log lines of pydicom and highdicom quote values, a patient's name among them.
    """
    pydicom = need("pydicom")
    settings = pydicom.config.settings
    before = settings.reading_validation_mode
    logger = logging.getLogger("pydicom")
    level = logger.level
    settings.reading_validation_mode = pydicom.config.IGNORE
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        settings.reading_validation_mode = before
        logger.setLevel(level)

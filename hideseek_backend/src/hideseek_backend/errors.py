"""The errors a user can meet: each says what was expected, what was got and what to do."""

from __future__ import annotations


class HideSeekError(Exception):
    """Any failure that the user can understand and act upon.

    message: what was expected and what was got.
    remedy: what to do about it; shown after the message.
    `code` names the family in machine-readable output (worker, report.json).
    """

    code = "error"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


class InputError(HideSeekError):
    """A file or array is not what the method needs (modality, units, content)."""

    code = "input"


class GeometryError(InputError):
    """Frames, grids or spacings do not fit each other or the method."""


class LabelError(InputError):
    """Vertebra labels are unknown, ambiguous or absent."""


class ModelError(HideSeekError):
    """A model folder or checkpoint is missing, altered or of an unknown kind."""

    code = "model"


class DeviceError(HideSeekError):
    """The requested device is absent or out of memory."""

    code = "device"


class OutputError(HideSeekError):
    """Results cannot be written: no room, no permission, or the target is in use."""

    code = "output"


class OptionError(HideSeekError):
    """An option is out of its range or contradicts another."""

    code = "option"


class MissingDependencyError(HideSeekError):
    """An optional dependency is needed for this feature and is not installed."""

    code = "dependency"


class Cancelled(HideSeekError):
    """The user stopped the work; everything finished before that is kept."""

    code = "cancelled"

    def __init__(self, message: str = "Cancelled by the user.", remedy: str = "") -> None:
        super().__init__(message, remedy)

"""Errors whose text is meant for the person at the screen: what was wrong, and what to do."""

from __future__ import annotations


class SceneError(RuntimeError):
    """Anything in the scene that stops an action; `str(error)` is shown to the user."""


class InputError(SceneError):
    """The CT, a segmentation or a level cannot be used as it is."""


class ReplyError(SceneError):
    """The backend sent a result that does not fit the protocol."""


class NodeGone(SceneError):
    """A node that is needed was deleted, or the scene was closed."""

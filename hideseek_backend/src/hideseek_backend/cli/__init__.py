"""The command `hideseek`; nothing heavy is imported before a verb needs it."""

from hideseek_backend.cli.entry import main

__all__ = ["main"]

"""`hideseek worker`: the same as `python -m hideseek_backend.worker`."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `worker`: none beyond the common ones."""


def main(args: argparse.Namespace) -> int:
    """Serve requests from standard input until it closes."""
    from hideseek_backend.worker.__main__ import main as serve

    return serve()

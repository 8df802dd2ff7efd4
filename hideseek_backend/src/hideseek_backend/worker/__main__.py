"""`python -m hideseek_backend.worker`: serve requests from standard input until it closes."""

from __future__ import annotations

import logging
import sys

from hideseek_backend.worker.channel import Channel, take_standard_streams


def main() -> int:
    """Run the worker; the process ends when its input closes or shutdown is asked for."""
    requests, replies = take_standard_streams()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    # Only now: importing torch may print, and must not print into the protocol.
    from hideseek_backend.worker.server import Server

    try:
        Server(Channel(requests, replies)).serve()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m hideseek_backend.cli`: the command without its script, for a Python given by path."""

from __future__ import annotations

import sys

from hideseek_backend.cli import main

if __name__ == "__main__":
    sys.exit(main())

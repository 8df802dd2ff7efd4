"""`python -m HideSeekLib.browser`: started by `hideseek review` in its own environment."""

from __future__ import annotations

import argparse
import os
import secrets
import shlex
import sys
from pathlib import Path

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


def parser() -> argparse.ArgumentParser:
    """The arguments; `hideseek review` passes on the same."""
    made = argparse.ArgumentParser(prog="hideseek review", description=__doc__)
    made.add_argument("paths", nargs="*", type=Path, metavar="CASE | CT VERTEBRAE | SCENE.mrb")
    made.add_argument("--labels", default="", help="scheme of the vertebra labels, such as verse")
    made.add_argument("--out", type=Path, default=Path("hideseek-review"))
    made.add_argument("--port", type=int, default=0)
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--token", default=os.environ.get("HIDESEEK_REVIEW_TOKEN", ""))
    made.add_argument("--model", default="bundled")
    made.add_argument("--device", default="auto")
    made.add_argument("--no-browser", action="store_true")
    made.add_argument(
        "--worker", default=f"{shlex.quote(sys.executable)} -u -m hideseek_backend.worker"
    )
    return made


def main() -> int:
    """Serve the review; returns the exit code."""
    arguments = parser().parse_args()
    if arguments.host not in ("127.0.0.1", "localhost") and not arguments.token:
        return _fail(
            "Another interface than this computer's own is opened with --token only. "
            "Better: leave --host out and use ssh -L."
        )
    # After the arguments: importing Slicer takes seconds, and an error in them should not.
    from HideSeekLib.browser.server import Options, serve
    from HideSeekLib.errors import SceneError

    options = Options(
        paths=tuple(path.resolve() for path in arguments.paths),
        worker=tuple(shlex.split(arguments.worker)),
        token=arguments.token or secrets.token_urlsafe(24),
        out=arguments.out.resolve(),
        host="127.0.0.1" if arguments.host == "localhost" else arguments.host,
        port=arguments.port,
        labels=arguments.labels,
        model=arguments.model,
        device=arguments.device,
        browse=not arguments.no_browser,
    )
    try:
        serve(options, _say)
    except SceneError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 0
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fail(text: str) -> int:
    sys.stderr.write(f"error: {text}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())

"""`hideseek review`: starts the review in a browser.

It runs on Slicer's scene, in an environment of its own; this finds that environment and starts it,
with this Python as the backend's.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import hideseek_backend
from hideseek_backend.errors import InputError, MissingDependencyError

ENVIRONMENT = "HIDESEEK_REVIEW_PYTHON"
FOLDER = ".venv-review"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `review`."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="a folder with ct and vertebrae, a CT and its vertebra mask, or a saved .mrb",
    )
    parser.add_argument("--labels", default="", help="scheme of the vertebra labels, such as verse")
    parser.add_argument("--out", type=Path, default=Path("hideseek-review"), help="exports go here")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="another interface than this computer's needs --token"
    )
    parser.add_argument("--token", default="", help="a fixed token instead of a new one each time")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--python", type=Path, help=f"Python with trame-slicer (else {ENVIRONMENT}, {FOLDER})"
    )


def main(args: argparse.Namespace) -> int:
    """Run the review until it ends.

    Raises InputError for a path that is not there, MissingDependencyError without the environment.
    """
    for path in args.paths:
        if not path.exists():
            raise InputError(f"{path} is not there.", "Give a CT, a folder or a saved scene.")
    extension = find_extension()
    command = [str(find_python(args.python)), "-m", "HideSeekLib.browser"]
    command += [str(path) for path in args.paths]
    for name in ("labels", "host", "model", "device"):
        if getattr(args, name):
            command += [f"--{name}", getattr(args, name)]
    command += ["--out", str(args.out), "--port", str(args.port)]
    command += ["--no-browser"] if args.no_browser else []
    command += ["--worker", shlex.join([sys.executable, "-u", "-m", "hideseek_backend.worker"])]
    source = Path(hideseek_backend.__file__).resolve().parents[1]
    path = [str(extension), str(source), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in path if p)}
    if args.token:
        # Not on the command line, which other users of the machine see.
        environment["HIDESEEK_REVIEW_TOKEN"] = args.token
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 0


def find_extension() -> Path:
    """The folder that holds HideSeekLib. Raises MissingDependencyError where there is none."""
    for folder in (*Path(hideseek_backend.__file__).resolve().parents, Path.cwd()):
        if (folder / "HideSeekLib" / "browser").is_dir():
            return folder
    raise MissingDependencyError(
        "The review needs the HideSeek repository (HideSeekLib), which is not beside the backend.",
        "Install the backend from it: pip install -e ./hideseek_backend.",
    )


def find_python(given: Path | None) -> Path:
    """The Python that has trame-slicer. Raises MissingDependencyError where there is none."""
    named = given or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    if named is not None:
        if not named.exists():
            raise InputError(f"{named} is not there.", "Give the Python that has trame-slicer.")
        return named
    inside = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")
    for folder in (*Path(hideseek_backend.__file__).resolve().parents, Path.cwd()):
        if (folder / FOLDER / inside).exists():
            return folder / FOLDER / inside
    if importlib.util.find_spec("trame_slicer") is not None:
        return Path(sys.executable)
    raise MissingDependencyError(
        "The review needs an environment with trame-slicer, which was not found.",
        "Run `make review` once in the repository, or give --python.",
    )

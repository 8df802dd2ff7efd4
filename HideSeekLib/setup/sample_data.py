"""A phantom CT in Slicer's Sample Data module, made on this computer: nothing is downloaded.

The backend's command `hideseek phantom` writes it into Slicer's cache folder when it is asked for
the first time; a second time the files are there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import slicer

from HideSeekLib.errors import SceneError
from HideSeekLib.i18n import _

SAMPLE_NAME = "HideSeekPhantom"
CATEGORY = "HideSeek"
# A seed of the test range: the bundled model was trained and chosen on others.
SEED = 2_000_007
FILES = ("ct.nii.gz", "vertebrae.nii.gz")
_loading = False
_RUN = "import sys; from hideseek_backend.cli import main; sys.exit(main())"


def register() -> bool:
    """Add the phantom to the Sample Data module; False where Slicer has no such module."""
    try:
        import SampleData
    except ImportError:
        return False
    icon = Path(__file__).resolve().parent.parent / "Resources" / f"{SAMPLE_NAME}.png"
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        # The module wants an address; the custom downloader makes the data and never uses it.
        uris="",
        fileNames=FILES[0],
        nodeNames=SAMPLE_NAME,
        thumbnailFileName=str(icon),
        customDownloader=lambda _source=None: download(),
    )
    return True


def download() -> list[Any]:
    """Load the phantom for the Sample Data module; what goes wrong is shown, for the module shows
    nothing of it. A second click while it is being made does nothing."""
    global _loading
    if _loading:
        return []
    _loading = True
    try:
        return list(load(default_folder()))
    except SceneError as error:
        slicer.util.errorDisplay(str(error))
        return []
    finally:
        _loading = False


def default_folder() -> Path:
    """Folder within Slicer's cache in which the phantom is kept."""
    cache = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    return Path(cache) / f"{SAMPLE_NAME}-{SEED}"


def backend_python() -> tuple[list[str], dict[str, str] | None]:
    """Command and environment of the Python on this computer that has the backend.

    The one set in the panel, else Slicer's own; a remote backend cannot write files here.
    """
    try:
        # Qt-side modules: only Slicer has them, and only there are there settings to ask.
        from HideSeekLib.worker.process import process_environment, python_command
        from HideSeekLib.worker.settings import BackendSettings

        settings = BackendSettings.load(slicer.app.userSettings())
    except (ImportError, AttributeError):
        return [sys.executable], None
    if settings.remote():
        settings = BackendSettings()
    return python_command(settings, []), process_environment(settings)


def make(folder: Path, command: Sequence[str] | None = None, timeout_s: float = 900.0) -> None:
    """Make the phantom in a folder unless it is there; the window stays alive meanwhile.

    command: a Python with the backend; None takes the one that is set.
    Raises SceneError, with what the backend said, when it fails.
    """
    if all((folder / name).exists() for name in FILES):
        return
    found, environment = backend_python()
    words = [
        *(found if command is None else command),
        *("-c", _RUN, "phantom", "--out", str(folder), "--seed", str(SEED), "--overwrite"),
    ]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        code, said = _wait(words, environment, timeout_s)
    except OSError as error:
        raise SceneError(
            _("The phantom was not made: {error}. Check the backend on the set-up page.").format(
                error=error
            )
        ) from error
    if code != 0:
        lines = [text for text in said.splitlines() if text.strip()]
        raise SceneError(
            _("The phantom was not made. The backend said: {text}").format(
                text=lines[-1] if lines else _("nothing")
            )
        )


def _wait(
    words: Sequence[str], environment: dict[str, str] | None, timeout_s: float
) -> tuple[int, str]:
    """Run a command and let Slicer handle its events until it ends: (exit code, what it said)."""
    app = getattr(slicer, "app", None)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            # Windows opens a black console for PythonSlicer.exe otherwise.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        end = time.monotonic() + timeout_s
        while process.poll() is None:
            if time.monotonic() > end:
                process.kill()
                process.wait()
                return -1, _("no answer within {n} minutes").format(n=round(timeout_s / 60))
            if app is not None:
                app.processEvents()
            time.sleep(0.03)
        output.seek(0)
        return process.returncode, output.read().decode("utf-8", "replace")


def load(folder: Path, command: Sequence[str] | None = None) -> tuple[Any, Any]:
    """Make the phantom if needed and load it: (CT volume node, vertebra segmentation node).

    Raises SceneError when it cannot be made or read.
    """
    make(folder, command)
    ct = slicer.util.loadVolume(str(folder / FILES[0]), properties={"name": SAMPLE_NAME})
    segmentation = slicer.util.loadSegmentation(
        str(folder / FILES[1]), properties={"name": f"{SAMPLE_NAME} vertebrae"}
    )
    name_levels(segmentation)
    return ct, segmentation


def name_levels(segmentation_node: Any) -> None:
    """Name the phantom's segments by level: its label values are VerSe's, by construction."""
    from HideSeekLib.anatomy.vertebrae import match_label_values

    for segment_id, level in match_label_values(segmentation_node, "verse").items():
        segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
        segment.SetName(_("{level} vertebra").format(level=level))

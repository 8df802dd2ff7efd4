"""Unusable models, devices, options and outputs: named, with a remedy, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hideseek_backend.cli import main

from .conftest import words

Refused = Callable[[list[str]], str]
SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(name="model")
def own_model(case: Path, tmp_path: Path) -> Path:
    """Return a copy of the model that a test may spoil."""
    return Path(shutil.copytree(case / "tiny", tmp_path / "model"))


def edit_spec(model: Path, **changes: object) -> None:
    spec = json.loads((model / "spec.json").read_text(encoding="utf-8"))
    (model / "spec.json").write_text(json.dumps({**spec, **changes}))


def with_model(case: Path, tmp_path: Path, model: Path | str) -> list[str]:
    return words(case, tmp_path / "out", "--model", str(model))


# --- models -----------------------------------------------------------------------------------


def test_a_model_that_does_not_exist(case: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused(with_model(case, tmp_path, "no-such-model"))
    assert "No model 'no-such-model'" in said and "hideseek models" in said


@pytest.mark.parametrize("part", ["spec.json", "weights.safetensors"])
def test_a_model_without_a_part(
    case: Path, tmp_path: Path, model: Path, refused: Refused, part: str
) -> None:
    (model / part).unlink()
    said = refused(with_model(case, tmp_path, model))
    assert part in said and "hideseek models" in said


def test_altered_weights(case: Path, tmp_path: Path, model: Path, refused: Refused) -> None:
    weights = bytearray((model / "weights.safetensors").read_bytes())
    weights[-5] ^= 1
    (model / "weights.safetensors").write_bytes(bytes(weights))
    assert "altered or damaged" in refused(with_model(case, tmp_path, model))


def test_truncated_weights(case: Path, tmp_path: Path, model: Path, refused: Refused) -> None:
    weights = (model / "weights.safetensors").read_bytes()
    (model / "weights.safetensors").write_bytes(weights[:1000])
    assert "altered or damaged" in refused(with_model(case, tmp_path, model))


def test_a_spec_that_is_no_json(case: Path, tmp_path: Path, model: Path, refused: Refused) -> None:
    (model / "spec.json").write_text("{")
    assert "not valid JSON" in refused(with_model(case, tmp_path, model))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"format": 99}, "format 99"),
        ({"surprise": 1}, "surprise"),
        ({"spacing_mm": 1.0}, "0.8"),
        ({"intensity": {"kind": "magic"}}, "magic"),
        ({"name": 7}, "name"),
    ],
)
def test_a_spec_of_another_kind(
    case: Path,
    tmp_path: Path,
    model: Path,
    refused: Refused,
    changes: dict[str, object],
    expected: str,
) -> None:
    edit_spec(model, **changes)
    assert expected in refused(with_model(case, tmp_path, model))


def test_an_architecture_from_the_future(
    case: Path, tmp_path: Path, model: Path, refused: Refused
) -> None:
    architecture = json.loads((model / "spec.json").read_text(encoding="utf-8"))["architecture"]
    edit_spec(model, architecture={**architecture, "flux_capacitor": True})
    assert "flux_capacitor" in refused(with_model(case, tmp_path, model))


def test_an_architecture_that_does_not_fit_the_weights(
    case: Path, tmp_path: Path, model: Path, refused: Refused
) -> None:
    architecture = json.loads((model / "spec.json").read_text(encoding="utf-8"))["architecture"]
    edit_spec(model, architecture={**architecture, "z_channels": 32})
    assert "other shapes" in refused(with_model(case, tmp_path, model))


def test_verify_names_the_altered_part(model: Path, refused: Refused) -> None:
    (model / "weights.safetensors").write_bytes(b"")
    assert "weights.safetensors" in refused(["models", "verify", str(model)])


# --- devices ------------------------------------------------------------------------------------


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_cuda_without_a_gpu(case: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused(words(case, tmp_path / "out", "--device", "cuda"))
    assert "'cuda' is not here" in said and "--device cpu" in said


# --- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--set", "peak_fraction=3"], "peak_fraction: expected a number from 0 to 1, got 3"),
        (["--set", "no_such=1"], "Unknown option no_such"),
        (["--set", "binarize=magic"], "binarize: expected one of"),
        (["--p-target", "0.9"], "p_target: expected below p_threshold"),
        (["--set", "p_slices=2"], "p_slices: expected an odd number"),
    ],
)
def test_options_out_of_range(
    case: Path, tmp_path: Path, refused: Refused, more: list[str], expected: str
) -> None:
    assert expected in refused(words(case, tmp_path / "out", *more))


def test_a_level_that_is_not_in_the_segmentation(
    case: Path, tmp_path: Path, refused: Refused
) -> None:
    said = refused(words(case, tmp_path / "out", "--levels", "T3"))
    assert "T3" in said and "L1, L2, L3" in said


@pytest.mark.parametrize("name", ["ct.nii.gz", "vertebrae.nii.gz"])
def test_inputs_that_are_not_there(case: Path, tmp_path: Path, refused: Refused, name: str) -> None:
    line = [word.replace(name, "absent.nii.gz") for word in words(case, tmp_path / "out")]
    assert "absent.nii.gz" in refused(line)


def test_an_unknown_label_scheme(case: Path, tmp_path: Path, refused: Refused) -> None:
    said = refused(words(case, tmp_path / "out", "--labels", "my-scheme"))
    assert "my-scheme" in said and "totalsegmentator" in said


# --- output -------------------------------------------------------------------------------------


def test_a_folder_that_holds_other_files(case: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    said = refused(words(case, tmp_path / "out"))
    assert "not empty: it holds notes.txt" in said and "--overwrite" in said


def test_a_file_where_the_folder_should_be(case: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").write_text("")
    assert "Expected a folder" in refused(words(case, tmp_path / "out"))


def test_a_folder_below_a_file(case: Path, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_text("")
    assert "could not be written" in refused(words(case, tmp_path / "file" / "out"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(case: Path, tmp_path: Path, refused: Refused) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    assert "No permission" in refused(words(case, locked / "out"))


def test_a_read_only_disk(
    case: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> str:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("hideseek_backend.report.output.tempfile.mkdtemp", refuse)
    said = refused(words(case, tmp_path / "out"))
    assert "No permission to write" in said and "--out" in said


@pytest.mark.parametrize("step", ["csv_text", "write_segmentation", "write_nifti", "write_json"])
def test_no_room_on_the_disk(
    case: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"hideseek_backend.report.case_files.{step}", full)
    said = refused(words(case, tmp_path / "out", "--levels", "L2"))
    assert "No room left on the disk" in said and "Free some space" in said


def test_no_room_for_a_phantom(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.txt").write_text("")
    assert "not empty" in refused(["phantom", "--out", str(tmp_path / "out"), "--seed", "1"])


# --- the real process ---------------------------------------------------------------------------


def start(line: list[str], preamble: str = "") -> subprocess.Popen[str]:
    # Started in the background, by a CI say, Python inherits an ignored SIGINT: take it back.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    verb = "import sys\nfrom hideseek_backend.cli import main\nsys.exit(main())"
    code = f"{listen}\n{preamble}\n{verb}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_real_limit_on_the_size_of_files(case: Path, tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"
    process = start(words(case, tmp_path / "out", "--levels", "L2"), limit)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2, said
    assert "error: " in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


SLOW = """
import time
from hideseek_backend.dae.autoencoder import DiffusionAutoencoder as D
real = D.render
def render(self, *args, **kwargs):
    print("rendering", flush=True)
    time.sleep(120)
    return real(self, *args, **kwargs)
D.render = render
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopping_leaves_nothing(
    case: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = start(words(case, tmp_path / "new" / "out"), SLOW)
    assert process.stdout is not None
    assert "rendering" in process.stdout.readline()
    assert list((tmp_path / "new").iterdir()) != []  # it has begun: the folder is reserved
    start_time = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == code, said
    assert time.monotonic() - start_time < 30 and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_stopping_keeps_the_earlier_result(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(words(case, out, "--levels", "L2")) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    process = start(words(case, out), SLOW)
    assert process.stdout is not None and "rendering" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before

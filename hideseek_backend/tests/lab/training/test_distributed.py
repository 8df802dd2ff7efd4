"""Two gloo processes train the model that one process trains."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from hideseek_backend.errors import OptionError
from hideseek_lab.training.distributed import Replicas

SCRIPT = Path(__file__).with_name("two_processes.py")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("two_processes", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _torchrun(folder: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        str(SCRIPT), str(folder),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]


def test_two_processes_train_what_one_trains_and_resume(tmp_path: Path) -> None:
    _script().main(tmp_path / "one")
    _torchrun(tmp_path / "two")
    one = torch.load(tmp_path / "one" / "state.pt", weights_only=True)
    two = torch.load(tmp_path / "two" / "state.pt", weights_only=True)
    assert one["step"] == two["step"] == 9
    for part in ("trainee", "average"):
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=1e-3, atol=1e-5)


def test_a_batch_is_parted_by_vertebrae() -> None:
    values = torch.arange(12)
    first, second = (Replicas(rank, 2).part(values).tolist() for rank in range(2))
    assert first + second == values.tolist() and len(first) == 6
    assert Replicas().part(values).tolist() == values.tolist()


def test_a_batch_that_cannot_be_parted_is_told() -> None:
    Replicas(0, 2).check(batch=8, label_images=4, bag=2)
    with pytest.raises(OptionError, match="cannot be parted among 3 processes"):
        Replicas(0, 3).check(batch=8, label_images=0, bag=2)

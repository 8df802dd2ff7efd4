"""The restricted reader: real estimators in every dialect, and files that mean harm."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hideseek_backend.errors import ModelError
from hideseek_backend.models import pickles
from hideseek_backend.models.pickles import parse_estimator, read_estimator


def fitted() -> LogisticRegression:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6))
    return LogisticRegression().fit(x, (x[:, 0] > 0).astype(int))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_reads_every_pickle_protocol(protocol: int) -> None:
    model = fitted()
    read = parse_estimator(pickle.dumps(model, protocol), "LogisticRegression")
    np.testing.assert_array_equal(read.array("coef_"), model.coef_)
    np.testing.assert_array_equal(read.array("intercept_"), model.intercept_)
    assert read.array("classes_").tolist() == [0, 1]


def test_reads_joblib(tmp_path: Path) -> None:
    scaler = StandardScaler().fit(np.random.default_rng(0).normal(size=(30, 5)))
    scaler.var_ = np.asfortranarray(np.arange(6.0).reshape(2, 3))  # the other memory order
    joblib.dump(scaler, tmp_path / "scaler.pkl")
    read = read_estimator(tmp_path / "scaler.pkl", "StandardScaler")
    np.testing.assert_array_equal(read.array("mean_"), scaler.mean_)
    np.testing.assert_array_equal(read.array("scale_"), scaler.scale_)
    np.testing.assert_array_equal(read.array("var_"), scaler.var_)


def test_reads_big_endian_arrays() -> None:
    scaler = StandardScaler().fit(np.eye(3))
    scaler.mean_ = scaler.mean_.astype(">f4")
    read = parse_estimator(pickle.dumps(scaler), "StandardScaler")
    np.testing.assert_allclose(read.array("mean_"), scaler.mean_)


def test_reads_the_released_files() -> None:
    classifier = read_estimator(shared_file("reference", "classifier_lr.pkl"), "LogisticRegression")
    scaler = read_estimator(shared_file("reference", "scaler.pkl"), "StandardScaler")
    assert classifier.array("coef_").shape == (1, 512)
    assert classifier.array("intercept_")[0] == pytest.approx(-0.00077485, abs=1e-8)
    assert scaler.array("mean_").shape == scaler.array("scale_").shape == (512,)
    assert scaler.attributes["n_samples_seen_"] == 565


def test_refuses_another_estimator() -> None:
    scaler = StandardScaler().fit(np.eye(3))
    with pytest.raises(ModelError, match="expected a LogisticRegression"):
        parse_estimator(pickle.dumps(scaler), "LogisticRegression")


def test_unfitted_and_non_finite_are_told() -> None:
    empty = parse_estimator(pickle.dumps(LogisticRegression()), "LogisticRegression")
    with pytest.raises(ModelError, match="not fitted"):
        empty.array("coef_")
    model = fitted()
    model.coef_[0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        parse_estimator(pickle.dumps(model), "LogisticRegression").array("coef_")


# Files that mean harm. Each leaves a mark if it runs; none may.

MARK = "hideseek_was_here"


class Runs:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class Getattr:
    """getattr(__import__('os'), 'system')(…), the usual way round a list of forbidden names."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return Runs, (getattr, Runs(__import__, "os"), self.command)


def hostile(folder: Path) -> dict[str, bytes]:
    import os

    mark = f"touch {folder / MARK}"
    model = fitted()
    inside = fitted()
    inside.tol = Runs(os.system, mark)
    key = fitted()
    key.class_weight = {(1, 2): 3}
    array = pickle.dumps(model, 2)
    raw = {
        "os.system": pickle.dumps(Runs(os.system, mark)),
        "os.system, protocol 0": pickle.dumps(Runs(os.system, mark), 0),
        "eval": pickle.dumps(Runs(eval, f"open({str(folder / MARK)!r}, 'w')")),
        "getattr chain": pickle.dumps(Getattr("system")),
        "inside an estimator": pickle.dumps(inside),
        "numpy.load": pickle.dumps(Runs(np.load, str(folder / "x.npy"))),
        "joblib.hash": pickle.dumps(Runs(joblib.hash, "x")),
        "an array of objects": pickle.dumps(_with(coef_=np.array([[print]], dtype=object))),
        "another estimator inside": pickle.dumps(_with(tol=_Custom())),
        "stack global of computed names": b"\x80\x04N\x93.",
        "global with a long name": b"cos\n" + b"system" * 1000 + b"\n.",
        "dotted global": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        "instance": b"(S'" + mark.encode() + b"'\nios\nsystem\n.",
        "object": b"(cos\nsystem\nS'x'\no.",
        "persistent id": b"Pos.system\n.",
        "binary persistent id": b"\x80\x04K\x01Q.",
        "extension registry": b"\x80\x04\x82\x01.",
        "build on a number": b"\x80\x04K\x01}b.",
        "build on a list": b"\x80\x04]}b.",
        "reduce of a number": b"\x80\x04K\x01)R.",
        "append to a name": b"\x80\x04cnumpy\ndtype\nK\x01a.",
        "set on a list": b"\x80\x04]\x8c\x01aK\x01s.",
        "empty stack": b"\x80\x04.",
        "mark popped": b"\x80\x04(0.",
        "no mark": b"\x80\x04K\x01t.",
        "unknown memo": b"\x80\x04h\x07.",
        "no stop": b"\x80\x04K\x01",
        "unknown opcode": b"\x80\x04\xff.",
        "nothing": b"",
        "text": b"this is not a pickle",
        "half": array[: len(array) // 2],
        "huge bytes": b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"x.",
        "huge text": b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"x.",
        "huge number": b"\x80\x04\x8b\xff\xff\xff\x7fx.",
        "huge frame": b"\x80\x04\x95" + (2**62).to_bytes(8, "little") + b"K\x01.",
    }
    raw["joblib array larger than the file"] = _oversized_joblib(folder)
    raw["joblib array of objects"] = _joblib(folder, np.array([[print]], dtype=object))
    return raw


_ESTIMATOR = b"csklearn.linear_model._logistic\nLogisticRegression\n)\x81"


class _Custom:
    pass


def _with(**attributes: Any) -> LogisticRegression:
    model = fitted()
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def _joblib(folder: Path, value: Any) -> bytes:
    joblib.dump(_with(coef_=value), folder / "j.pkl")
    return (folder / "j.pkl").read_bytes()


def _oversized_joblib(folder: Path) -> bytes:
    data = _joblib(folder, np.zeros((1, 200)))
    shape = b"K\x01K\xc8\x86"
    assert shape in data
    return data.replace(shape, b"K\x01J\xff\xff\xff\x7f\x86")


def test_hostile_files_are_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = hostile(tmp_path)
    imported: list[str] = []
    monkeypatch.setattr("builtins.__import__", _watch(imported, __import__))
    for name, data in files.items():
        with pytest.raises(ModelError) as caught:
            parse_estimator(data, "LogisticRegression", name)
        assert len(str(caught.value)) < 600, name
    assert not (tmp_path / MARK).exists()
    assert not {n for n in imported if n.startswith(("os", "sklearn", "posix"))}


def _watch(imported: list[str], real: Any) -> Any:
    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        imported.append(name)
        return real(name, *args, **kwargs)

    return importing


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_FILE_BYTES", 1000)
    (tmp_path / "big.pkl").write_bytes(b"\0" * 2000)
    with pytest.raises(ModelError, match="2000 bytes"):
        read_estimator(tmp_path / "big.pkl", "LogisticRegression")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read"):
        read_estimator(tmp_path / "none.pkl", "LogisticRegression")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_damage_is_a_model_error_or_harmless(data: st.DataObject) -> None:
    """Flip, cut or insert bytes of a real file: a ModelError, or an estimator; nothing else."""
    content = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2)
        )
    with contextlib.suppress(ModelError):
        parse_estimator(bytes(content), "LogisticRegression")


_GOOD = pickletools.optimize(pickle.dumps(fitted(), 4))

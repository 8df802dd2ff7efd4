"""Read two scikit-learn objects out of a pickle that may hold anything.

joblib's own unpickler reads the file, with a closed list of names in place of its imports: the two
estimators become plain holders of attributes, arrays are numbers, and any other name is refused
before it is looked up. scikit-learn itself is not needed.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.errors import ModelError

MAX_FILE_BYTES = 64 * 2**20

_CORES = ("numpy.core", "numpy._core")
_HOMES = {
    "LogisticRegression": ("sklearn.linear_model._logistic", "sklearn.linear_model.logistic"),
    "StandardScaler": ("sklearn.preprocessing._data", "sklearn.preprocessing.data"),
}
_REMEDY = (
    "Use the classifier_lr.pkl and scaler.pkl that the authors published, or save a "
    "LogisticRegression and a StandardScaler again with pickle or joblib, uncompressed."
)


@dataclass(frozen=True)
class PickledEstimator:
    """A fitted estimator as data: its class name and its plain attributes."""

    class_name: str
    attributes: dict[str, Any]

    def array(self, name: str) -> np.ndarray:
        """Return attribute `name` as a finite float64 array; raises ModelError when it is not."""
        value = self.attributes.get(name)
        if not isinstance(value, np.ndarray):
            raise ModelError(f"{self.class_name} has no array {name}: it was not fitted.", _REMEDY)
        if value.dtype.kind not in "biuf" or not np.isfinite(value).all():
            raise ModelError(f"{self.class_name}.{name} holds values that are not finite.", _REMEDY)
        return np.asarray(value, dtype=np.float64)


def read_estimator(path: Path | str, class_name: str) -> PickledEstimator:
    """Read the one estimator in a pickle or joblib file, running nothing that it names.

    path: file of at most 64 MiB. class_name: "LogisticRegression" or "StandardScaler".
    Raises ModelError for a missing or damaged file, for any name outside the short list, and when
    the file holds something other than `class_name`; also where joblib is not installed.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(
                f"{path.name} has {size} bytes; a classifier or scaler has a few thousand.", _REMEDY
            )
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    return parse_estimator(data, class_name, path.name)


def parse_estimator(data: bytes, class_name: str, source: str = "the file") -> PickledEstimator:
    """Read the bytes of a pickle as `read_estimator` does; `source` names them in errors."""
    try:
        from joblib import numpy_pickle
    except ImportError as error:
        raise ModelError(
            "Reading a classifier of one's own needs joblib, which is not installed.",
            "pip install hideseek-backend[reference]",
        ) from error

    class Wrapper(numpy_pickle.NumpyArrayWrapper):
        def read(self, unpickler: Any, ensure_native_byte_order: bool) -> np.ndarray:
            count = np.prod([int(n) for n in self.shape], dtype=float)
            # joblib would read an array of objects as a pickle of its own.
            if self.dtype.hasobject or count * self.dtype.itemsize > len(data):
                raise ModelError(f"{source} holds an array that is none.", _REMEDY)
            return np.asarray(self.read_array(unpickler, ensure_native_byte_order))

    class Reader(numpy_pickle.NumpyUnpickler):
        def find_class(self, module: str, name: str) -> Any:
            return _known(module, name, Wrapper, source)

    try:
        value = Reader("", io.BytesIO(data), ensure_native_byte_order=True).load()
    except ModelError:
        raise
    except Exception as error:  # a damaged pickle fails in any way that Python knows
        reason = f"{type(error).__name__} {error}"[:160]
        raise ModelError(f"{source} is not a whole pickle: {reason}.", _REMEDY) from error
    if not isinstance(value, _Estimator):
        raise ModelError(f"{source} does not hold a {class_name}.", _REMEDY)
    if type(value).__name__ != class_name:
        raise ModelError(
            f"{source} holds a {type(value).__name__}; expected a {class_name}.", _REMEDY
        )
    return PickledEstimator(class_name, dict(vars(value)))


class _Estimator:
    """Holds what a pickled estimator had as attributes."""


class LogisticRegression(_Estimator):
    """Stands for scikit-learn's."""


class StandardScaler(_Estimator):
    """Stands for scikit-learn's."""


def _known(module: str, name: str, wrapper: type, source: str) -> Any:
    """What a name of the closed list stands for here. Raises ModelError for any other."""
    if module in _HOMES.get(name, ()):
        return {"LogisticRegression": LogisticRegression, "StandardScaler": StandardScaler}[name]
    # numpy 1 and 2 call the same module by two names.
    core = np._core if hasattr(np, "_core") else np.core
    allowed: dict[tuple[str, str], Any] = {
        ("joblib.numpy_pickle", "NumpyArrayWrapper"): wrapper,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }
    for home in _CORES:
        allowed[f"{home}.multiarray", "scalar"] = core.multiarray.scalar
        allowed[f"{home}.multiarray", "_reconstruct"] = core.multiarray._reconstruct
        allowed[f"{home}.numeric", "_frombuffer"] = core.numeric._frombuffer
    if (module, name) not in allowed:
        raise ModelError(
            f"{source} was refused: it asks for {module[:60]}.{name[:60]}. Nothing in it was run.",
            _REMEDY,
        )
    return allowed[module, name]


def _latin1(text: str, encoding: str) -> bytes:
    """Bytes as protocols below 3 spell them."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"text in {encoding}")
    return text.encode("latin-1")

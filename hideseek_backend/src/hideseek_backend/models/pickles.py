"""Read two scikit-learn objects out of a pickle without running anything that is in it.

A pickle is a program. This reader interprets its opcodes itself: a global is only ever a pair of
strings (nothing is imported), a call is only ever one of five known ways to spell an array or a
number, and what comes out is a class name with plain attributes. Anything else is refused with a
`ModelError` that names it. Plain pickles (protocols 0 to 5) and joblib files, uncompressed or
zlib/gzip, are understood: joblib writes an array's bytes into the middle of the opcode stream.
"""

from __future__ import annotations

import io
import pickletools
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.errors import ModelError

MAX_FILE_BYTES = 64 * 2**20
MAX_OPCODES = 1_000_000

_NUMPY_CORE = ("numpy.core", "numpy._core")
_ESTIMATORS = {
    ("sklearn.linear_model._logistic", "LogisticRegression"),
    ("sklearn.linear_model.logistic", "LogisticRegression"),
    ("sklearn.preprocessing._data", "StandardScaler"),
    ("sklearn.preprocessing.data", "StandardScaler"),
}
_WRAPPER = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_NDARRAY = ("numpy", "ndarray")
_DTYPE = ("numpy", "dtype")
_ENCODE = ("_codecs", "encode")
_OBJECT = {("builtins", "object"), ("__builtin__", "object")}
_RECONSTRUCTOR = {("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")}
_SCALAR = {(core + ".multiarray", "scalar") for core in _NUMPY_CORE}
_RECONSTRUCT = {(core + ".multiarray", "_reconstruct") for core in _NUMPY_CORE}
_FROM_BUFFER = {(core + ".numeric", "_frombuffer") for core in _NUMPY_CORE}
_ALLOWED = (
    _ESTIMATORS
    | {_WRAPPER, _NDARRAY, _DTYPE, _ENCODE}
    | _OBJECT
    | _RECONSTRUCTOR
    | _SCALAR
    | _RECONSTRUCT
    | _FROM_BUFFER
)
_NUMERIC = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
_REMEDY = (
    "Use the classifier_lr.pkl and scaler.pkl that the authors published, or save a "
    "LogisticRegression and a StandardScaler again with pickle or joblib."
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
        array = np.asarray(value, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ModelError(f"{self.class_name}.{name} holds values that are not finite.", _REMEDY)
        return array


def read_estimator(path: Path | str, class_name: str) -> PickledEstimator:
    """Read the one estimator in a pickle or joblib file, executing nothing.

    path: file of at most 64 MiB. class_name: "LogisticRegression" or "StandardScaler".
    Raises ModelError for a missing or damaged file, for any global outside the short list above,
    and when the file holds something other than `class_name`.
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
    """Interpret the bytes of a pickle as `read_estimator` does; `source` names them in errors."""
    value = _Reader(_decompress(data, source), source).run()
    if not isinstance(value, _Instance) or value.kind not in _ESTIMATORS:
        raise ModelError(f"{source} does not hold a {class_name}.", _REMEDY)
    if value.kind[1] != class_name:
        raise ModelError(f"{source} holds a {value.kind[1]}; expected a {class_name}.", _REMEDY)
    return PickledEstimator(class_name, {k: _plain(v) for k, v in value.attributes.items()})


@dataclass(frozen=True)
class _Global:
    """A name that the pickle mentions. Never resolved."""

    kind: tuple[str, str]


@dataclass
class _Instance:
    """An object that the pickle would build: only its attributes are kept."""

    kind: tuple[str, str]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Type:
    """A numeric dtype; its byte order arrives later, with BUILD."""

    dtype: np.dtype[Any]


@dataclass
class _Array:
    """An array whose content arrives later, with BUILD."""

    value: np.ndarray | None = None


_MARK = object()


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value


def _decompress(data: bytes, source: str) -> bytes:
    """Undo joblib's zlib or gzip compression within the size limit."""
    if not (data[:2] == b"\x1f\x8b" or (data[:1] == b"\x78" and data[1:2] in b"\x01\x5e\x9c\xda")):
        return data
    try:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        plain = stream.decompress(data, MAX_FILE_BYTES)
    except zlib.error as error:
        raise ModelError(f"{source} is damaged: {error}.", "Fetch it again.") from error
    if stream.unconsumed_tail or not stream.eof:
        raise ModelError(f"{source} is truncated or unpacks to over 64 MiB.", "Fetch it again.")
    return plain


class _Reader:
    """A stack machine for the opcodes that describe data."""

    def __init__(self, data: bytes, source: str) -> None:
        self._file = io.BytesIO(data)
        self._size = len(data)
        self._source = source
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._handlers: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(_LITERALS, self._push),
            **dict.fromkeys(("PROTO", "FRAME"), self._nothing),
            "NONE": lambda _: self._push(None),
            "NEWTRUE": lambda _: self._push(True),
            "NEWFALSE": lambda _: self._push(False),
            "EMPTY_TUPLE": lambda _: self._push(()),
            "EMPTY_LIST": lambda _: self._push([]),
            "EMPTY_DICT": lambda _: self._push({}),
            "MARK": lambda _: self._push(_MARK),
            "TUPLE": lambda _: self._push(tuple(self._pop_mark())),
            "TUPLE1": lambda _: self._push(tuple(self._pop_many(1))),
            "TUPLE2": lambda _: self._push(tuple(self._pop_many(2))),
            "TUPLE3": lambda _: self._push(tuple(self._pop_many(3))),
            "LIST": lambda _: self._push(self._pop_mark()),
            "DICT": lambda _: self._push(self._pairs(self._pop_mark())),
            "APPEND": lambda _: self._extend(self._pop_many(1)),
            "APPENDS": lambda _: self._extend(self._pop_mark()),
            "SETITEM": lambda _: self._update(self._pop_many(2)),
            "SETITEMS": lambda _: self._update(self._pop_mark()),
            "POP": lambda _: self._nothing(self._pop()),
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "PUT": self._put,
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "GET": self._get,
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "GLOBAL": lambda arg: self._push(self._name(*str(arg).split(" ", 1))),
            "STACK_GLOBAL": lambda _: self._push(self._name(*self._pop_many(2))),
            "NEWOBJ": lambda _: self._new_object(*self._pop_many(2)),
            "REDUCE": lambda _: self._reduce(*self._pop_many(2)),
            "BUILD": lambda _: self._build(self._pop()),
        }

    def run(self) -> Any:
        for count, (name, argument) in enumerate(self._opcodes()):
            if count >= MAX_OPCODES:
                raise self._refuse("it has over a million opcodes")
            if name == "STOP":
                value = self._pop()
                if self._stack or self._file.tell() != self._size:
                    raise self._refuse("something follows its end")
                return value
            handler = self._handlers.get(name)
            if handler is None:
                raise self._refuse(f"opcode {name} describes no plain data")
            handler(argument)
        raise self._refuse("it ends early")

    def _opcodes(self) -> Iterator[tuple[str, Any]]:
        try:
            for opcode, argument, _ in pickletools.genops(self._file):
                yield opcode.name, argument
        except (ValueError, IndexError, OverflowError) as error:
            raise ModelError(
                f"{self._source} is not a whole pickle: {str(error)[:120]}.", "Fetch it again."
            ) from error

    def _refuse(self, reason: str) -> ModelError:
        return ModelError(
            f"{self._source} was refused: {reason}. Nothing in it was executed.", _REMEDY
        )

    # Stack and memo

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _nothing(self, _: Any) -> None:
        return

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise self._refuse("its stack runs empty")
        return self._stack.pop()

    def _pop_many(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _pop_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if item is _MARK:
                return items[::-1]
            items.append(item)
        raise self._refuse("a mark is missing")

    def _top(self, kind: type) -> Any:
        if not self._stack or not isinstance(self._stack[-1], kind):
            raise self._refuse(f"it fills something that is not a {kind.__name__}")
        return self._stack[-1]

    def _put(self, index: int) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise self._refuse("its stack runs empty")
        self._memo[int(index)] = self._stack[-1]

    def _get(self, index: int) -> None:
        if int(index) not in self._memo:
            raise self._refuse("it recalls something never stored")
        self._push(self._memo[int(index)])

    def _pairs(self, items: list[Any]) -> dict[Any, Any]:
        if len(items) % 2 or any(not isinstance(key, str) for key in items[::2]):
            raise self._refuse("a dictionary has keys that are not text")
        return dict(zip(items[::2], items[1::2], strict=True))

    def _extend(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def _update(self, items: list[Any]) -> None:
        self._top(dict).update(self._pairs(items))

    # Names, and the few calls that spell data

    def _name(self, module: Any = None, name: Any = None) -> _Global:
        named = isinstance(module, str) and isinstance(name, str)
        if not named or (module, name) not in _ALLOWED:
            shown = f"{module}.{name}"[:120] if named else "a computed name"
            raise self._refuse(f"it asks for {shown}, which a classifier does not need")
        return _Global((module, name))

    def _new_object(self, cls: Any, arguments: Any) -> None:
        if not isinstance(cls, _Global) or arguments != ():
            raise self._refuse("it makes an object in an unknown way")
        if cls.kind in _ESTIMATORS or cls.kind == _WRAPPER:
            self._push(_Instance(cls.kind))
            return
        raise self._refuse(f"it makes an object of {'.'.join(cls.kind)}")

    def _reduce(self, function: Any, arguments: Any) -> None:
        if not isinstance(function, _Global) or not isinstance(arguments, tuple):
            raise self._refuse("it calls something that is not a known name")
        kind = function.kind
        match arguments:
            case (str() as code, *_) if kind == _DTYPE:
                self._push(_Type(self._dtype(code)))
            case (_Type() as kept, bytes() as raw) if kind in _SCALAR:
                self._push(self._array(kept, (), "C", raw).item())
            case (_Global(kind=("numpy", "ndarray")), *_) if kind in _RECONSTRUCT:
                self._push(_Array())
            case (bytes() | bytearray() as raw, _Type() as kept, shape, order, *rest) if (
                kind in _FROM_BUFFER and rest in ([], [None])
            ):
                self._push(_Array(self._array(kept, shape, order, bytes(raw))))
            case (str() as text, "latin1" | "latin-1") if kind == _ENCODE:
                self._push(self._latin1(text))
            case (_Global() as cls, _Global() as base, None) if (
                kind in _RECONSTRUCTOR and base.kind in _OBJECT
            ):
                self._new_object(cls, ())
            case _:
                raise self._refuse(f"it calls {'.'.join(kind)} in an unknown way")

    def _build(self, state: Any) -> None:
        target = self._stack[-1] if self._stack else None
        match target, state:
            case _Type(), (int(), str() as order, None, None, None, *_):
                target.dtype = self._dtype(order + target.dtype.str[1:])
            case _Array(value=None), (
                int(),
                shape,
                _Type() as kept,
                bool() as fortran,
                bytes() as raw,
            ):
                target.value = self._array(kept, shape, "F" if fortran else "C", raw)
            case _Instance(), dict() if target.kind == _WRAPPER:
                self._stack[-1] = _Array(self._inline_array(state))
            case _Instance(), dict():
                target.attributes.update(state)
            case _:
                raise self._refuse("it sets the state of something that has none")

    def _inline_array(self, state: dict[str, Any]) -> np.ndarray:
        """Read the raw bytes that joblib puts right after its array wrapper."""
        kept, shape = state.get("dtype"), state.get("shape")
        subclass = state.get("subclass")
        if not isinstance(kept, _Type) or subclass != _Global(_NDARRAY):
            raise self._refuse("an array is of an unknown kind")
        if state.get("numpy_array_alignment_bytes") is not None:
            self._file.read(int.from_bytes(self._file.read(1), "little"))
        # Only what the file holds is ever read, whatever size the shape claims.
        wanted = self._count(shape) * kept.dtype.itemsize
        if wanted > self._size - self._file.tell():
            raise self._refuse(f"an array of {wanted} bytes is larger than the file")
        return self._array(kept, shape, state.get("order"), self._file.read(wanted))

    def _dtype(self, code: str) -> np.dtype[Any]:
        if not _NUMERIC.fullmatch(code):
            raise self._refuse("an array holds something other than numbers")
        return np.dtype(code)

    def _count(self, shape: Any) -> int:
        if not isinstance(shape, tuple) or len(shape) > 4:
            raise self._refuse("an array has an unknown shape")
        count = 1
        for length in shape:
            if not isinstance(length, int) or length < 0:
                raise self._refuse("an array has an unknown shape")
            count *= length
        return count

    def _array(self, kept: _Type, shape: Any, order: Any, raw: bytes) -> np.ndarray:
        if order not in ("C", "F") or self._count(shape) * kept.dtype.itemsize != len(raw):
            raise self._refuse("an array's bytes do not fit its shape")
        flat = np.frombuffer(raw, dtype=kept.dtype)
        array = flat.reshape(shape, order=order)
        return array.astype(kept.dtype.newbyteorder("="))

    def _latin1(self, text: str) -> bytes:
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError as error:
            raise self._refuse("an array's bytes are not bytes") from error


# fmt: off
_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
    "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8",
)
# fmt: on

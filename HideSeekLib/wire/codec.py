"""Records to JSON-ready values and back, from nothing but their fields and types.

A field takes part when it was made by `tables.column` or `tables.carried`. JSON has no NaN: null
stands for it in a field of type float, and for None where the type allows None.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from . import arrays
from .errors import WireError

Record = TypeVar("Record")


@cache
def wire_fields(record: type) -> tuple[tuple[Field[Any], str, Any], ...]:
    """The fields of a record class that travel: (field, its name outside, its type)."""
    hints = get_type_hints(record)
    return tuple(
        (f, f.metadata["wire"].name or f.name, hints[f.name])
        for f in fields(record)
        if "wire" in f.metadata
    )


def shared(value: Any, record: type) -> dict[str, Any]:
    """The values of `record`'s travelling fields in an instance of it or of a class made of it."""
    return {f.name: getattr(value, f.name) for f, _name, _kind in wire_fields(record)}


def to_plain(value: Any, *, listed: bool = False) -> Any:
    """Turn records, tuples, paths and numpy numbers into what JSON holds.

    Numbers that are not finite become null. Arrays stay arrays, for `lines.encode_line` to pack,
    or become lists where `listed`.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist(), listed=True) if listed else value
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    if is_dataclass(value) and not isinstance(value, type):
        travelling = wire_fields(type(value))
        if not travelling:
            return to_plain(asdict(value), listed=listed)
        return {n: to_plain(getattr(value, f.name), listed=listed) for f, n, _kind in travelling}
    if isinstance(value, Mapping):
        return {str(key): to_plain(inner, listed=listed) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_plain(inner, listed=listed) for inner in value]
    return str(value)


def json_text(value: Any) -> str:
    """Readable JSON of anything that `to_plain` takes, arrays as lists, with a final newline."""
    plain = to_plain(value, listed=True)
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_plain(record: type[Record], message: Any, where: str = "") -> Record:
    """Read a record from what `to_plain` made of it. Keys that it does not know are left out.

    where: what the message is, for errors. Raises WireError naming the field that is missing or
    wrong; nothing is guessed.
    """
    if not isinstance(message, Mapping):
        raise _wrong(where, "an object", message)
    values = {}
    cls: Any = record
    for f, name, kind in wire_fields(cls):
        place = f"{where}.{name}" if where else name
        if name in message:
            values[f.name] = _read(kind, message[name], place)
        elif f.default is MISSING and f.default_factory is MISSING:
            raise WireError(f"{place} is missing")
    try:
        return record(**values)
    except WireError as error:
        raise WireError(f"{where}: {error}" if where else str(error)) from error


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _read(next(k for k in inner if k is not type(None)), value, where)
    if origin is Literal:
        if value not in inner:
            raise _wrong(where, "one of " + ", ".join(map(repr, inner)), value)
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise _wrong(where, "a list", value)
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise _wrong(where, f"{len(inner)} values", value)
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(
            _read(k, v, f"{where}[{n}]") for n, (k, v) in enumerate(zip(kinds, value, strict=True))
        )
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise _wrong(where, "a number", value)
        return float(value)
    if kind is np.ndarray:
        return _array(value, where)
    if isinstance(kind, type) and is_dataclass(kind):
        return from_plain(kind, value, where)
    expected = dict if origin is not None else kind
    if not isinstance(value, expected) or (kind is int and isinstance(value, bool)):
        raise _wrong(where, _NAMES.get(expected, expected.__name__), value)
    return value


_NAMES: Mapping[Any, str] = {
    str: "text",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
}


def _array(value: Any, where: str) -> np.ndarray:
    try:
        if isinstance(value, Mapping):
            return arrays.decode(value)
        return np.asarray(value, dtype=None if isinstance(value, np.ndarray) else np.float64)
    except (TypeError, ValueError) as error:
        raise WireError(f"{where}: {error}") from error


def _wrong(where: str, expected: str, got: Any) -> WireError:
    return WireError(f"{where + ': ' if where else ''}expected {expected}, got {got!r:.60}")

"""Records as rows: columns, values and cells. The one rule by which every CSV is written."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, replace
from functools import cache
from typing import Any, get_args

from .codec import wire_fields


@dataclass(frozen=True)
class Column:
    """A column of a table.

    kind: "text", "whole" (flags too) or "number". unit: as shown. decimals: of a number in a file;
    None for six significant digits. attribute: what a record calls the value; axis: which part of
    it, where a value fills several columns.
    """

    name: str
    unit: str = ""
    decimals: int | None = None
    kind: str = "number"
    attribute: str = ""
    axis: int | None = None


@dataclass(frozen=True)
class _Spec:
    """What a record's field is outside: its name, and its columns (none if it is in no table)."""

    name: str = ""
    columns: tuple[Column, ...] = ()


def column(
    name: str = "",
    *,
    unit: str = "",
    decimals: int | None = None,
    split: Sequence[str] = (),
    default: Any = MISSING,
) -> Any:
    """Declare a field that travels and has a column, or one a part named in `split`."""
    parts = tuple(Column(part, unit, decimals, axis=axis) for axis, part in enumerate(split))
    spec = _Spec(name, parts or (Column(name, unit, decimals),))
    return field(default=default, metadata={"wire": spec})


def carried(*, default: Any = MISSING) -> Any:
    """Declare a field that travels and is in no table."""
    return field(default=default, metadata={"wire": _Spec()})


@cache
def columns(record: type) -> tuple[Column, ...]:
    """The columns of a record class: its fields' in their order, then its DERIVED ones."""
    found: list[Column] = []
    for f, name, kind in wire_fields(record):
        own: tuple[Column, ...] = f.metadata["wire"].columns
        found += [
            replace(c, name=c.name or name, attribute=f.name, kind=_kind_of(kind)) for c in own
        ]
    return (*found, *getattr(record, "DERIVED", ()))


def values(record: Any) -> tuple[Any, ...]:
    """A record's values in the order of its columns, as they are."""
    cls: Any = type(record)
    return tuple(_value(record, c) for c in columns(cls))


def cells(record: Any) -> dict[str, str]:
    """A record as text, column by column; empty where a value is None or not finite."""
    cls: Any = type(record)
    return {c.name: cell(_value(record, c), c.decimals) for c in columns(cls)}


def cell(value: Any, decimals: int | None = None) -> str:
    """One value as text: true/false, numbers with fixed decimals or six significant digits."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number(value, decimals)
    if isinstance(value, tuple):
        return " ".join(cell(part, decimals) for part in value)
    return str(value)


def number(value: float | None, decimals: int | None = None) -> str:
    """A number as text: fixed decimals, or six significant digits; empty where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    text = f"{value:.6g}" if decimals is None else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def csv_text(record: Any, records: Iterable[Any]) -> str:
    """Records of one class as CSV (RFC 4180, line feed), in the order of its columns."""
    return rows_as_csv([c.name for c in columns(record)], (cells(r) for r in records))


def rows_as_csv(names: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Rows of text as CSV (RFC 4180, line feed), in the order of `names`."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _value(record: Any, c: Column) -> Any:
    value = getattr(record, c.attribute or c.name)
    return value if c.axis is None else value[c.axis]


def _kind_of(kind: Any) -> str:
    """A tuple in one column is text; one in a column for each part is of the parts' kind."""
    parts = [k for k in get_args(kind) if k is not type(None)]
    if kind is float or (parts and set(parts) == {float}):
        return "number"
    return "whole" if kind in (int, bool) or parts in ([int], [bool]) else "text"

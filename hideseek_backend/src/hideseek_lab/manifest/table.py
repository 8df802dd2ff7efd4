"""Tables on disk, CSV, XLSX or JSON, as rows of text with their line numbers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.files import whole_file
from hideseek_backend.optional import import_optional

SUFFIXES = (".csv", ".xlsx", ".json")
_XLSX = "pip install 'hideseek-backend[tables]'"


@dataclass(frozen=True)
class Table:
    """columns: as written. rows: (line number in the file, cells by column; empty where absent)."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]
    name: str


def read_table(path: Path) -> Table:
    """Read the first sheet of a table; line 1 holds the column names (JSON: a list of objects).

    Raises InputError for a file that is absent, unreadable or empty, MissingDependencyError for
    XLSX without openpyxl.
    """
    if not path.is_file():
        raise InputError(f"Expected a table at {path}, got nothing.", "Check the path.")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"Expected a table as {', '.join(SUFFIXES)}, got {path.name}.", "Save it as CSV."
        )
    try:
        lines = {".csv": _csv, ".xlsx": _xlsx, ".json": _json}[suffix](path)
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise InputError(
            f"Expected a readable table in {path.name}, got {type(error).__name__}: {error}.",
            "Open it in a spreadsheet program and save it again, as CSV in UTF-8.",
        ) from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    if len(lines) < 2:
        raise InputError(
            f"Expected column names and at least one row in {path.name}.", "Fill the table."
        )
    columns = tuple(name.strip() for name in lines[0][1])
    rows = tuple(
        (number, {c: v.strip() for c, v in zip(columns, cells, strict=False) if c})
        for number, cells in lines[1:]
    )
    return Table(columns, rows, path.name)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as CSV, XLSX or JSON by the name's ending, whole or not at all."""
    held = [{c: row.get(c, "") for c in columns} for row in rows]

    def write(temporary: Path) -> None:
        suffix = path.suffix.lower()
        if suffix == ".json":
            temporary.write_text(json.dumps(held, indent=1, ensure_ascii=False) + "\n", "utf-8")
        elif suffix == ".xlsx":
            book = import_optional("openpyxl", "Writing XLSX", _XLSX).Workbook()
            book.active.append(list(columns))
            for row in held:
                book.active.append(list(row.values()))
            book.save(temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(columns), lineterminator="\n")
                writer.writeheader()
                writer.writerows(held)

    with whole_file(path) as part:
        write(part)


def _csv(path: Path) -> list[tuple[int, list[str]]]:
    # Spreadsheet programs in many countries write semicolons, and a byte order mark.
    text = path.read_text(encoding="utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    return [(reader.line_num, cells) for cells in reader]


def _xlsx(path: Path) -> list[tuple[int, list[str]]]:
    openpyxl = import_optional("openpyxl", "Reading XLSX", _XLSX)
    try:
        sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
        rows = list(sheet.iter_rows(values_only=True))
    except Exception as error:  # whatever a damaged archive leads the parser to
        raise ValueError(f"no workbook ({error})") from error
    return [(n, [_cell(value) for value in row]) for n, row in enumerate(rows, 1)]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return text.removesuffix(" 00:00:00") if hasattr(value, "year") else text


def _json(path: Path) -> list[tuple[int, list[str]]]:
    objects = json.loads(path.read_text(encoding="utf-8-sig"))
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise ValueError("not a list of objects")
    columns = list(dict.fromkeys(key for one in objects for key in one))
    rows = [(n, [_cell(one.get(c)) for c in columns]) for n, one in enumerate(objects, 2)]
    return [(1, columns), *rows]

"""Tables as text, and several files that each appear whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hideseek_backend.files import whole_file
from hideseek_backend.wire.tables import cell, rows_as_csv


def write_into(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    """Write files into a folder, each complete before it takes its name."""
    for name, content in files.items():
        with whole_file(folder / name) as part:
            part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return [folder / name for name in files]


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as CSV with a header; undefined numbers become empty cells, floats keep 6 digits."""
    return rows_as_csv(columns, ({c: _cell(row.get(c)) for c in columns} for row in rows))


def _cell(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    return cell(tuple(plain) if isinstance(plain, list) else plain)

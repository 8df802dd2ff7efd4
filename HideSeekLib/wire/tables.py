"""Table nodes: one row a candidate, one row a vertebra. Columns are named as in the CSV files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import vtk


@dataclass(frozen=True)
class Row:
    """A candidate as the table shows it. kept: what the lesion segments hold now; decision:
    "accept", "reject" or "". Units as in `results.Candidate`."""

    key: str
    vertebra: str
    number: int
    polarity: str
    delta: float
    kept: bool
    decision: str
    reason: str
    p_hide: float
    slices: tuple[int, ...]
    area_px: int
    volume_mm3: float
    mean_hu: float
    centroid_ras: tuple[float, float, float]


@dataclass(frozen=True)
class VertebraRow:
    """A vertebra as the table shows it; volumes of what is kept now, fractions of the body."""

    level: str
    p_malignant: float
    p_healthy_image: float | None
    analysed: bool
    reason: str
    phenotype: str | None
    body_volume_mm3: float
    lytic_volume_mm3: float
    blastic_volume_mm3: float
    lytic_fraction: float
    blastic_fraction: float
    warnings: tuple[str, ...]


# column: (name, kind, unit). Kinds: s text, i whole number, d number.
CANDIDATE_COLUMNS = (
    ("vertebra", "s", ""),
    ("candidate", "i", ""),
    ("polarity", "s", ""),
    ("delta", "d", ""),
    ("kept", "i", ""),
    ("decision", "s", ""),
    ("reason", "s", ""),
    ("p_hide", "d", ""),
    ("slices", "s", ""),
    ("area_px", "i", "pixel"),
    ("volume_mm3", "d", "mm3"),
    ("mean_hu", "d", "HU"),
    ("centroid_r_mm", "d", "mm"),
    ("centroid_a_mm", "d", "mm"),
    ("centroid_s_mm", "d", "mm"),
)
VERTEBRA_COLUMNS = (
    ("vertebra", "s", ""),
    ("p_malignant", "d", ""),
    ("p_healthy_image", "d", ""),
    ("analysed", "i", ""),
    ("reason", "s", ""),
    ("phenotype", "s", ""),
    ("body_volume_mm3", "d", "mm3"),
    ("lytic_volume_mm3", "d", "mm3"),
    ("blastic_volume_mm3", "d", "mm3"),
    ("lytic_fraction", "d", ""),
    ("blastic_fraction", "d", ""),
)

_ARRAYS = {"s": vtk.vtkStringArray, "i": vtk.vtkIntArray, "d": vtk.vtkDoubleArray}


def candidate_values(row: Row) -> tuple[Any, ...]:
    """The row's values in the order of CANDIDATE_COLUMNS."""
    return (
        row.vertebra, row.number, row.polarity, row.delta, int(row.kept), row.decision, row.reason,
        row.p_hide, " ".join(map(str, row.slices)), row.area_px, row.volume_mm3, row.mean_hu,
        *row.centroid_ras,
    )  # fmt: skip


def vertebra_values(row: VertebraRow) -> tuple[Any, ...]:
    """The row's values in the order of VERTEBRA_COLUMNS."""
    healthy = math.nan if row.p_healthy_image is None else row.p_healthy_image
    return (
        row.level, row.p_malignant, healthy, int(row.analysed), row.reason, row.phenotype or "",
        row.body_volume_mm3, row.lytic_volume_mm3, row.blastic_volume_mm3, row.lytic_fraction,
        row.blastic_fraction,
    )  # fmt: skip


def fill(node: Any, columns: Sequence[tuple[str, str, str]], rows: Sequence[Sequence[Any]]) -> None:
    """Make a table node hold exactly these rows; one Modified event in all.

    Columns that are there are kept and refilled (a view's column widths survive); in a table that
    somebody reshaped, our columns are found by name and the others removed.
    """
    modifying = node.StartModify()
    try:
        table = node.GetTable()
        names = [table.GetColumnName(c) for c in range(table.GetNumberOfColumns())]
        if names != [name for name, _kind, _unit in columns]:
            node.RemoveAllColumns()
            for name, kind, unit in columns:
                array = _ARRAYS[kind]()
                array.SetName(name)
                node.AddColumn(array)
                if unit:
                    node.SetColumnUnitLabel(name, unit)
            node.SetUseColumnTitleAsColumnHeader(True)
        for c, (name, kind, _unit) in enumerate(columns):
            array = table.GetColumnByName(name)
            if not isinstance(array, _ARRAYS[kind]):
                fresh = _ARRAYS[kind]()
                fresh.SetName(name)
                table.RemoveColumnByName(name)
                table.InsertColumn(fresh, c)
                array = fresh
            array.SetNumberOfValues(len(rows))
            for r, row in enumerate(rows):
                array.SetValue(r, row[c])
            array.Modified()
        node.SetLocked(True)
        table.Modified()
        node.Modified()
    finally:
        node.EndModify(modifying)

"""Table nodes: one row a record, columns named as in the CSV files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import vtk

from HideSeekLib.wire.tables import Column, cell, columns, values

_ARRAYS = {"text": vtk.vtkStringArray, "whole": vtk.vtkIntArray, "number": vtk.vtkDoubleArray}


def fill(node: Any, record: Any, rows: Sequence[Any]) -> None:
    """Make a table node hold exactly these records of one class; one Modified event in all.

    Columns that are there are kept and refilled (a view's column widths survive); in a table that
    somebody reshaped, our columns are found by name and the others removed.
    """
    ours = columns(record)
    contents = [values(row) for row in rows]
    modifying = node.StartModify()
    try:
        table = node.GetTable()
        names = [table.GetColumnName(c) for c in range(table.GetNumberOfColumns())]
        if names != [column.name for column in ours]:
            node.RemoveAllColumns()
            for column in ours:
                node.AddColumn(_array(column))
                if column.unit:
                    node.SetColumnUnitLabel(column.name, column.unit)
            node.SetUseColumnTitleAsColumnHeader(True)
        for c, column in enumerate(ours):
            array = table.GetColumnByName(column.name)
            if not isinstance(array, _ARRAYS[column.kind]):
                array = _array(column)
                table.RemoveColumnByName(column.name)
                table.InsertColumn(array, c)
            array.SetNumberOfValues(len(contents))
            for r, row in enumerate(contents):
                array.SetValue(r, _shown(row[c], column.kind))
            array.Modified()
        node.SetLocked(True)
        table.Modified()
        node.Modified()
    finally:
        node.EndModify(modifying)


def _array(column: Column) -> Any:
    array = _ARRAYS[column.kind]()
    array.SetName(column.name)
    return array


def _shown(value: Any, kind: str) -> Any:
    if kind == "text":
        return cell(value)
    if kind == "whole":
        return int(value)
    return math.nan if value is None else float(value)

"""What a manifest says: rows, and the cases and labelled levels they come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.wire.levels import LEVELS, parse_level
from hideseek_lab.manifest.table import Table, read_table, write_table

COLUMNS = (
    "patient", "case", "date", "ct", "vertebrae", "bodies", "scheme", "level", "label", "lesions",
    "split", "reader", "source",
)  # fmt: skip
PATHS = ("ct", "vertebrae", "bodies", "lesions")
LABELS = ("healthy", "malignant", "lytic", "blastic", "mixed", "unknown", "fracture", "exclude")
LEFT_OUT = ("fracture", "exclude")
"""Labels of vertebrae that are not trained on; the method is not for them."""
SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {"": "train", "training": "train", "val": "validation", "valid": "validation",
                "testing": "test"}  # fmt: skip
MAX_SHOWN = 8


@dataclass(frozen=True)
class Row:
    """One row: a vertebra, or with level "" every vertebra of a case that has no row of its own.

    ct, vertebrae, bodies, lesions: paths as text, absolute once read; "" where there is none.
    scheme: numbering of the masks, as --labels takes it. number: line in the file.
    """

    patient: str
    case: str
    ct: str
    vertebrae: str = ""
    bodies: str = ""
    scheme: str = ""
    level: str = ""
    label: str = "unknown"
    lesions: str = ""
    split: str = "train"
    date: str = ""
    reader: str = ""
    source: str = ""
    number: int = 0


@dataclass(frozen=True)
class Case:
    """One scan: its files, its split, and what is said of its levels.

    labels: level -> label of the rows that name one. otherwise: the label of every other level of
    the masks; None where only named levels are meant.
    """

    patient: str
    name: str
    ct: Path
    vertebrae: Path | None
    bodies: Path | None
    scheme: str
    lesions: Path | None
    split: str
    source: str
    labels: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None

    def label_of(self, level: str) -> str | None:
        """The label of a level, None where the manifest does not mean it."""
        return self.labels.get(level, self.otherwise)


@dataclass(frozen=True)
class Manifest:
    """Cases in the order of the file. ignored: columns that mean nothing here."""

    cases: tuple[Case, ...]
    ignored: tuple[str, ...] = ()

    def of(self, split: str) -> tuple[Case, ...]:
        """The cases of one split."""
        return tuple(case for case in self.cases if case.split == split)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; paths are relative to the file.

    Raises InputError that lists every row with something wrong, and what: unknown labels, levels or
    splits, missing files, a level twice, a patient in two splits.
    """
    table = read_table(path)
    problems: list[str] = []
    missing = [name for name in ("patient", "ct") if name not in _names(table)]
    if missing:
        raise InputError(
            f"Expected the columns patient and ct in {table.name}, got {', '.join(table.columns)}.",
            f"The columns of a manifest are {', '.join(COLUMNS)}.",
        )
    rows = [_row(n, cells, path.parent, problems) for n, cells in table.rows]
    cases = _cases(rows, problems)
    if problems:
        shown = " ".join(problems[:MAX_SHOWN])
        more = f" … and {len(problems) - MAX_SHOWN} more." if len(problems) > MAX_SHOWN else ""
        raise InputError(f"{table.name}: {shown}{more}", "Correct the rows and try again.")
    ignored = tuple(c for c in table.columns if c and c.lower() not in COLUMNS)
    return Manifest(cases, ignored)


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a manifest; paths below the file's folder become relative to it."""
    home = path.expanduser().absolute().parent

    def cells(row: Row) -> dict[str, str]:
        values = {f.name: str(getattr(row, f.name)) for f in fields(Row)}
        for name in PATHS:
            where = Path(values[name]).absolute() if values[name] else None
            if where is not None:
                inside = where.is_relative_to(home)
                values[name] = str(where.relative_to(home)) if inside else str(where)
        return values

    write_table(path, COLUMNS, map(cells, rows))


def _names(table: Table) -> set[str]:
    return {column.lower() for column in table.columns}


def _row(number: int, cells: Mapping[str, str], home: Path, problems: list[str]) -> Row:
    values = {key.lower(): value for key, value in cells.items()}
    text = {name: values.get(name, "") for name in COLUMNS}

    def wrong(what: str) -> None:
        problems.append(f"Row {number}: {what}.")

    for name in ("patient", "ct"):
        if not text[name]:
            wrong(f"no {name}")
    for name in PATHS:
        if text[name]:
            text[name] = str((home / Path(text[name]).expanduser()).absolute())
            if not Path(text[name]).exists():
                wrong(f"{name} is not at {text[name]}")
    text["case"] = text["case"] or text["patient"]
    if Path(text["case"]).name != text["case"] or text["case"] in (".", ".."):
        wrong(f"case '{text['case']}' cannot name a folder")
    if text["level"]:
        level = parse_level(text["level"])
        if level is None:
            wrong(f"level '{text['level']}' is none of {LEVELS[0]} to {LEVELS[-1]}")
        text["level"] = level or ""
    text["label"] = text["label"].lower() or "unknown"
    if text["label"] not in LABELS:
        wrong(f"label '{text['label']}' is none of {', '.join(LABELS)}")
    split = text["split"].lower()
    text["split"] = _SPLIT_WORDS.get(split, split)
    if text["split"] not in SPLITS:
        wrong(f"split '{split}' is none of {', '.join(SPLITS)}")
    return Row(**text, number=number)


def _cases(rows: Iterable[Row], problems: list[str]) -> tuple[Case, ...]:
    by_case: dict[tuple[str, str], list[Row]] = {}
    names: dict[str, Row] = {}
    splits: dict[str, Row] = {}
    for row in rows:
        by_case.setdefault((row.patient, row.case), []).append(row)
        other = names.setdefault(row.case, row)
        if other.patient != row.patient:
            problems.append(
                f"Row {row.number}: case '{row.case}' is of another patient in row {other.number}."
            )
        before = splits.setdefault(row.patient, row)
        if before.split != row.split:
            problems.append(
                f"Row {row.number}: patient '{row.patient}' is in split {row.split}, and in "
                f"{before.split} in row {before.number}; a patient belongs to one split."
            )
    return tuple(_case(own, problems) for own in by_case.values())


def _case(own: list[Row], problems: list[str]) -> Case:
    first = own[0]
    labels: dict[str, str] = {}
    otherwise: str | None = None
    for row in own:
        for name in ("ct", "vertebrae", "bodies", "scheme"):
            if getattr(row, name) != getattr(first, name):
                problems.append(
                    f"Row {row.number}: another {name} than row {first.number} of the same case."
                )
        if row.level in labels or (not row.level and otherwise is not None):
            problems.append(
                f"Row {row.number}: {row.level or 'the whole case'} of '{row.case}' a second time."
            )
        if row.level:
            labels[row.level] = row.label
        else:
            otherwise = row.label

    def path(text: str) -> Path | None:
        return Path(text) if text else None

    lesions = next((row.lesions for row in own if row.lesions), "")
    return Case(
        first.patient, first.case, Path(first.ct), path(first.vertebrae), path(first.bodies),
        first.scheme, path(lesions), first.split, first.source, labels, otherwise,
    )  # fmt: skip

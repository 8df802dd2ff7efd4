"""Every finding of a reading as a row that training reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hideseek_backend.errors import InputError
from hideseek_backend.wire import worklist
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.worklist import Reading
from hideseek_lab.manifest.rows import Row


def manifest_rows(
    folder: Path, readings: Sequence[Reading], patients: Mapping[str, str]
) -> list[Row]:
    """Return one row a vertebra, where all readers agree; each with who said it.

    With the tool first, for a reader saw more there. patients: case -> patient; a case that is not
    in it counts as a patient of its own. Vertebrae on which readings differ are left out.
    Raises InputError for a case whose files are gone.
    """
    said: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for r in sorted(readings, key=lambda r: r.arm != "with"):
        for level, label in r.labels:
            said.setdefault((r.case, level), []).append((label, r.reader))
    rows = []
    for (case, level), votes in sorted(said.items()):
        if len({label for label, _reader in votes}) > 1:
            continue
        try:
            ct, mask = worklist.case_files(folder, case)
        except WireError as error:
            raise InputError(f"{error}.", "Restore the case's folder.") from error
        readers = " ".join(dict.fromkeys(reader for _label, reader in votes))
        rows.append(
            Row(patients.get(case, case), case, str(ct), str(mask), level=level,
                label=votes[0][0], reader=readers, source="worklist")
        )  # fmt: skip
    return rows

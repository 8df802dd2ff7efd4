"""Download a collection of the Imaging Data Commons, series by series, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hideseek_backend.errors import InputError, OutputError
from hideseek_backend.optional import import_optional
from hideseek_backend.volumes.writing import check_writable

SPINE_METS = "spine_mets_ct_seg"
_EXTRA = "pip install 'hideseek-backend[data]'"
_TEMPLATE = "%PatientID/%StudyInstanceUID/%Modality_%SeriesInstanceUID"


@dataclass(frozen=True)
class Series:
    """One series of the index. folder: below the download's, where its files come to."""

    uid: str
    patient: str
    modality: str
    files: int
    megabytes: float
    licence: str
    folder: str

    def complete(self, root: Path) -> bool:
        """Whether every file of it lies there."""
        return sum(p.suffix == ".dcm" for p in (root / self.folder).glob("*")) >= self.files


def list_series(client: Any, collection: str, patients: Sequence[str] = ()) -> list[Series]:
    """The series of a collection in the installed index; no network is needed.

    Raises InputError for a patient or a collection that is not in it.
    """
    table = client.index[client.index.collection_id == collection]
    unknown = sorted(set(patients) - set(table.PatientID))
    if unknown or not len(table):
        raise InputError(
            f"Expected patients of {collection}, got {', '.join(unknown) or 'nothing'}.",
            "Update idc-index, or leave --patient out.",
        )
    if patients:
        table = table[table.PatientID.isin(patients)]
    return [
        Series(
            row.SeriesInstanceUID, row.PatientID, row.Modality, int(row.instanceCount),
            float(row.series_size_MB), row.license_short_name,
            f"{row.PatientID}/{row.StudyInstanceUID}/{row.Modality}_{row.SeriesInstanceUID}",
        )
        for row in table.sort_values(["PatientID", "Modality"]).itertuples()
    ]  # fmt: skip


def open_client(endpoint: str = "") -> Any:
    """Open the index. endpoint: address of a mirror of the public bucket, its own by default.

    Raises MissingDependencyError without idc-index.
    """
    index: Any = import_optional(
        "idc_index.index", "Downloading from the Imaging Data Commons", _EXTRA
    )
    if endpoint:
        index.aws_endpoint_url = endpoint
    return index.IDCClient.client()


def download(
    client: Any, series: Sequence[Series], root: Path, report: Callable[[str], None]
) -> None:
    """Fetch what is not there yet, one series after the other.

    Raises OutputError where the disk has no room or a series did not come whole; what has come
    stays, and the next call goes on from there.
    """
    missing = [one for one in series if not one.complete(root)]
    check_writable(root, int(sum(one.megabytes for one in missing) * 1e6))
    for number, one in enumerate(missing, 1):
        report(f"{number} of {len(missing)}: {one.patient} {one.modality}, {one.megabytes:.0f} MB")
        client.download_dicom_series(
            one.uid, str(root), quiet=True, show_progress_bar=False, use_s5cmd_sync=True,
            dirTemplate=_TEMPLATE,
        )  # fmt: skip
        if not one.complete(root):
            raise OutputError(
                f"{one.patient} {one.modality} did not come whole from the public bucket.",
                "Check the network (HTTPS_PROXY behind a proxy) and run the command again: it "
                "goes on from here.",
            )

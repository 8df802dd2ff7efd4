"""`hideseek dicom make`: a phantom's CT as a DICOM series, to try things with."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.report.output import OutputFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dicom make`."""
    parser.add_argument("ct", metavar="CT", type=Path, help="CT: NIfTI, NRRD or MHA")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder in use")


def main(args: argparse.Namespace) -> int:
    """Write the series, in the name of a patient that does not exist.

    Raises HideSeekError for a CT or a folder that cannot be used.
    """
    from hideseek_backend.dicom.ct_series import write_ct_series
    from hideseek_backend.volumes.reading import read_ct

    with OutputFolder(args.out, overwrite=args.overwrite) as folder:
        ct, _ = read_ct(args.ct)
        files = write_ct_series(ct, folder.staging)
    print(f"{args.out}: {len(files)} slices, patient HIDESEEK-PHANTOM, accession HIDESEEK1")
    return 0

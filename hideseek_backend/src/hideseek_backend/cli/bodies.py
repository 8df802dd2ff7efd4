"""`hideseek bodies`: approximate body masks from one point each, where there is no segmentation."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli import values


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `bodies`."""
    parser.add_argument(
        "ct", metavar="CT", type=Path, help="CT: NIfTI, NRRD, MHA, or the folder of a DICOM series"
    )
    parser.add_argument(
        "--at",
        type=values.point,
        action="append",
        required=True,
        metavar="T12=R,A,S",
        help="a level and a point well inside its body, RAS in mm (once for each level)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.nii.gz",
        help="label map to write, in VerSe's numbers; serves as VERTEBRAE and as --bodies",
    )


def main(args: argparse.Namespace) -> int:
    """Fit the bodies, write the label map and say how large they are.

    Raises HideSeekError for a CT, a point or an output that cannot be used.
    """
    import numpy as np

    from hideseek_backend.volumes.click import body_map
    from hideseek_backend.volumes.reading import read_ct
    from hideseek_backend.volumes.writing import check_writable, write_nifti
    from hideseek_backend.wire.levels import VERSE_VALUES

    check_writable(args.out.parent)
    ct, _ = read_ct(args.ct)
    bodies = body_map(ct, dict(args.at))
    write_nifti(bodies, args.out)
    for level, _ in args.at:
        volume = np.count_nonzero(bodies.data == VERSE_VALUES[level]) * np.prod(ct.spacing)
        print(f"{level}  {volume / 1000:.1f} mL")
    print(
        f"\n{args.out}: approximate bodies; look at them before use.\n"
        f"Next: hideseek segment {args.ct} {args.out} --bodies {args.out} --labels verse --out DIR"
    )
    return 0

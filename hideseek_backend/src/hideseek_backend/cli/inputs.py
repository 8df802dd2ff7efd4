"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli import values

if TYPE_CHECKING:
    from hideseek_backend.attribution.options import Options


def add_case(parser: argparse.ArgumentParser) -> None:
    """Add the CT, its masks, and where results go."""
    parser.add_argument(
        "ct",
        metavar="CT",
        type=Path,
        help="CT: NIfTI, NRRD, MHA, or a DICOM study",
    )
    parser.add_argument(
        "vertebrae", metavar="VERTEBRAE", type=Path, help="label map of the vertebrae"
    )
    parser.add_argument(
        "--series",
        metavar="UID|N",
        help="series of a DICOM study: its uid, or its number in `hideseek dicom list` "
        "(default: the thinnest with a bone kernel)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="results folder")
    parser.add_argument(
        "--bodies",
        type=Path,
        metavar="FILE",
        help="mask of the vertebral bodies; without it they are split off by geometry",
    )
    parser.add_argument(
        "--labels",
        metavar="SCHEME",
        help="verse, totalsegmentator, totalsegmentator-v1, or a JSON file {level: value}; "
        "needed where names do not tell",
    )
    parser.add_argument(
        "--levels",
        type=values.levels,
        metavar="T12,L1",
        help="only these levels; or T10-L2",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="write into a folder that holds other files, or results edited since",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the choice of model and device."""
    parser.add_argument(
        "--model", default="bundled", metavar="NAME", help="model name or folder (default: bundled)"
    )
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="auto takes a GPU if there is one (default)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add the method's settings; those not given follow the protocol."""
    group = parser.add_argument_group(
        "method", "What is not given follows the protocol, and for fast the model's own defaults."
    )
    add = group.add_argument
    add(
        "--protocol",
        choices=("fast", "reference"),
        default="fast",
        help="fast (default), or the paper's settings",
    )
    add(
        "--polarity",
        choices=("auto", "lytic", "blastic", "both"),
        help="which lesions are looked for",
    )
    add(
        "--slices",
        choices=("central", "all"),
        help="the central sagittal slice as in the paper, or all that cross the body, for volumes",
    )
    add(
        "--force",
        action="store_const",
        const=True,
        help="analyse vertebrae below p = 0.5 or cut by the field of view as well",
    )
    add("--tau", type=values.number(-10, 10), metavar="T", help="least Δ of a kept candidate")
    add(
        "--p-target",
        type=values.number(0, 1, open_low=True, open_high=True),
        metavar="P",
        help="probability that the healthy edit aims at",
    )
    add(
        "--direction",
        choices=("normal", "pattern", "posterior"),
        help="of the healthy edit, in the latent",
    )
    add(
        "--binarize",
        choices=("mean", "median", "hysteresis"),
        help="threshold of the residual",
    )
    add("--residual-against", choices=("image", "reconstruction"), help="what is subtracted")
    add("--projection", choices=("none", "same-noise"))
    add("--erode", type=values.whole(0, 10), metavar="N", help="voxels taken off the body's edge")
    add("--min-area", type=values.whole(1, 4096), metavar="PX", help="least area of a candidate")
    add("--invert-steps", type=values.whole(1, 1000), metavar="N")
    add("--render-steps", type=values.whole(1, 1000), metavar="N")
    add(
        "--set",
        type=values.setting,
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="any other setting of the method, as peak_fraction=0.3 (may be repeated)",
    )


METHOD_FIELDS = (
    "polarity",
    "slices",
    "force",
    "tau",
    "p_target",
    "direction",
    "binarize",
    "residual_against",
    "projection",
    "erode",
    "min_area",
    "invert_steps",
    "render_steps",
)


def method_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line gave, by name."""
    given = {name: getattr(args, name) for name in METHOD_FIELDS}
    return {k: v for k, v in given.items() if v is not None} | dict(args.settings)


def options_from(args: argparse.Namespace, defaults: dict[str, Any] | None) -> Options:
    """Return the run's options from the protocol, the model's defaults and the command line.

    Raises OptionError naming the setting, its range and what was got.
    """
    from hideseek_backend.attribution.options import Options

    return Options.for_protocol(args.protocol, defaults, **method_overrides(args))


def ct_of(args: argparse.Namespace) -> Any:
    """Return the CT that the command line names: a path, or the series asked for as a Volume.

    Raises InputError or GeometryError for a series that cannot be read.
    """
    if args.series is None:
        return args.ct
    from hideseek_backend.dicom import read_study

    study = read_study(args.ct, args.series)
    for warning in study.warnings:
        sys.stderr.write(f"note: {warning}\n")
    return study.volume

"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.report.output import OutputFolder, writing
from hideseek_backend.wire.words import DEVICES

if TYPE_CHECKING:
    from hideseek_backend.attribution.options import Options
    from hideseek_backend.case import CaseResult


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
        type=values.device,
        metavar="NAME",
        help=f"{', '.join(DEVICES)} or cuda:N; auto takes a GPU if there is one (default)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add the method's settings; those not given follow the protocol."""
    group = parser.add_argument_group(
        "method", "What is not given follows the protocol, and for fast the model's own defaults."
    )
    from hideseek_backend.attribution.options import Options

    fields = {field.name: field.metadata for field in dataclasses.fields(Options)}
    protocols = fields["protocol"]["choices"]
    group.add_argument(
        "--protocol",
        choices=protocols,
        default=protocols[0],
        help="fast (default), or the paper's settings",
    )
    for name, text in METHOD_FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", help=text, **_as_argument(fields[name]))
    group.add_argument(
        "--set",
        type=values.setting,
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="any other setting of the method, as peak_fraction=0.3 (may be repeated)",
    )


METHOD_FLAGS = {
    "polarity": "which lesions are looked for",
    "slices": "the central sagittal slice as in the paper, or all that cross the body, for volumes",
    "force": "analyse vertebrae below p = 0.5 or cut by the field of view as well",
    "tau": "least Δ of a kept candidate",
    "p_target": "probability that the healthy edit aims at",
    "direction": "of the healthy edit, in the latent",
    "binarize": "threshold of the residual",
    "residual_against": "what is subtracted from the healthy image",
    "projection": "what happens to a composite before it is scored",
    "erode": "voxels taken off the body's edge",
    "min_area": "least area of a candidate, in pixels of 0.64 mm²",
    "invert_steps": "steps of the inversion",
    "render_steps": "steps of the rendering",
}
"""Options that have a flag of their own; their ranges and choices are the options' own."""


def _as_argument(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What argparse is told of an option: its choices, its range, or that it is a switch."""
    if "choices" in metadata:
        return {"choices": metadata["choices"]}
    if metadata["kind"] is bool:
        return {"action": "store_const", "const": True}
    of_kind = values.whole if metadata["kind"] is int else values.number
    return {"type": of_kind(*metadata["range"]), "metavar": "N"}


def method_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that the command line gave, by name."""
    given = {name: getattr(args, name) for name in METHOD_FLAGS}
    return {k: v for k, v in given.items() if v is not None} | dict(args.settings)


def options_from(args: argparse.Namespace, defaults: dict[str, Any] | None) -> Options:
    """Return the run's options from the protocol, the model's defaults and the command line.

    Raises OptionError naming the setting, its range and what was got.
    """
    from hideseek_backend.attribution.options import Options

    return Options.for_protocol(args.protocol, defaults, **method_overrides(args))


def run_case(
    args: argparse.Namespace,
    work: Callable[[], tuple[Callable[..., CaseResult], Callable[[CaseResult, Path], Any]]],
    *given: Any,
    **more: Any,
) -> CaseResult:
    """Carry out a job on the case that the command line names and write its results folder.

    work: imports and returns what makes the result and what writes it into a folder. given, more:
    the job's own arguments, beside those that all have.
    Raises HideSeekError for input, model, device or output that cannot be used.
    """
    # The folder is checked and reserved before minutes of work are spent.
    with (
        OutputFolder(args.out, overwrite=args.overwrite) as folder,
        ProgressBar(quiet=args.quiet) as progress,
    ):
        from hideseek_backend.models.store import load_model

        make, write = work()
        model = load_model(args.model, device=args.device)
        result = make(
            args.ct,
            args.vertebrae,
            *given,
            bodies=args.bodies,
            labels=args.labels,
            levels=args.levels,
            series=args.series,
            model=model,
            options=options_from(args, model.spec.defaults),
            progress=progress,
            **more,
        )
        with writing(folder.target):
            write(result, folder.staging)
    return result

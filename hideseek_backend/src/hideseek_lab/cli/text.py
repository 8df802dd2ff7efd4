"""`hideseek text`: sentences for the report from what a reader accepted."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `text`."""
    from hideseek_backend.report.sentences import LANGUAGES

    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, nargs="?", help="results of `hideseek segment`")
    add("--decisions", type=Path, metavar="FILE", help="a reader's: candidates.csv or JSON")
    add("--follow-up", type=Path, metavar="DIR", help="of `hideseek follow-up` on this result")
    add("--language", choices=LANGUAGES, default="en", help="default en")
    add("--template", type=Path, metavar="FILE", help="a template of your own (jinja2)")
    add("--show-template", action="store_true", help="print the package's, to be changed")


def main(args: argparse.Namespace) -> int:
    """Print the sentences.

    Raises HideSeekError for a result, follow-up or template that cannot be used.
    """
    from hideseek_backend.dicom.lesions import read_decisions
    from hideseek_backend.errors import InputError
    from hideseek_backend.report.case_store import read_stored
    from hideseek_backend.report.sentences import own_template, report_text
    from hideseek_lab.dates.results import read_follow_up

    if args.show_template:
        print(own_template(args.language), end="")
        return 0
    if args.result is None:
        raise InputError("Expected a results folder.", "hideseek text RESULT")
    case = read_stored(args.result)
    decided = read_decisions(args.decisions) if args.decisions else {}
    vertebrae = [
        replace(v, candidates=tuple(
            replace(c, decision=decided.get(c.key, c.decision)) for c in v.candidates  # type: ignore[arg-type]
        ))
        for v in case.vertebrae
    ]  # fmt: skip
    text = report_text(
        vertebrae,
        language=args.language,
        template=_read(args.template) if args.template else None,
        told=read_follow_up(args.follow_up, args.result) if args.follow_up else None,
        volumes=case.options.get("slices") != "central",
    )
    print(text or "No candidate was accepted by a reader: there is nothing to report.")
    sys.stderr.write("Research use only: check every sentence against the images.\n")
    return 0


def _read(path: Path) -> str:
    """Read a template file. Raises InputError where it is no text."""
    from hideseek_backend.errors import InputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"Expected a text file as template, got {path.name}.", "Save it as UTF-8 text."
        ) from error

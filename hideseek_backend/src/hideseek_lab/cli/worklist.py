"""`hideseek worklist`: a folder of cases, who reads what, and how far it is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `worklist`."""
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path, help="one folder a case: ct.nii.gz, vertebrae.nii.gz")
    add("--reader", metavar="NAME", help="whose list (default: everybody's of the plan)")
    add(
        "--plan", nargs="+", metavar="READER",
        help="draw a blinded order for these readers: every case with and without the tool",
    )  # fmt: skip
    add("--seed", type=int, default=1, metavar="N", help="of the drawn order, kept (default 1)")


def main(args: argparse.Namespace) -> int:
    """Print the list; with --plan write it first.

    Raises InputError for a folder without cases, a plan that exists, or an unknown reader.
    """
    from hideseek_backend.errors import InputError
    from hideseek_backend.files import whole_file
    from hideseek_backend.report.tables import text_table
    from hideseek_backend.wire import worklist
    from hideseek_backend.wire.errors import WireError
    from hideseek_lab.readers.plan import make_plan

    try:
        names = worklist.cases(args.folder)
        plan = worklist.read_plan(args.folder)
        if args.plan:
            if plan is not None:
                raise WireError(f"expected a folder without {worklist.PLAN}: readings follow it")
            if not names:
                raise WireError("expected folders of cases, got none")
            plan = make_plan(names, args.plan, args.seed)
            with whole_file(args.folder / worklist.PLAN) as part:
                part.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
        readers = [args.reader] if args.reader else list(plan["readers"]) if plan else ["reader"]
        for reader in readers:
            todo = worklist.tasks(args.folder, reader)
            rows = [
                {"case": t.case, "tool": t.arm, "state": t.state, "seconds": f"{t.seconds:.0f}"}
                for t in todo
            ]
            done = sum(t.state == "done" for t in todo)
            print(f"{reader}: {done} of {len(todo)} done")
            print(text_table(("case", "tool", "state", "seconds"), rows) + "\n")
    except WireError as error:
        raise InputError(f"The worklist cannot be used: {error}.", "Correct the folder.") from error
    return 0

"""The verb `hideseek benchmark outside`: does a model say what it has not seen?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress
from hideseek_backend.wire.codec import json_text
from hideseek_backend.wire.words import DEVICES
from hideseek_lab.scoring.output import write_into

DESCRIPTION = (
    "Screen real vertebrae that show no known metastasis, as they are and with what no training "
    "showed (screws, cement, thick slices, motion, noise, magnetic resonance), and count how often "
    "p is said not to be trusted."
)
UNTOUCHED = "untouched"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments to its parser."""
    parser.description = DESCRIPTION
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="PATH")
    parser.add_argument("--model", default="bundled", metavar="NAME_OR_DIR")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb; returns the exit status."""
    import numpy as np

    from hideseek_backend.attribution.options import Options
    from hideseek_backend.attribution.vertebra import screen_vertebrae
    from hideseek_backend.models.store import load_model
    from hideseek_backend.wire.heights import with_fractures
    from hideseek_backend.wire.words import FRACTURED, UNSEEN
    from hideseek_lab.insertion.foreign import FOREIGN
    from hideseek_lab.training.real import with_hu
    from hideseek_lab.training.real_cases import read_cases

    model = load_model(args.model, args.device)
    options = Options.for_protocol("fast", model.spec.defaults)
    real = model.spec.training.get("real", {})
    held = {e["patient"] for e in real.get("held_out", ())} if isinstance(real, dict) else set()
    cases = read_cases(args.data)
    rows = []
    with ProgressBar() as bar:
        for done, case in enumerate(cases):
            bar(Progress("real vertebrae", case.name, done, len(cases)))
            blocks = case.blocks()
            split = "held out" if case.patient in held else "trained on"
            told = with_fractures(screen_vertebrae(model, blocks, options), options.fracture_loss)
            for v in told:
                rows.append((case.name, case.patient, split, v.level, UNTOUCHED, v.outside))
            # One vertebra of each scan stands for it.
            rng = np.random.default_rng([sum(case.name.encode()), 17])
            chosen = blocks[len(blocks) // 2]
            for kind, make in FOREIGN.items():
                (v,) = screen_vertebrae(model, [with_hu(chosen, make(chosen, rng))], options)
                rows.append((case.name, case.patient, split, v.level, kind, v.outside))
    lines = []
    for kind in (UNTOUCHED, *FOREIGN):
        for split in ("held out", "trained on"):
            own = [row for row in rows if row[4] == kind and row[2] == split]
            if not own:
                continue
            unseen = sum(UNSEEN in row[5] for row in own)
            text = f"{kind:<20} {split:<11} {unseen} of {len(own)} outside what the model has seen"
            if kind == UNTOUCHED:
                broken = [f"{row[0]} {row[3]}" for row in own if FRACTURED in row[5]]
                text += f"; {len(broken)} fractured"
                text += f" ({', '.join(broken)})" if broken else ""
            lines.append(text)
    sys.stdout.write("\n".join(lines) + "\n")
    if args.json is not None:
        names = ("case", "patient", "split", "level", "kind", "outside")
        content = {"model": model.hash, "rows": [dict(zip(names, r, strict=True)) for r in rows]}
        write_into(args.json.parent, {args.json.name: json_text(content)})
    return 0

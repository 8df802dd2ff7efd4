"""`hideseek models list`: the models at hand."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none."""


def main(args: argparse.Namespace) -> int:
    """Print each model's name, size, kind, licence and folder, or why it cannot be read."""
    from hideseek_backend.models.places import WEIGHTS_FILE, models_folder
    from hideseek_backend.models.store import list_models
    from hideseek_backend.report.tables import text_table

    rows = []
    for listing in list_models():
        weights = listing.folder / WEIGHTS_FILE
        size = f"{weights.stat().st_size / 1e6:.1f}" if weights.is_file() else ""
        spec = listing.spec
        rows.append(
            {
                "name": listing.name,
                "MB": size,
                "kind": spec.architecture.parametrization if spec else "",
                "licence": spec.licence if spec else "",
                "problem": listing.problem,
                "folder": str(listing.folder),
            }
        )
    columns = ["name", "MB", "kind", "licence", "folder"]
    if any(row["problem"] for row in rows):
        columns.insert(4, "problem")
    print(text_table(columns, rows) if rows else "No models at hand.")
    print(f"\nInstalled models lie in {models_folder()} (HIDESEEK_MODELS changes it).")
    return 0

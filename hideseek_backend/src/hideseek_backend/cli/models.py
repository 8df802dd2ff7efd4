"""What `models` does: list, verify, install, add and import them."""

from __future__ import annotations

import argparse
from pathlib import Path

from hideseek_backend.cli.progress import ProgressBar
from hideseek_backend.progress import Progress


class List:
    """`hideseek models list`: the models at hand."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the arguments: none."""

    @staticmethod
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


class Verify:
    """`hideseek models verify`: is a model what its spec says, to the last bit?"""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the model to verify."""
        parser.add_argument(
            "model", metavar="MODEL", nargs="?", default="bundled", help="name or folder (bundled)"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        """Check the hashes, load every weight, and print what results will record.

        Raises ModelError saying which part is missing or altered.
        """
        from hideseek_backend.models.store import load_model

        model = load_model(args.model, device="cpu")
        parameters = sum(p.numel() for p in model.dae.parameters())
        print(f"{model.spec.name}: whole, {parameters / 1e6:.1f} M parameters")
        print(f"hash {model.hash}")
        return 0


class Install:
    """`hideseek models install`: published weights from their authors' public places."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the model and how it is fetched and stored."""
        parser.add_argument(
            "name", metavar="NAME", nargs="?", default="dae-verts", help="dae-verts"
        )
        parser.add_argument(
            "--mirror", metavar="URL", help="fetch the files from here: URL/ and the file's name"
        )
        parser.add_argument(
            "--half", action="store_true", help="store float16 weights: half the size"
        )
        parser.add_argument(
            "--replace", action="store_true", help="fetch it again if it is installed"
        )
        parser.add_argument(
            "--sha256",
            default="",
            metavar="HEX",
            help="what the checkpoint must be (default: as it was installed before, if it was)",
        )
        parser.add_argument("--quiet", action="store_true", help="no progress")

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        """Download, import and verify the model; a stopped download goes on where it was.

        Raises ModelError naming the address and what to do by hand or offline.
        """
        from hideseek_backend.models.install import install, mirrored

        with ProgressBar(quiet=args.quiet) as bar:

            def show(name: str, done: int, total: int | None) -> None:
                bar(Progress(name, None, done, total or 0))

            spec, folder = install(
                args.name,
                half=args.half,
                files=mirrored(args.mirror) if args.mirror else None,
                progress=show,
                replace_installed=args.replace,
                sha256=args.sha256,
            )
        print(f"{spec.name} is installed in {folder} ({spec.weights_dtype})")
        print(f"Use it with --model {spec.name}")
        return 0


class Add:
    """`hideseek models add`: install a model from a local folder or file."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare where the model lies."""
        parser.add_argument(
            "path", metavar="PATH", type=Path, help="model folder, a file in it, or a .zip of it"
        )
        parser.add_argument(
            "--replace", action="store_true", help="replace an installed model of the same name"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        """Verify a model by its hashes, copy it to this user's models, print its name and hash.

        Raises ModelError when it was altered, OutputError when it cannot be put in its place.
        """
        from hideseek_backend.models.local import add_model

        name, digest, folder = add_model(args.path.expanduser(), replace=args.replace)
        print(f"folder {folder}")
        print(f"hash {digest}")
        print(f"name {name}")
        return 0


class ImportReference:
    """`hideseek models import-reference`: the authors' released files as a model folder."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the three files and where the model goes."""
        add = parser.add_argument
        add(
            "--dae",
            type=Path,
            required=True,
            metavar="FILE",
            help="checkpoint, last.ckpt",
        )
        add("--classifier", type=Path, required=True, metavar="FILE", help="classifier_lr.pkl")
        add("--scaler", type=Path, required=True, metavar="FILE", help="scaler.pkl")
        add("--out", type=Path, required=True, metavar="DIR", help="model folder to write")
        add("--name", help="name of the model (default: dae-verts)")
        add("--half", action="store_true", help="store the weights as float16: half the size")

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        """Import the files, executing nothing in them, and print what was found.

        Raises ModelError for files of another kind, OutputError when the folder cannot be written.
        """
        from hideseek_backend.models.reference_import import DAE_VERTS, import_reference

        spec = import_reference(
            args.dae,
            args.classifier,
            args.scaler,
            args.out,
            half=args.half,
            name=args.name or DAE_VERTS,
        )
        size = spec.training.get("parameters")
        millions = f", {size / 1e6:.1f} M parameters" if isinstance(size, int) else ""
        print(f"{args.out}: {spec.name}{millions}, {spec.weights_dtype}")
        print(f"Use it with --model {args.out}")
        return 0

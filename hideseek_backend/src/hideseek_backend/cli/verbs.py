"""The verbs of the command: what each does, where it lives, and an example."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, cast


class Command(Protocol):
    """A module that carries out a verb."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    def main(self, args: argparse.Namespace) -> int | None:
        """Carry the verb out; return the exit status, None for success."""


@dataclass(frozen=True)
class Verb:
    """One verb, loaded only when it is called.

    module: the Command, "package.module" or "package.module:Class"; "" for a verb with sub-verbs.
    """

    help: str
    module: str
    example: str
    parts: tuple[tuple[str, Verb], ...] = ()

    def load(self) -> Command:
        """Import the verb's module."""
        name, _, member = self.module.partition(":")
        module = importlib.import_module(name)
        return cast(Command, getattr(module, member) if member else module)


_OWN: dict[str, Verb] = {
    "segment": Verb(
        "find lytic and blastic lesions in a CT with vertebra masks",
        "hideseek_backend.cli.segment",
        "hideseek segment ct.nii.gz vertebrae.nii.gz --out results --slices all",
    ),
    "screen": Verb(
        "give every vertebra's probability of malignancy, in seconds",
        "hideseek_backend.cli.screen",
        "hideseek screen ct.nii.gz vertebrae.nii.gz --out results",
    ),
    "review": Verb(
        "review a case in the browser: screen, analyse, accept, reject, export",
        "hideseek_backend.cli.review",
        "hideseek review ct.nii.gz vertebrae.nii.gz --labels verse",
    ),
    "score": Verb(
        "say how much of a vertebra's suspicion each region of a mask explains",
        "hideseek_backend.cli.score",
        "hideseek score ct.nii.gz vertebrae.nii.gz --candidates drawn.nii.gz --out results",
    ),
    "bodies": Verb(
        "fit approximate vertebral bodies at given points, where there is no segmentation",
        "hideseek_backend.cli.bodies",
        "hideseek bodies ct.nii.gz --at T12=-3.5,40,-812 --out bodies.nii.gz",
    ),
    "dicom": Verb(
        "read DICOM studies, write results as DICOM",
        "",
        "hideseek dicom list STUDY",
        (
            (
                "list",
                Verb(
                    "show the series of a study and which can be analysed",
                    "hideseek_backend.cli.dicom_list",
                    "hideseek dicom list STUDY",
                ),
            ),
            (
                "export",
                Verb(
                    "write a result as DICOM: segmentation, structured report, key images",
                    "hideseek_backend.cli.dicom_export",
                    "hideseek dicom export results --study STUDY --out objects",
                ),
            ),
            (
                "make",
                Verb(
                    "write a phantom's CT as a DICOM series",
                    "hideseek_backend.cli.dicom_make",
                    "hideseek dicom make phantom/ct.nii.gz --out study",
                ),
            ),
        ),
    ),
    "phantom": Verb(
        "make a CT of a spine with known lesions and benign look-alikes",
        "hideseek_backend.cli.phantom",
        "hideseek phantom --out phantom --seed 7",
    ),
    "models": Verb(
        "list, install, import and verify models",
        "",
        "hideseek models list",
        (
            (
                "list",
                Verb(
                    "show the models at hand",
                    "hideseek_backend.cli.models:List",
                    "hideseek models list",
                ),
            ),
            (
                "verify",
                Verb(
                    "check a model folder against its hashes",
                    "hideseek_backend.cli.models:Verify",
                    "hideseek models verify bundled",
                ),
            ),
            (
                "install",
                Verb(
                    "download a published model from its authors' public places",
                    "hideseek_backend.cli.models:Install",
                    "hideseek models install dae-verts",
                ),
            ),
            (
                "add",
                Verb(
                    "install a model from a local folder or file, verified by its hash",
                    "hideseek_backend.cli.models:Add",
                    "hideseek models add model.zip",
                ),
            ),
            (
                "import-reference",
                Verb(
                    "turn the authors' checkpoint, classifier and scaler into a model folder",
                    "hideseek_backend.cli.models:ImportReference",
                    "hideseek models import-reference --dae last.ckpt "
                    "--classifier classifier_lr.pkl --scaler scaler.pkl --out dae-verts",
                ),
            ),
        ),
    ),
    "worker": Verb(
        "run the backend as a process that speaks JSON lines (for 3D Slicer)",
        "hideseek_backend.cli.worker_verb",
        "ssh workstation hideseek worker",
    ),
}


@lru_cache(maxsize=1)
def verbs() -> dict[str, Verb]:
    """Every verb by name: ours, and the researchers' where they are; Slicer's copy has none."""
    found = dict(_OWN)
    try:
        lab = importlib.import_module("hideseek_lab.cli.verbs")
    except ImportError:
        return found
    for name, verb in lab.VERBS.items():
        known = found.get(name)
        found[name] = replace(known, parts=(*known.parts, *verb.parts)) if known else verb
    return found

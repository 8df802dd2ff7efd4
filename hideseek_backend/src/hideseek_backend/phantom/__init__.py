"""Synthetic spine CT with known lesions: anatomy, metastases, benign look-alikes and a scanner."""

from .blocks import PHENOTYPES, PhantomBlock, make_block
from .full import Phantom, make_phantom
from .options import PHANTOM_VERSION, BlockOptions, PhantomOptions, ScanOptions
from .truth import TruthLesion, VertebraTruth
from .writing import write_phantom

__all__ = [
    "PHANTOM_VERSION",
    "PHENOTYPES",
    "BlockOptions",
    "Phantom",
    "PhantomBlock",
    "PhantomOptions",
    "ScanOptions",
    "TruthLesion",
    "VertebraTruth",
    "make_block",
    "make_phantom",
    "write_phantom",
]

"""Synthetic spine CT with known lesions: anatomy, metastases, benign look-alikes and a scanner."""

from .blocks import PHENOTYPES, PhantomBlock, make_block
from .options import PHANTOM_VERSION, BlockOptions, ScanOptions
from .truth import TruthLesion, VertebraTruth

__all__ = [
    "PHANTOM_VERSION",
    "PHENOTYPES",
    "BlockOptions",
    "PhantomBlock",
    "ScanOptions",
    "TruthLesion",
    "VertebraTruth",
    "make_block",
]

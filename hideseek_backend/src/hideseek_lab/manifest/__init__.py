"""The manifest: one table that says which patients, scans and levels there are, and their labels.

Importers write it from other layouts; training and cohorts read it.
"""

from hideseek_lab.manifest.rows import Case, Manifest, Row, read_manifest, write_manifest

__all__ = ["Case", "Manifest", "Row", "read_manifest", "write_manifest"]

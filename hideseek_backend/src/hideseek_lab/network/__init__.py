"""Fetch studies from archives and send objects to them: DIMSE and DICOMweb.

Slicer has connections of its own; this serves the command alone.
"""

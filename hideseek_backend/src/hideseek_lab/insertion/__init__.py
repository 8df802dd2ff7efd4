"""Lesions and their look-alikes inserted into real vertebrae, and the scans they are seen in."""

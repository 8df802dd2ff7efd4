"""The review in a browser: the same case, jobs and review as in Slicer, behind trame-slicer.

Runs in an environment of its own (Testing/browser/requirements.txt). No Qt; the backend runs in a
process of another Python.
"""

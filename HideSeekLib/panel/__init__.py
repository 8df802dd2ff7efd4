"""The sections of the panel: each shows one part of the state and passes on what the user wants.

A section knows the widgets of its part of the .ui file and the board, which holds what sections
share; it knows no other section. Decisions, geometry and the worker are elsewhere.
"""

"""Stand-ins for what only the Slicer application has, so that the panel runs without it.

`slicer-core` on PyPI is Slicer's real scene code, but it has no window: no `qt`, `ctk`,
`slicer.app`, `slicer.i18n`, ScriptedLoadableModule or parameterNodeWrapper. The modules here give
the panel just enough of each over PySide6. They are not Slicer: a pass with them proves the
panel's own logic and its .ui file, not the behaviour of the real widgets. Each file says at its
top what it stands for and where it falls short.
"""

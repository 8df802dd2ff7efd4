# Slicer makes the package here; the stand-in installs only.

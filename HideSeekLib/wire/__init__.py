"""What the backend and its Slicer side share: levels, codes, records, arrays, lines, words.

Standard library and numpy only, relative imports only. `HideSeekLib/wire` is a byte-identical copy
of this folder, made by `make wire`: neither side imports the other, and no fact is written twice.
"""

"""What Slicer installs stays small enough to read."""

from __future__ import annotations

import tokenize
from pathlib import Path

BACKEND = Path(__file__).resolve().parents[2] / "hideseek_backend" / "src" / "hideseek_backend"
CEILING = 15_000
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank line, no comment, no docstring."""
    with path.open("rb") as stream:
        tokens = [t for t in tokenize.tokenize(stream.readline) if t.type != tokenize.COMMENT]
    held: set[int] = set()
    starts = True
    for token, following in zip(tokens, [*tokens[1:], tokens[-1]], strict=True):
        if token.type in _NO_CODE:
            starts = starts or token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            continue
        alone = starts and following.type == tokenize.NEWLINE
        starts = False
        if not (token.type == tokenize.STRING and alone):
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held)


def test_only_code_is_counted(tmp_path):
    source = '"""Of a\nmodule."""\n\n# a comment\nX = 1  # and why\n\n\ndef f():\n    """What."""\n'
    source += '    text = """one\ntwo"""\n    return text\n'
    path = tmp_path / "some.py"
    path.write_text(source, encoding="utf-8")
    assert code_lines(path) == 5


def test_what_slicer_installs_stays_below_the_ceiling():
    files = sorted(BACKEND.rglob("*.py"))
    assert len(files) > 100
    count = sum(code_lines(path) for path in files)
    assert count <= CEILING, f"{count} lines of code, {CEILING} allowed"

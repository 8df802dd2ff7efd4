"""Rows of text for a terminal."""

from __future__ import annotations

from hideseek_backend.report.tables import text_table


def test_text_table_aligns_words_left_and_numbers_right() -> None:
    table = text_table(("level", "n"), [{"level": "T9", "n": "5"}, {"level": "T10", "n": "12"}])
    assert table.splitlines()[2:] == ["T9      5", "T10    12"]

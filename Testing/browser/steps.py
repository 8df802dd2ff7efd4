"""Steps that several browser tests take, and what they read of an export."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np


def first_kept(browser) -> str:
    """The largest candidate of the model's that is kept."""
    rows = [r for r in browser.candidates().values() if r["kept"] and "✎" not in r["mark"]]
    return max(rows, key=lambda row: float(row["volume"]))["key"]


def row_css(key: str) -> str:
    return f"tr.hs-candidate[id='{key}']"


def select(browser, key: str) -> None:
    browser.click(row_css(key))
    browser.until(lambda: browser.state("selected") == key, 20, f"{key} selected")


def open_path(browser, path: Path) -> None:
    browser.driver.execute_script("window.trame.state.set('path', arguments[0])", str(path))
    time.sleep(0.3)
    browser.click(".hs-open")


def open_fresh(browser, path: Path) -> None:
    """Open a CT with label values: nothing of the case before is left, and the scheme is asked."""
    open_path(browser, path)
    browser.until(lambda: not browser.state("candidates"), 90, "an empty case")
    browser.until(lambda: browser.state("needs_scheme"), 30, "the question for the scheme")


def lesion_voxels(path: Path) -> list[int]:
    """Voxels of lytic and blastic lesions in an exported NIfTI file (uint8)."""
    data = np.frombuffer(gzip.decompress(path.read_bytes())[352:], np.uint8)
    return [int(np.count_nonzero(data == value)) for value in (1, 2)]

"""One phantom, one server and one browser for all tests here; skipped where a part is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
MISSING = [
    *(p for p in ("chromium", "chromedriver") if shutil.which(p) is None),
    *(m for m in ("trame_slicer", "selenium", "PIL") if importlib.util.find_spec(m) is None),
]
WORKER = os.environ.get("HIDESEEK_WORKER_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
if not Path(WORKER).exists():
    MISSING.append("a Python with the backend (HIDESEEK_WORKER_PYTHON)")


def pytest_configure(config: Any) -> None:
    config.addinivalue_line("markers", "slow: takes minutes")


def pytest_collection_modifyitems(items: list[Any]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents:
            item.add_marker(pytest.mark.slow)
            if MISSING:
                reason = f"the review in a browser needs {', '.join(MISSING)}: make test-browser"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ct.nii.gz and vertebrae.nii.gz."""
    folder = tmp_path_factory.mktemp("phantom") / "phantom"
    source = str(ROOT / "hideseek_backend" / "src")
    subprocess.run(
        [WORKER, "-m", "hideseek_backend.cli", "phantom", "--out", str(folder)]
        + ["--seed", "2000007"],
        check=True, env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def server(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from browser_session import Server

    made = Server([phantom], tmp_path_factory.mktemp("server"), WORKER)
    yield made
    made.close()


@pytest.fixture(scope="session")
def browser(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from browser_session import Browser

    made = Browser(tmp_path_factory.mktemp("profile"))
    made.open(server.url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def analysed(browser: Any) -> Any:
    """The browser after two vertebrae were analysed, the first by a click in a view."""
    if not browser.state("candidates"):
        browser.click(".hs-screen")
        browser.says("Screened 8 vertebrae", 240)
        flagged = [v["level"] for v in browser.state("vertebrae") if v["ticked"]]
        assert len(flagged) >= 2
        for level in flagged[2:]:
            boxes = browser.all("tr.hs-vertebra")
            row = next(b for b in boxes if level in b.text.split())
            browser.driver.execute_script("arguments[0].querySelector('input').click()", row)
        browser.until(
            lambda: sum(v["ticked"] for v in browser.state("vertebrae")) == 2, 20, "two ticks"
        )
        browser.click(".hs-analyse")
        browser.says("Done", 400)
    return browser

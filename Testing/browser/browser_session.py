"""A review server as a process, and a headless Chromium that looks at it."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1500,950"
)


class Server:
    """`python -m HideSeekLib.browser` on a free port of this computer; `close` ends it."""

    def __init__(self, paths: list[Path], out: Path, worker_python: str) -> None:
        source = ROOT / "hideseek_backend" / "src"
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(source)]),
            "OMP_NUM_THREADS": "1",
        }
        self.log = out / "server.log"
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "HideSeekLib.browser", *map(str, paths),
                    "--labels", "verse", "--out", str(out), "--no-browser",
                    "--worker", f"{worker_python} -u -m hideseek_backend.worker",
                ],
                stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=out,
            )  # fmt: skip
        self.url = wait_for(self._address, 120, "the server's address")

    def _address(self) -> str:
        assert self.process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        found = re.search(r"Review: (http\S+)", self.log.read_text(errors="replace"))
        return found.group(1) if found else ""

    def megabytes(self) -> float:
        """Resident memory of the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def processor_ms(self) -> float:
        """Processor time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def workers(self) -> list[int]:
        """Process ids of the server's workers."""
        listing = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in listing.stdout.split()]

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Browser:
    """Chromium at a review."""

    def __init__(self, profile: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS.split(), f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        self.driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        self.driver.set_script_timeout(60)

    def open(self, url: str) -> None:
        self.driver.get(url)
        wait_for(lambda: self.all("h3"), 60, "the page")
        time.sleep(2.5)  # the views take the page's size, then they are drawn

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def click(self, css: str) -> None:
        self.driver.execute_script("document.querySelector(arguments[0]).click()", css)

    def text(self, css: str) -> str:
        try:
            return " ".join(e.text for e in self.all(css))
        except StaleElementReferenceException:
            return ""

    def message(self) -> str:
        return self.text(".hs-message")

    def state(self, name: str) -> Any:
        """A value of the page's state, as the server gave it."""
        return self.driver.execute_script("return window.trame.state.get(arguments[0])", name)

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        return wait_for(condition, seconds, f"{what}; the page says: {self.message()!r}")

    def says(self, words: str, seconds: float = 30) -> None:
        wait_for(
            lambda: words in self.message(), seconds, lambda: f"{words!r}, got {self.message()!r}"
        )

    def key(self, *keys: str) -> None:
        self.driver.switch_to.active_element.send_keys(*keys)

    def press(self, key: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(key).perform()

    def undo(self) -> None:
        chain = webdriver.ActionChains(self.driver)
        chain.key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()

    def candidates(self) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self.state("candidates")}

    def views(self) -> list[np.ndarray]:
        """Pictures of the views as the page shows them, (height, width, 3) uint8: sagittal,
        axial, coronal, 3D."""
        page = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        places = self.driver.execute_script(
            "return [...document.querySelectorAll('.layout-grid-item')].map(e => {"
            "const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]})"
        )
        return [np.asarray(page.crop([round(v) for v in place])) for place in places]

    def settled(self, seconds: float = 15) -> list[np.ndarray]:
        """Pictures of the views once they no longer change."""
        end = time.monotonic() + seconds
        time.sleep(0.8)
        last = self.views()
        while time.monotonic() < end:
            time.sleep(0.6)
            now = self.views()
            if all(np.array_equal(a, b) for a, b in zip(last, now, strict=True)):
                return now
            last = now
        return last

    def close(self) -> None:
        with contextlib.suppress(WebDriverException):
            self.driver.quit()


def wait_for(condition: Callable[[], Any], seconds: float, what: Any) -> Any:
    """Wait until a condition holds and return it; fails with what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what() if callable(what) else what}")

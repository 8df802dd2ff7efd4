"""Screenshots of the tutorial and the moving picture of the README, from a real review.

.venv-review/bin/python Testing/browser/make_pictures.py PHANTOM docs/pictures --worker PYTHON
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from browser_session import Browser, Server
from PIL import Image
from selenium.webdriver import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.mouse_button import MouseButton

_WIDTH = 960
_UNUSED = ("5-healthy-blastic", "6-difference-lytic", "7-accepted-blastic")
"""In the moving picture alone."""


class Camera:
    """Takes screenshots and frames of the moving picture."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self.browser, self.folder = browser, folder
        self.frames: list[tuple[Image.Image, int]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def shot(self, name: str = "", milliseconds: int = 1500) -> None:
        """Add a frame; with a name write it as a picture too."""
        self.browser.settled()
        page = Image.open(io.BytesIO(self.browser.driver.get_screenshot_as_png())).convert("RGB")
        small = page.resize((_WIDTH, round(page.height * _WIDTH / page.width)), Image.LANCZOS)
        self.frames.append((small, milliseconds))
        if name and name not in _UNUSED:
            _few_colors(small, 256).save(self.folder / f"{name}.png", optimize=True)

    def write(self, path: Path) -> None:
        """Write the moving picture."""
        pictures = [_few_colors(frame, 160) for frame, _ms in self.frames]
        pictures[0].save(
            path,
            save_all=True,
            append_images=pictures[1:],
            duration=[ms for _frame, ms in self.frames],
            loop=0,
            optimize=True,
        )


def _few_colors(picture: Image.Image, count: int) -> Image.Image:
    """Reduce to a palette of 64 greys, so that no bone is tinted, and else of the few coloured
    pixels, so that outlines and lesions keep their colour."""
    pixels = np.asarray(picture).reshape(-1, 3)
    spread = pixels.max(1).astype(int) - pixels.min(1)
    vivid = pixels[spread > 30]
    greys = np.repeat(np.linspace(0, 255, 64).round().astype(int), 3).tolist()
    colors: list[int] = []
    if len(vivid):
        own = Image.fromarray(np.resize(vivid, (1, len(vivid), 3))).quantize(count - 64)
        colors = (own.getpalette() or [])[: 3 * (count - 64)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + colors)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def zoom(browser: Browser, pixels: int) -> None:
    """Zoom into every slice view, by the right button as a reader does."""
    for view in browser.all(".layout-grid-item")[:3]:
        chain = ActionBuilder(browser.driver, duration=80)
        pointer = chain.pointer_action
        pointer.move_to(view, 0, -pixels // 2)
        pointer.pointer_down(button=MouseButton.RIGHT)
        for _ in range(6):
            pointer.move_by(0, pixels // 6)
        pointer.pointer_up(button=MouseButton.RIGHT)
        chain.perform()


def tell(browser: Browser, camera: Camera, out: Path) -> None:
    """The steps of the tutorial."""
    camera.shot("1-inputs")
    browser.click(".hs-screen")
    browser.says("Screened", 400)
    camera.shot("2-screened", 2000)
    browser.click(".hs-analyse")
    browser.until(lambda: browser.candidates(), 400, "the first vertebra")
    camera.shot("3-analysing")
    browser.says("Done", 900)
    kept = [row for row in browser.candidates().values() if row["kept"]]
    zoomed = False
    for polarity in ("blastic", "lytic"):
        own = [row for row in kept if row["polarity"] == polarity]
        if not own:
            continue
        key = max(own, key=lambda row: float(row["volume"]))["key"]
        browser.click(f"tr.hs-candidate[id='{key}']")
        browser.until(lambda key=key: browser.state("selected") == key, 30, "the candidate")
        if not zoomed:
            zoom(browser, 120)
            zoomed = True
        camera.shot(f"4-{polarity}")
        for fade in (0.35, 0.7, 1.0):
            browser.driver.execute_script("window.trame.state.set('fade', arguments[0])", fade)
            camera.shot(f"5-healthy-{polarity}" if fade == 1.0 else "", 700)
        browser.driver.execute_script("window.trame.state.set('fade', 0.0)")
        time.sleep(1)
        browser.press("d")
        camera.shot(f"6-difference-{polarity}", 1800)
        browser.press("d")
        time.sleep(1)
        browser.press("a")
        camera.shot(f"7-accepted-{polarity}")
    draw_region(browser, camera, key)
    browser.click(".hs-export")
    browser.says("Written to", 200)
    browser.driver.execute_script(
        "document.querySelector('.hs-files').scrollIntoView({block: 'end'})"
    )
    camera.shot("9-exported")


def draw_region(browser: Browser, camera: Camera, key: str) -> None:
    """Draw beside a candidate, in the middle of the sagittal view, and score it."""
    browser.click(f"tr.hs-candidate[id='{key}']")
    browser.until(lambda: browser.state("selected") == key, 30, "the candidate")
    browser.settled()
    browser.click(".hs-draw")
    browser.until(lambda: browser.state("drawing"), 30, "drawing")
    sagittal = browser.all(".layout-grid-item")[0]
    chain = ActionChains(browser.driver, duration=80)
    chain = chain.move_to_element_with_offset(sagittal, 6, 4).click_and_hold()
    for _ in range(3):
        chain = chain.move_by_offset(3, 2)
    chain.release().perform()
    before = len(browser.candidates())
    browser.click(".hs-score")
    browser.until(lambda: len(browser.candidates()) > before, 300, "the region's Δ")
    browser.driver.execute_script(
        "document.querySelector('.hs-draw').scrollIntoView({block: 'end'})"
    )
    camera.shot("8-region", 2200)


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("phantom", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--worker", default=sys.executable)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        server = Server([arguments.phantom.resolve()], out / "server", arguments.worker)
        browser = Browser(out / "profile")
        try:
            browser.open(server.url)
            camera = Camera(browser, arguments.folder)
            tell(browser, camera, out)
            camera.write(arguments.folder / "review.gif")
        finally:
            browser.close()
            server.close()


if __name__ == "__main__":
    main()

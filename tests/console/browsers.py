"""A real app behind a real socket, and a real browser before it."""

import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn

#: Sizes that every journey is made at: a desk's, and a phone's with fingers for a mouse.
SIZES: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 1.25,
    },
}


@contextmanager
def served(app: Any) -> Iterator[str]:
    """`app` at an address of this machine, answering from a thread."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def chromium(*more: str) -> Iterator[Any]:
    """The Chromium of this machine, else the one that Playwright installed; skips where there is neither.

    One that is there and does not start is a failure.
    """
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        if found is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("Chromium is not installed: apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", *more])
        yield browser
        browser.close()


class Visit:
    """A browser's page, and all that it complained of or asked of other hosts."""

    def __init__(self, page: Any, address: str, size: str) -> None:
        """A page of the browser, on a console at `address`."""
        self.page, self.address, self.size = page, address, size
        self.wrong: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.wrong.append(f"{error.name}: {error.message}\n{error.stack}"))
        page.on("request", lambda sent: sent.url.startswith((address, "data:")) or self.wrong.append(sent.url))

    def _heard(self, said: Any) -> None:
        refused = "the server responded with a status of 4" in said.text  # the page says it too, in words
        if said.type in ("error", "warning") and not refused:
            self.wrong.append(f"{said.text} ({said.location['url']}:{said.location['lineNumber']})")

    def to(self, path: str) -> None:
        """Go to a page of the console."""
        self.page.goto(self.address + path)

    def fits(self) -> None:
        """Nothing is wider than the window, so that nobody scrolls sideways."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{self.page.url} is {wide} px too wide at the size of a {self.size}"

    def away(self) -> None:
        """Let the server be out of reach from now on."""
        self.page.context.set_offline(True)
        self.page.remove_listener("console", self._heard)  # the browser says so too

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds` does."""
        for _ in range(100):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("it did not happen in time")

    def picture(self, name: str) -> None:
        """Write a picture of the page to the folder that $PICTURES names, if it does."""
        self.fits()
        if folder := os.environ.get("PICTURES"):
            from PIL import Image

            Path(folder).mkdir(parents=True, exist_ok=True)
            suffix = "" if self.size == "desk" else f"_{self.size}"
            self.page.mouse.move(0, 0)
            taken = Image.open(BytesIO(self.page.screenshot(full_page=True))).convert("RGB")
            taken.quantize(128).save(Path(folder) / f"console_{name}{suffix}.png", optimize=True)

    def drawn(self, at_least: int = 1) -> None:
        """Wait until the chart was drawn so often."""
        from playwright.sync_api import expect

        # Not `wait_for_function`: it evaluates text, which the pages' content security policy forbids.
        times = "|".join(str(n) for n in range(at_least, at_least + 20))
        expect(self.page.locator("#chart")).to_have_attribute("data-drawn", re.compile(f"^({times})$"))

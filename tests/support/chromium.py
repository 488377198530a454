"""A headless Chromium of the system, driven by Playwright."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None


def missing() -> str | None:
    """Return why no browser can be driven here; None where one can."""
    if sync_playwright is None:
        return "the package playwright is not installed"
    return None if _program() else "Chromium is not installed"


def _program() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Browser:
    """One tab, with everything that it complained about and asked the network for."""

    def __init__(self) -> None:
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=_program())
        self.page = self._browser.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(message.text)

    def open(self, path: Path) -> None:
        """Load a page of this machine."""
        self.page.goto(path.resolve().as_uri())

    def run(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited."""
        return self.page.evaluate(script)

    def until(self, script: str, seconds: float = 20) -> Any:
        """Return the value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):  # wait_for_function needs what the page forbids
            assert time.monotonic() < end, f"never true: {script}"
            self.page.wait_for_timeout(50)
        return value

    def middle(self, element: str) -> tuple[float, float]:
        """Return the place of the middle of an element, scrolled into view."""
        x, y = self.run(
            f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return x, y

    def close(self) -> None:
        """End the browser."""
        self._browser.close()
        self._playwright.stop()

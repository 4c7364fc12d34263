"""A real browser for tests of pages: Debian's chromium, driven by playwright. Both may be missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Page

__all__ = ["Visit", "browser_page"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass(slots=True)
class Visit:
    """A page, what it asked the network (or the disk) for, and what it complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def overflow_px(self) -> int:
        """By how much the document is wider than the window: more than 0 scrolls sideways."""
        found = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return int(found)


@contextmanager
def browser_page(
    *, width: int = 1280, height: int = 900, dark: bool = False, javascript: bool = True
) -> Iterator[Visit]:
    """An empty page of that size in pixels; skips the test where there is no browser.

    For plain (not async) tests: playwright's synchronous side runs a loop of its own. With
    ``SYNTHTUTOR_REQUIRE_ALL=1`` a missing browser fails the test.
    """
    executable = _executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_arguments())
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
                java_script_enabled=javascript,
            )
            visit = Visit(page)
            page.on("request", lambda request: visit.requests.append(request.url))
            page.on("console", lambda message: _heard(visit, message))
            page.on("pageerror", lambda error: visit.errors.append(str(error)))
            yield visit
        finally:
            browser.close()


def _executable() -> str:
    if importlib.util.find_spec("playwright") is None:
        _unavailable("playwright is not installed")
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        _unavailable("there is no chromium")
    return found


def _arguments() -> list[str]:
    """Chromium refuses to sandbox itself as root, which is who runs tests in containers."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


def _heard(visit: Visit, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        visit.errors.append(f"{message.type}: {message.text}")


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("SYNTHTUTOR_REQUIRE_ALL") == "1":
        pytest.fail(f"required, but {reason}")
    pytest.skip(reason)

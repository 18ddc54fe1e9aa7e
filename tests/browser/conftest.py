"""A headless Chromium, the one that is installed; nothing is ever downloaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import LONG_SECONDS, missing

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Tab:
    """An open page, and what was heard of it."""

    page: Page
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def hosts(self) -> set[str]:
        """Scheme, host and port of every request; what is inside the page itself does not count."""
        own = (url for url in self.requests if not url.startswith(("data:", "blob:")))
        return {"/".join(url.split("/", 3)[:3]) for url in own}


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("no chromium: apt-get install chromium")
    return found


@pytest.fixture
def tab(chromium: str, tmp_path: Path) -> Iterator[Tab]:
    """A page of a browser that was never used before."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=chromium,
            args=list(FLAGS),
            viewport={"width": 1300, "height": 1000},
        )
        opened = Tab(browser.new_page())
        browser.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.said.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.said.append(f"error: {error}"))
        opened.page.set_default_timeout(LONG_SECONDS * 1000)
        yield opened
        browser.close()

"""What tests of the page share: a real Chromium, and pages that remember what they asked for and said."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from featreport.executors import serial

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def pytest_configure() -> None:
    """Hear SIGINT, and let what is started hear it: a shell starts its background jobs deaf to it, this one too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def driver() -> Iterator[Playwright]:
    """What starts browsers; where none is installed the test is skipped, and fails where CI is set."""
    if not CHROMIUM.exists():
        message = f"{CHROMIUM} is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


def _launch(driver: Playwright, *more: str) -> Browser:
    return driver.chromium.launch(executable_path=str(CHROMIUM), args=[*ARGUMENTS, *more])


@pytest.fixture(scope="module")
def browser(driver: Playwright) -> Iterator[Browser]:
    """A Chromium with an empty profile, closed when the module is done."""
    opened = _launch(driver)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def blind_browser(driver: Playwright) -> Iterator[Browser]:
    """A Chromium that loads no pictures."""
    opened = _launch(driver, "--blink-settings=imagesEnabled=false")
    yield opened
    opened.close()


class Record:
    """What a page asked for, said and opened."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.messages: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


@pytest.fixture
def opens() -> Iterator[Callable[..., Page]]:
    """Opens an address in a browser: `opens(browser, address, **context)`; what it did is in `page.record`."""
    pages = []

    def go(browser: Browser, address: str, **how: Any) -> Page:
        page = browser.new_page(**how)
        pages.append(page)
        page.record = Record(page)
        page.goto(address)
        return page

    yield go
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Saves a page's text and returns its file: address."""
    folder = tmp_path_factory.mktemp("pages")

    def save(text: str) -> str:
        path = folder / f"report-{len(list(folder.iterdir()))}.html"
        path.write_text(text, encoding="utf-8")
        return path.as_uri()

    return save


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that were really measured."""
    found: list[str] = []
    plain = serial._Bench.measure

    def spy(self: serial._Bench, run: object, progress: object) -> serial.Outcome:
        found.append(run.id)
        return plain(self, run, progress)

    monkeypatch.setattr(serial._Bench, "measure", spy)
    return found

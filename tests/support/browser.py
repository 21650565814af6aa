"""Chromium for the tests that need a browser.

Taken from ``CHROMIUM``, else from ``PATH``, else Playwright's own. Run as a program, it exits with 0 if Chromium
starts.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Playwright, expect, sync_playwright

from missing import missing

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The headless shell comes first, because it takes half the time."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

PATIENCE = 30_000
"""Milliseconds that a test waits for what should happen at once: other work may keep the machine busy."""

expect.set_options(timeout=PATIENCE)


def launch(playwright: Playwright) -> Browser:
    """Start Chromium; Playwright's error explains why it cannot be started."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    return playwright.chromium.launch(
        executable_path=found or Path(playwright.chromium.executable_path), args=list(ARGUMENTS)
    )


# Per module: while Playwright runs, its event loop counts as running, and async views cannot be called.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once per module."""
    with sync_playwright() as playwright:
        try:
            chromium = launch(playwright)
        except Error as error:
            missing(f"No Chromium starts here: {error.message.splitlines()[0]}")
        yield chromium
        chromium.close()


if __name__ == "__main__":
    with sync_playwright() as running:
        try:
            launch(running).close()
        except Error as error:
            sys.exit(error.message.splitlines()[0])

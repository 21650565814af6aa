"""Windows of Chromium, Firefox and WebKit, for tests that run in each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from engines import Chromium, Engine, firefox, webkit

Window = Callable[..., Engine]


@pytest.fixture(scope="module", params=["chromium", "firefox", "webkit"])
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """A function that opens a window of an engine, started once."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param == "chromium":
        browser: Browser = request.getfixturevalue("browser")
        yield lambda scripts: Chromium(browser, scripts=scripts)
        return
    engines: dict[str, Any] = {"firefox": firefox, "webkit": webkit}
    with engines[request.param](folder) as start:
        opened: list[Engine] = []

        def reuse(scripts: bool) -> Engine:
            if not opened:
                opened.append(start())
            return opened[0]

        yield reuse

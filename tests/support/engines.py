"""Chromium, Firefox and WebKit with one interface: Playwright drives the first, WebDriver the others."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Browser
from websockets.sync.client import ClientConnection, connect

from missing import missing

PATIENCE = 60
"""Seconds after which a test gives up: a busy machine must not fail it."""


FONTS = ["serif", "sans-serif", "monospace", "Noto Sans", "Noto Serif", "Noto Nastaliq Urdu", "Liberation Sans"]
"""Some of which a machine may have; the others look like its default font."""


class Engine(Protocol):
    """A window of a browser, with a session of its own."""

    def open(self, url: str) -> None: ...

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; that of a page whose scripts do not run too."""

    def click(self, selector: str) -> None: ...

    def type(self, selector: str, text: str) -> None:
        """Type text into an empty field."""


def until(engine: Engine, expression: str) -> Any:
    """Wait until a JavaScript expression is true, and return its value; a page that is loading has none."""
    deadline = time.monotonic() + PATIENCE
    value = None
    while not value:
        assert time.monotonic() < deadline, f"Gave up on: {expression}"
        with suppress(LookupError):
            value = engine.evaluate(expression)
        time.sleep(0.05)
    return value


def shown(selector: str) -> str:
    """An expression for whether the document is loaded, and an element is there."""
    return f"document.readyState === 'complete' && document.querySelector({json.dumps(selector)}) !== null"


def press(engine: Engine, selector: str, then: str) -> None:
    """Press an element once it is there, and wait for another."""
    until(engine, shown(selector))
    engine.click(selector)
    until(engine, shown(then))


class Chromium:
    """A window of Chromium."""

    def __init__(self, browser: Browser, *, scripts: bool) -> None:
        self.page = browser.new_context(java_script_enabled=scripts).new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("dialog", lambda dialog: dialog.accept())

    def open(self, url: str) -> None:
        self.page.goto(url)

    def evaluate(self, expression: str) -> Any:
        try:
            return self.page.evaluate(expression)
        except Exception as error:
            raise LookupError(str(error)) from None

    def click(self, selector: str) -> None:
        self.page.click(selector)

    def type(self, selector: str, text: str) -> None:
        self.page.fill(selector, text)


class Firefox:
    """A window of Firefox, driven by WebDriver BiDi (https://w3c.github.io/webdriver-bidi/)."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.sent = 0
        self.call("session.new", capabilities={"alwaysMatch": {"unhandledPromptBehavior": {"default": "accept"}}})
        self.context = self.call("browsingContext.create", type="tab")["context"]

    def call(self, method: str, **parameters: Any) -> Any:
        self.sent += 1
        self.connection.send(json.dumps({"id": self.sent, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self.connection.recv(timeout=PATIENCE))
            if answer.get("id") == self.sent:
                break
        if answer["type"] == "error":
            raise LookupError(f"{method}: {answer['message']}")
        return answer["result"]

    def open(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        done = self.call(
            "script.evaluate",
            expression=f"JSON.stringify(({expression}) ?? null)",
            target={"context": self.context},
            awaitPromise=False,
        )
        if done["type"] != "success":
            raise LookupError(done["exceptionDetails"]["text"])
        return json.loads(done["result"]["value"])

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{ block: 'center' }})")
        locator = {"type": "css", "value": selector}
        node = self.call("browsingContext.locateNodes", context=self.context, locator=locator)["nodes"][0]
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        self._act(
            "pointer",
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def type(self, selector: str, text: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        self._act("key", *({"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")))

    def _act(self, kind: str, *actions: dict[str, Any]) -> None:
        source = {"type": kind, "id": kind, "actions": list(actions)}
        self.call("input.performActions", context=self.context, actions=[source])


class WebKit:
    """A window of WebKitGTK's MiniBrowser, driven by WebDriver (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self, driver: str) -> None:
        browser = {"binary": str(_mini_browser()), "args": ["--automation"]}
        wanted = {"webkitgtk:browserOptions": browser, "unhandledPromptBehavior": "accept"}
        self.session = f"{driver}/session"
        session = self.call("POST", "", capabilities={"alwaysMatch": wanted})
        self.session += f"/{session['sessionId']}"

    def call(self, method: str, path: str, **parameters: Any) -> Any:
        body = json.dumps(parameters).encode() if method == "POST" else None
        request = urllib.request.Request(f"{self.session}{path}", body, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise LookupError(error.read().decode()) from None

    def open(self, url: str) -> None:
        self.call("POST", "/url", url=url)

    def evaluate(self, expression: str) -> Any:
        return self.call("POST", "/execute/sync", script=f"return {expression}", args=[])

    def click(self, selector: str) -> None:
        self.call("POST", f"/element/{self._element(selector)}/click")

    def type(self, selector: str, text: str) -> None:
        self.call("POST", f"/element/{self._element(selector)}/value", text=text)

    def _element(self, selector: str) -> str:
        (found,) = self.call("POST", "/element", using="css selector", value=selector).values()
        return str(found)


@contextmanager
def firefox(folder: Path) -> Iterator[Callable[[], Firefox]]:
    """Start Firefox, which opens one window; the test is skipped where it is not installed."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        missing("Firefox is not installed")
    log = folder / "firefox.log"
    options = ["--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"]
    with _started([program, *options], log, HOME=str(folder)):
        (address,) = _found(log, r"WebDriver BiDi listening on (ws://\S+)")
        with connect(f"{address}/session", max_size=None) as connection:
            yield lambda: Firefox(connection)


@contextmanager
def webkit(folder: Path) -> Iterator[Callable[[], WebKit]]:
    """Start WebKit's driver, on a display of its own; the test is skipped where it is not installed."""
    for program in ("WebKitWebDriver", "Xvfb"):
        if shutil.which(program) is None:
            missing(f"{program} is not installed")
    with ExitStack() as stack:
        reader, writer = os.pipe()
        display = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
        stack.enter_context(_started(display, folder / "display.log", pass_fds=(writer,)))
        os.close(writer)
        with open(reader) as answer:
            number = answer.readline().strip()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        driver = ["WebKitWebDriver", f"--port={port}"]
        stack.enter_context(_started(driver, folder / "driver.log", DISPLAY=f":{number}", HOME=str(folder)))
        _wait_for_port(port)
        windows: list[WebKit] = []
        stack.callback(lambda: [window.call("DELETE", "") for window in windows])

        def window() -> WebKit:
            # The driver has one session at a time.
            while windows:
                windows.pop().call("DELETE", "")
            windows.append(WebKit(f"http://127.0.0.1:{port}"))
            return windows[0]

        yield window


@contextmanager
def _started(
    command: list[str], log: Path, pass_fds: tuple[int, ...] = (), **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}, pass_fds=pass_fds
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _found(log: Path, pattern: str) -> tuple[str, ...]:
    deadline = time.monotonic() + PATIENCE
    while not (found := re.search(pattern, log.read_text(errors="replace"))):
        assert time.monotonic() < deadline, log.read_text(errors="replace")
        time.sleep(0.05)
    return found.groups()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, f"Nothing listens on {port}"
        time.sleep(0.05)


def _mini_browser() -> Path:
    for place in (Path("/usr/lib"), Path("/usr/libexec"), Path("/usr/lib64")):
        for found in sorted(place.glob("**/webkit2gtk-4*/MiniBrowser")):
            return found
    missing("WebKit's MiniBrowser is not installed")

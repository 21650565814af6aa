"""A host served over HTTP, and browser pages that visit it."""

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Response, abort, g, request
from jinja2 import DictLoader
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, expect
from werkzeug.serving import make_server

from browser import PATIENCE
from host import Host

SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")
OWN_CONTENT_ONLY = "default-src 'self'"
EXPECTED_ERRORS = re.compile(
    r"Failed to load resource|Response Status Error|Failed to fetch|htmx:(afterRequest|sendError)"
)
"""What Chromium and htmx log for an error response, or for none."""

READY = """async () => {
  const noPanel = () => !document.querySelector("#access-tokens");
  const nobodyLoadsIt = () => document.querySelector("script[data-htmx=host]");
  while (!(noPanel() || nobodyLoadsIt() || window.htmx)) await new Promise((again) => setTimeout(again, 20));
}"""
"""Wait for htmx."""


class Site:
    """A served host, the requests it received, and the requests, dialogs and errors of its visitors' browsers."""

    def __init__(self, host: Host, browser: Browser) -> None:
        self.host = host
        self.browser = browser
        self.policy = OWN_CONTENT_ONLY
        self.forced_status = 0
        """The status code that every response gets instead of its own; 0 for none."""
        self.posts = 0
        self.requests: list[str] = []
        self.sent: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        self.accepts_dialogs = True
        self.pages: dict[str, str] = {}
        self.contexts: list[BrowserContext] = []
        app = host.app
        # A host's own templates take precedence; here they are a dictionary that a test fills.
        app.jinja_loader = DictLoader(self.pages)

        @app.get("/favicon.ico")
        def icon() -> tuple[str, int]:
            return "", 204

        def count_and_abort() -> None:
            self.posts += request.method == "POST"
            g.nonce = secrets.token_urlsafe(16)
            if self.forced_status and "/assets/" not in request.path:
                abort(self.forced_status)

        # Before the check of the CSRF token, which may end a request.
        app.before_request_funcs.setdefault(None, []).insert(0, count_and_abort)

        @app.after_request
        def set_policy(response: Response) -> Response:
            response.headers["Content-Security-Policy"] = self.policy.format(nonce=g.nonce)
            return response

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.address = f"http://127.0.0.1:{self.server.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def visit(self, path: str = "/access-tokens/", person: str = "ann", **settings: Any) -> Page:
        """A page of a new browser context in which a person is signed in and has opened a path."""
        context = self.browser.new_context(timezone_id="Europe/Berlin", **settings)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", self._answer)
        context.request.get(f"{self.address}/sign-in/{person}")
        page.goto(self.address + path)
        if settings.get("java_script_enabled", True):
            page.evaluate(READY)
        return page

    def _answer(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message or dialog.type)
        if self.accepts_dialogs:
            dialog.accept()
        else:
            dialog.dismiss()

    def _note_request(self, sent: Request) -> None:
        self.requests.append(f"{sent.method} {sent.url}")
        self.sent.append(f"{sent.method} {sent.url} {sent.headers} {sent.post_data}")

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def ignore_expected_errors(self) -> None:
        """Discard what the browser and htmx logged for failures that a test caused; keep every other error."""
        self.errors[:] = [text for text in self.errors if not EXPECTED_ERRORS.search(text)]

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def make_site(browser: Browser, make_host: Callable[..., Host], tmp_path: Any) -> Iterator[Callable[..., Site]]:
    """Serve hosts; the test fails if a browser has logged an error by its end."""
    sites: list[Site] = []

    def make(**config: Any) -> Site:
        url = f"sqlite:///{tmp_path / f'site{len(sites)}.sqlite3'}"
        sites.append(Site(make_host(url, csrf=True, **config), browser))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
    errors = [text for site in sites for text in site.errors]
    assert not errors, errors


def settle(page: Page) -> None:
    """Wait until htmx has processed new content; until then, htmx 1 and 2 leave clicks to the browser."""
    expect(page.locator(".htmx-added, .htmx-settling, .htmx-swapping")).to_have_count(0)


def press(page: Page, key: str) -> None:
    settle(page)
    page.keyboard.press(key)


def open_form(page: Page) -> None:
    settle(page)
    page.get_by_role("link", name="Generate new token").click()
    expect(page.get_by_label("Name")).to_be_focused()


def send(page: Page) -> None:
    settle(page)
    page.get_by_role("button", name="Generate", exact=True).click()


def generate(page: Page, name: str = "laptop") -> str:
    """Generate a token through the form and return its secret."""
    open_form(page)
    page.get_by_label("Name").fill(name)
    send(page)
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    return field.input_value()


def announcement(page: Page) -> Locator:
    """The live region, whose text screen readers announce."""
    return page.locator("[aria-live=polite]")

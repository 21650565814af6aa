"""A host that is served, and visitors with a real browser in it."""

import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Response, abort, g, request
from jinja2 import DictLoader
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect
from werkzeug.serving import make_server

from host import Host

SECRET = re.compile(r"pat_[0-9A-Za-z]{49}")
OWN_CONTENT_ONLY = "default-src 'self'"
REFUSED = re.compile(r"Failed to load resource|Response Status Error|Failed to fetch|htmx:(afterRequest|sendError)")
"""What Chromium and htmx write for an answer with an error, or for none."""

READY = """async () => {
  const noPanel = () => !document.querySelector("#access-tokens");
  const nobodyBringsIt = () => document.querySelector("script[data-htmx=host]");
  while (!(noPanel() || nobodyBringsIt() || window.htmx)) await new Promise((again) => setTimeout(again, 20));
}"""
"""Wait for htmx."""


class Site:
    """A served host, what reached it, and what its visitors' browsers sent, asked and complained of."""

    def __init__(self, host: Host, browser: Browser) -> None:
        self.host = host
        self.browser = browser
        self.policy = OWN_CONTENT_ONLY
        self.broken = 0
        """The status that every answer has instead of its own; 0 for none."""
        self.posts = 0
        self.asked: list[str] = []
        self.sent: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self.pages: dict[str, str] = {}
        self.contexts: list[BrowserContext] = []
        app = host.app
        # A host's own templates come first; here they are a dictionary that a test fills.
        app.jinja_loader = DictLoader(self.pages)

        @app.get("/favicon.ico")
        def icon() -> tuple[str, int]:
            return "", 204

        def count_and_break() -> None:
            self.posts += request.method == "POST"
            g.nonce = secrets.token_urlsafe(16)
            if self.broken and "/assets/" not in request.path:
                abort(self.broken)

        # Before the check of the CSRF token, which ends a request.
        app.before_request_funcs.setdefault(None, []).insert(0, count_and_break)

        @app.after_request
        def set_policy(response: Response) -> Response:
            response.headers["Content-Security-Policy"] = self.policy.format(nonce=g.nonce)
            return response

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.address = f"http://127.0.0.1:{self.server.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def visit(self, path: str = "/access-tokens/", person: str = "ann", **settings: Any) -> Page:
        """A new browser in which a person is signed in and has opened an address."""
        context = self.browser.new_context(timezone_id="Europe/Berlin", **settings)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message or dialog.type), dialog.accept()))
        context.request.get(f"{self.address}/sign-in/{person}")
        page.goto(self.address + path)
        if settings.get("java_script_enabled", True):
            page.evaluate(READY)
        return page

    def _note_request(self, asked: Request) -> None:
        self.asked.append(f"{asked.method} {asked.url}")
        self.sent.append(f"{asked.method} {asked.url} {asked.headers} {asked.post_data}")

    def _note_console(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.complaints.append(said.text)

    def forgive_refusals(self) -> None:
        """Take what browser and htmx wrote about answers that a test made fail; anything else still counts."""
        self.complaints[:] = [text for text in self.complaints if not REFUSED.search(text)]

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def make_site(browser: Browser, make_host: Callable[..., Host], tmp_path: Any) -> Iterator[Callable[..., Site]]:
    """Serve hosts; no browser may have complained when the test ends."""
    sites: list[Site] = []

    def make(**config: Any) -> Site:
        url = f"sqlite:///{tmp_path / f'site{len(sites)}.sqlite3'}"
        sites.append(Site(make_host(url, csrf=True, **config), browser))
        return sites[-1]

    yield make
    for site in sites:
        site.close()
    complaints = [text for site in sites for text in site.complaints]
    assert not complaints, complaints


def settle(page: Page) -> None:
    """Wait until htmx drives what came in: 1 and 2 take some milliseconds, in which a click is the browser's."""
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
    """Generate a token by hand; its secret."""
    open_form(page)
    page.get_by_label("Name").fill(name)
    send(page)
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    return field.input_value()


def said(page: Page) -> Locator:
    """The region whose words are spoken."""
    return page.locator("[aria-live=polite]")

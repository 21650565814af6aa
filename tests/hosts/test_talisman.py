"""A host with Flask-Talisman, which sets a strict policy and other headers on every response."""

from collections.abc import Callable
from typing import Any

import pytest
from flask_talisman import Talisman
from playwright.sync_api import expect

from catalogs import NEW, PAGE
from host import Host
from markup import Page
from pages import form_data
from sites import Site, announcement, generate

OWN_FILES = {"default-src": "'self'", "object-src": "'none'"}
DEFAULTS: dict[str, Any] = {}
NONCES = {
    "content_security_policy": {**OWN_FILES, "script-src": "", "style-src": ""},
    "content_security_policy_nonce_in": ["script-src", "style-src"],
}
SETTINGS = pytest.mark.parametrize("settings", [DEFAULTS, NONCES], ids=["defaults", "nonces"])


def protect(host: Host, settings: dict[str, Any]) -> None:
    """Set Talisman up for plain HTTP, with its headers set after those of all other functions of the host."""
    Talisman(host.app, force_https=False, session_cookie_secure=False, **settings)
    functions = host.app.after_request_funcs[None]
    functions.insert(0, functions.pop())


@SETTINGS
def test_the_headers_of_talisman_are_kept_and_its_nonce_is_used(host: Host, settings: dict[str, Any]) -> None:
    protect(host, settings)
    client = host.client("ann")
    for answer in (client.get(PAGE), client.get(NEW), client.post(NEW, data=form_data(client))):
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; object-src 'none'")
        assert "frame-ancestors" not in policy
        assert answer.headers.getlist("X-Frame-Options") == ["SAMEORIGIN"]
        assert answer.headers.getlist("Referrer-Policy") == ["strict-origin-when-cross-origin"]
        assert answer.headers["Cache-Control"] == "no-store"
        page = Page(answer)
        (nonce,) = {tag.attributes.get("nonce") for tag in (*page.all("script"), *page.all("link"))}
        assert policy.count(f"'nonce-{nonce}'") == (2 if settings else 0)


@SETTINGS
def test_in_a_browser_talisman_blocks_nothing(make_site: Callable[..., Site], settings: dict[str, Any]) -> None:
    site = make_site()  # fails if the browser reports that something was blocked
    protect(site.host, settings)
    page = site.visit()
    assert generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    assert page.locator(".access-tokens-head").evaluate("head => getComputedStyle(head).display") == "flex"
    page.get_by_role("button", name="Delete token laptop").click()
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()

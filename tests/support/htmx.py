"""Hosts that load their own htmx, of any major version."""

from pathlib import Path
from typing import Any

from flask import Response, render_template, send_file, session
from playwright.sync_api import Page, expect

from sites import Site, settle

INHERITED = {
    "boost": "true",
    "target": "#main",
    "select": "#main",
    "swap": "outerHTML",
    "push-url": "true",
    "replace-url": "true",
    "confirm": "Sure?",
}
BODY_ATTRIBUTES = " ".join(f'hx-{name}="{value}" hx-{name}:inherited="{value}"' for name, value in INHERITED.items())
"""Attributes that the elements in a host's <body> inherit; htmx 4 reads the second form of each."""

# The inline styles of htmx 1 and 2 violate the tests' policy, which is not the panel's concern.
CONFIG = """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
SCRIPTS = {"before": "<script src='/htmx.js'></script>", "deferred": "<script src='/htmx.js' defer></script>"}
SCRIPTS["after"] = SCRIPTS["before"]


def layout(place: str = "", body: str = BODY_ATTRIBUTES) -> str:
    """A host's layout that loads its htmx before the panel, deferred, or after it."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Host</title>{CONFIG}"
        f"{SCRIPTS[place] if place in ('before', 'deferred') else ''}</head><body {body}>"
        "<header><b>My host</b> <a href='/home'>Home</a> <a href='/access-tokens/'>Tokens</a></header>"
        "<div id='main'>{% block content %}{% endblock %}</div>"
        f"{SCRIPTS['after'] if place == 'after' else ''}</body></html>"
    )


def set_up_host(site: Site, page: str, htmx: Path | None = None) -> None:
    """Add a layout, pages of its own and optionally its own htmx to a site's host."""
    app = site.host.app
    app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"
    site.pages["layout.html"] = page
    site.pages["home.html"] = "{% extends 'layout.html' %}{% block content %}<p>Welcome home.</p>{% endblock %}"
    site.pages["settings.html"] = (
        "{% extends 'layout.html' %}{% block content %}<h1>My settings</h1>"
        "{% include 'access_tokens/_page.html' %}{% endblock %}"
    )

    @app.get("/home")
    def home() -> str:
        return render_template("home.html")

    @app.get("/settings")
    def settings() -> str:
        return render_template("settings.html")

    @app.get("/welcome")
    def welcome() -> str:
        return "<h1>Sign in to my host</h1>"

    @app.get("/sign-out")
    def sign_out() -> str:
        session.clear()
        return "signed out"

    @app.get("/htmx.js")
    def own_htmx() -> Response:
        assert htmx is not None
        return send_file(htmx)

    @app.errorhandler(401)
    def sign_in_first(error: Any) -> Any:
        return "", 302, {"Location": "/welcome"}


def own_htmx(npm: Path, version: int) -> Path | None:
    return npm / f"htmx-{version}" / "dist" / "htmx.min.js" if version else None


def expect_in_place(page: Page) -> None:
    """Expect exactly one panel, inside the host's unchanged page."""
    settle(page)
    expect(page.locator("#access-tokens")).to_have_count(1)
    expect(page.locator("#main #access-tokens .access-tokens-head")).to_have_count(1)
    expect(page.locator("body > header")).to_have_text("My host Home Tokens")

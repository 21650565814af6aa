"""The panel in hosts with their own content security policy, styles, templates and URLs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Response, g, render_template_string
from jinja2 import DictLoader
from playwright.sync_api import expect
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_access_tokens.page import panel
from host import Host
from htmx import layout, set_up_host
from sites import Site, announcement, generate, send

TEMPLATES = Path(panel.__file__).parent / "templates" / "access_tokens"


def test_the_panel_works_under_a_nonce_based_content_security_policy(
    make_site: Callable[..., Site], npm: Path
) -> None:
    site = make_site()
    site.policy = (
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src 'self'"
    )
    site.host.app.context_processor(lambda: {"csp_nonce": lambda: g.nonce})
    page = site.visit()
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    assert page.locator(".access-tokens-head").evaluate("head => getComputedStyle(head).display") == "flex"
    assert [line for line in site.requests if "/assets/htmx" in line]
    assert secret not in "".join(site.sent)


HOST_STYLES = """
:root { color-scheme: dark; --access-tokens-accent: rgb(224, 176, 80); --access-tokens-on-accent: black }
body { background: rgb(27, 23, 18); color: rgb(239, 230, 213); font: 19px Georgia, serif }
legend, label { float: left; width: 100% }
section, header, nav, form { border: 3px solid red; padding: 2rem; background: black }
input, button, select, code { text-transform: uppercase; letter-spacing: 0.3em }
p { text-indent: 4em }
"""


def test_the_panel_inherits_the_host_s_fonts_and_colors_but_not_its_borders(make_site: Callable[..., Site]) -> None:
    site = make_site()
    set_up_host(site, layout().replace("</head>", "<link rel='stylesheet' href='/unruly.css'></head>"))
    site.host.app.add_url_rule("/unruly.css", "unruly", lambda: Response(HOST_STYLES, mimetype="text/css"))
    page = site.visit("/access-tokens/new")

    def style(selector: str, name: str) -> str:
        return str(page.locator(selector).first.evaluate(f"element => getComputedStyle(element)['{name}']"))

    assert (
        style("#access-tokens-heading", "fontFamily") == style("#access-tokens-name", "fontFamily") == "Georgia, serif"
    )
    assert style("#access-tokens-heading", "color") == "rgb(239, 230, 213)"
    assert style(".access-tokens-primary", "backgroundColor") == "rgb(224, 176, 80)"
    for selector in ("#access-tokens", ".access-tokens-head", "#access-tokens-cancel"):
        assert style(selector, "borderTopWidth") == "0px", selector
        assert style(selector, "paddingTop") == "0px", selector
    assert style("legend", "float") == "none"
    assert page.locator(".access-tokens-check").first.bounding_box()["width"] > 300  # type: ignore[index]
    page.get_by_label("Name").fill("laptop")
    send(page)
    expect(page.get_by_label("Your new token")).to_be_visible()
    assert style("#access-tokens-secret", "textTransform") == "none", "the secret could not be typed from the screen"
    assert style("#access-tokens-secret", "letterSpacing") == "normal"


def every_answer(host: Host, prefix: str = "/access-tokens", base: str = "http://localhost") -> str:
    """The responses of the page in all of its states, concatenated."""
    ann, bob = (host.app.test_client() for _ in range(2))
    ann.get("/sign-in/ann", base_url=base)
    bob.get("/sign-in/bob", base_url=base)
    token_id = host.rows()[0]["id"]
    answers = [
        bob.get(f"{prefix}/", base_url=base),
        ann.get(f"{prefix}/", base_url=base),
        ann.get(f"{prefix}/?q=zebra", base_url=base),
        ann.get(f"{prefix}/{token_id}/delete", base_url=base),
        bob.get(f"{prefix}/{token_id}/delete", base_url=base, headers={"HX-Request": "true"}),
        ann.post(f"{prefix}/new", data={"lifetime_days": "many"}, base_url=base),
        ann.post(f"{prefix}/new", data={"name": "new", "lifetime_days": "30"}, base_url=base),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 422, 200]
    return "".join(answer.text for answer in answers)


def test_a_host_overrides_any_partial_with_a_file_of_the_same_name(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panel, "PAGE_SIZE", 1)
    host = make_host()
    pages: dict[str, str] = {}
    host.app.jinja_loader = DictLoader(pages)
    compiled: Any = host.app.jinja_env.cache

    def forget(name: str) -> None:
        for key in [key for key in compiled.keys() if key[1] == name]:  # noqa: SIM118
            del compiled[key]

    for name in ("laptop", "phone"):
        host.generate("ann", name)
    partials = sorted(path.name for path in TEMPLATES.glob("_*.html"))
    assert len(partials) > 20
    for partial in partials:
        name = f"access_tokens/{partial}"
        pages[name] = "mine instead"
        forget(name)
        text = every_answer(host)
        assert "mine instead" in text, partial
        assert ('id="access-tokens"' in text) == (partial != "_panel.html"), partial
        del pages[name]
        forget(name)


def test_a_mount_point_a_prefix_and_the_host_s_blueprints_change_only_urls(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(ACCESS_TOKENS_URL_PREFIX="/me/keys")
    inner, outer = Blueprint("tokens", __name__), Blueprint("account", __name__, url_prefix="/account")

    @inner.get("/tokens")
    def settings() -> str:
        return render_template_string("{% include 'access_tokens/_page.html' %}")

    outer.register_blueprint(inner, url_prefix="/inner", name="renamed")
    host.app.register_blueprint(outer)
    host.app.register_blueprint(outer, url_prefix="/again", name="again")
    host.generate("ann", "laptop")
    host.app.wsgi_app = DispatcherMiddleware(host.app.wsgi_app, {"/app": host.app.wsgi_app})  # type: ignore[method-assign]
    base = "http://localhost/app"
    text = every_answer(host, "/me/keys", base)
    ann = host.app.test_client()
    ann.get("/sign-in/ann", base_url=base)
    for address in ("/account/inner/tokens", "/again/inner/tokens"):
        embedded = ann.get(address, base_url=base).text
        assert embedded.count('id="access-tokens"') == 1
        text += embedded
    addresses = re.findall(r'(?:href|action|src|hx-get|hx-post|data-htmx-src|data-waits-for)="([^"]*)"', text)
    assert len(addresses) > 100
    assert [address for address in addresses if not address.startswith("/app/me/keys/")] == []
    assert f"$TOKEN&#34; {base}/api<" in text

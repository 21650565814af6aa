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

from desk import DESK, OPERATOR, open_desk, people
from flask_access_tokens.page import desk_panel, own_panel
from host import Host
from htmx import layout, set_up_host
from sites import SECRET, Site, announcement, generate, send

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "page.md"
TEMPLATES = Path(own_panel.__file__).parent / "templates" / "access_tokens"


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


BOOTSTRAP = """
:root { --bs-primary: #0d6efd; --bs-body-color: #212529; --bs-body-bg: #fff; --bs-border-width: 2px;
  --bs-border-color: #dee2e6; --bs-border-radius: 0.375rem; --bs-font-monospace: monospace;
  --bs-secondary-color: rgba(33, 37, 41, 0.75); --bs-warning-text-emphasis: #664d03;
  --bs-form-invalid-color: #dc3545; --bs-form-valid-color: #198754 }
[data-bs-theme=dark] { color-scheme: dark; --bs-body-color: #dee2e6; --bs-body-bg: #212529; --bs-border-color: #495057;
  --bs-form-invalid-color: #ea868f }
body { margin: 0; font-family: Georgia, serif; color: var(--bs-body-color); background-color: var(--bs-body-bg) }
h1 { font-size: calc(1.375rem + 1.5vw); font-weight: 500; line-height: 1.2 }
@media (min-width: 1200px) { h1 { font-size: 2.5rem } }
.btn-primary { background-color: var(--bs-primary); color: #fff; font-weight: 400;
  border: var(--bs-border-width) solid var(--bs-primary); border-radius: var(--bs-border-radius) }
.form-control { background-color: var(--bs-body-bg); color: var(--bs-body-color);
  border: var(--bs-border-width) solid var(--bs-border-color); border-radius: var(--bs-border-radius) }
.card { background-color: var(--bs-body-bg); border: var(--bs-border-width) solid var(--bs-border-color);
  border-radius: var(--bs-border-radius) }
"""
BORDER = ("borderTopColor", "borderTopWidth", "borderTopStyle", "borderTopLeftRadius", "backgroundColor")
LIKE_THE_HOST = {
    "h1": ("#access-tokens-heading", ("fontSize", "fontWeight", "fontFamily", "lineHeight", "letterSpacing", "color")),
    ".btn-primary": (".access-tokens-primary", (*BORDER, "fontWeight", "color")),
    ".form-control": ("#access-tokens-name", (*BORDER, "color")),
    ".card": (".access-tokens-card", BORDER),
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 1400])
def test_with_the_documented_stylesheet_the_panel_looks_like_bootstrap(
    make_site: Callable[..., Site], theme: str, width: int
) -> None:
    site = make_site()
    (recipe,) = re.findall(r"```css\n([^`]*--bs-[^`]*)```", DOCUMENTATION.read_text())
    page_of_host = layout(body="").replace("<html", f"<html data-bs-theme='{theme}'")
    own = "<h1>Mine</h1><a class='btn-primary'>Mine</a><input class='form-control' aria-label='Mine'><p class='card'>"
    styled = page_of_host.replace("</head>", "<link rel='stylesheet' href='/own.css'></head>")
    set_up_host(site, styled.replace("<div id='main'>", f"{own}Mine</p><div id='main'>"))
    site.host.app.add_url_rule("/own.css", "own", lambda: Response(BOOTSTRAP + recipe, mimetype="text/css"))
    page = site.visit("/access-tokens/new", viewport={"width": width, "height": 700})

    def styles(selector: str, names: tuple[str, ...]) -> dict[str, str]:
        script = "(element, names) => names.map((name) => getComputedStyle(element)[name])"
        return dict(zip(names, page.locator(selector).first.evaluate(script, list(names)), strict=True))

    for selector, (ours, names) in LIKE_THE_HOST.items():
        assert styles(ours, names) == styles(selector, names), selector


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
        ann.get(f"{prefix}/{token_id}/edit", base_url=base),
        ann.get(f"{prefix}/{token_id}/rotate", base_url=base),
        bob.get(f"{prefix}/{token_id}/delete", base_url=base, headers={"HX-Request": "true"}),
        ann.post(f"{prefix}/new", data={"lifetime_days": "many"}, base_url=base),
        ann.post(f"{prefix}/new", data={"name": "new", "lifetime_days": "30"}, base_url=base),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 200, 200, 422, 200]
    return "".join(answer.text for answer in answers)


def every_answer_of_the_desk(host: Host) -> str:
    """The responses of the operators' desk in all of its states, concatenated."""
    olga = host.client(OPERATOR)
    new = {"name": "new", "lifetime_days": "30"}
    created: str = olga.post(f"{DESK}new?owner=ann", data=new).text
    (secret,) = SECRET.findall(created)
    answers = [
        olga.get(f"{DESK}?owner=ann"),
        olga.get(f"{DESK}?q=zebra"),
        olga.post(f"{DESK}find", data={"text": secret}),
        olga.get(f"{DESK}delete?everything=1&owner=ann"),
        olga.get(f"{DESK}new"),
        olga.get(f"{DESK}new?owner=ann&name=CI"),
        olga.post(f"{DESK}new?owner=ann", data={**new, "name": ""}),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 200, 422]
    return created + "".join(answer.text for answer in answers)


@pytest.mark.parametrize(
    ("folder", "every"), [(".", every_answer), ("desk", every_answer_of_the_desk)], ids=["page", "desk"]
)
def test_a_host_overrides_any_partial_with_a_file_of_the_same_name(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, folder: str, every: Callable[[Host], str]
) -> None:
    monkeypatch.setattr(own_panel, "PAGE_SIZE", 1)
    monkeypatch.setattr(desk_panel, "PAGE_SIZE", 1)
    host = make_host(owner=people)
    open_desk(host)
    pages: dict[str, str] = {}
    host.app.jinja_loader = DictLoader(pages)
    compiled: Any = host.app.jinja_env.cache

    def forget(name: str) -> None:
        for key in [key for key in compiled.keys() if key[1] == name]:  # noqa: SIM118
            del compiled[key]

    for name in ("laptop", "phone"):
        host.generate("ann", name)
    partials = sorted(path.relative_to(TEMPLATES).as_posix() for path in (TEMPLATES / folder).glob("_*.html"))
    assert len(partials) > 12
    for partial in partials:
        name = f"access_tokens/{partial}"
        pages[name] = "mine instead"
        forget(name)
        text = every(host)
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

"""The page in any host's clothes: its htmx, its layout, its addresses, its policy for content."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Response, g, render_template, render_template_string, send_file, session
from host import Host
from jinja2 import DictLoader
from playwright.sync_api import Page, expect
from sites import SECRET, Site, generate, open_form, said, send, settle
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_access_tokens.page import panel

TEMPLATES = Path(panel.__file__).parent / "templates" / "access_tokens"

INHERITED = {
    "boost": "true",
    "target": "#main",
    "select": "#main",
    "swap": "outerHTML",
    "push-url": "true",
    "replace-url": "true",
    "confirm": "Sure?",
}
GREEDY = " ".join(f'hx-{name}="{value}" hx-{name}:inherited="{value}"' for name, value in INHERITED.items())
"""What a host's <body> may hand down to everything in it; htmx 4 reads the second form of each."""

# The styles that htmx 1 and 2 write for themselves break this policy; that is between them and their host.
CONFIG = """<meta name="htmx-config" content='{"includeIndicatorStyles": false}'>"""
SCRIPTS = {"before": "<script src='/htmx.js'></script>", "deferred": "<script src='/htmx.js' defer></script>"}
SCRIPTS["after"] = SCRIPTS["before"]


def layout(place: str = "", body: str = GREEDY) -> str:
    """A host's layout that loads its htmx before the panel, deferred, or after it."""
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Host</title>{CONFIG}"
        f"{SCRIPTS[place] if place in ('before', 'deferred') else ''}</head><body {body}>"
        "<header><b>My host</b> <a href='/home'>Home</a> <a href='/access-tokens/'>Tokens</a></header>"
        "<div id='main'>{% block content %}{% endblock %}</div>"
        f"{SCRIPTS['after'] if place == 'after' else ''}</body></html>"
    )


def dress(site: Site, page: str, htmx: Path | None = None) -> None:
    """Give a site its layout, pages of its own, and its htmx."""
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
    """One panel, inside the host's page, and the host's page round it."""
    settle(page)
    expect(page.locator("#access-tokens")).to_have_count(1)
    expect(page.locator("#main #access-tokens .access-tokens-head")).to_have_count(1)
    expect(page.locator("body > header")).to_have_text("My host Home Tokens")


def go_all_the_way(site: Site, page: Page) -> None:
    """Generate with an error first, copy, search, delete: each sent once, each answer in its place."""
    open_form(page)
    expect_in_place(page)
    send(page)
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_be_focused()
    expect_in_place(page)
    page.get_by_label("Name").fill("laptop")
    send(page)
    expect(page.get_by_label("Your new token")).to_be_focused()
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    expect_in_place(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(said(page)).to_have_text("Token copied to clipboard.")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    expect_in_place(page)
    page.get_by_label("Search tokens").fill("LAP")
    page.get_by_label("Search tokens").press("Enter")
    # The list before the search said as much: its answer is there when the links keep the search.
    expect(page.get_by_role("link", name="Generate new token")).to_have_attribute("href", re.compile("q=LAP"))
    expect(said(page)).to_have_text("1 token.")
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    expect_in_place(page)
    page.get_by_role("button", name="Delete token laptop").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    expect_in_place(page)
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    expect_in_place(page)
    sent = [line for line in site.asked if line.startswith("POST")]
    assert site.posts == len(sent) == 3, "refused, generated, deleted: each sent once"
    assert site.host.rows() == []


@pytest.mark.parametrize(
    ("version", "place", "arrival"),
    [
        (1, "before", "embedded"),
        (1, "deferred", "boosted"),
        (2, "deferred", "address"),
        (2, "after", "boosted"),
        (4, "before", "address"),
        (4, "deferred", "boosted"),
        (4, "after", "embedded"),
    ],
)
def test_a_host_s_own_htmx_drives_the_panel_and_nothing_else(
    make_site: Callable[..., Site], npm: Path, version: int, place: str, arrival: str
) -> None:
    site = make_site()
    dress(site, layout(place), own_htmx(npm, version))
    page = site.visit({"embedded": "/settings", "boosted": "/home", "address": "/access-tokens/"}[arrival])
    if arrival == "boosted":
        page.get_by_role("link", name="Tokens").click()
        expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    asked_first = list(site.dialogs)
    here = page.url
    go_all_the_way(site, page)
    assert site.dialogs == asked_first, "the host's question was asked for the panel"
    assert sum(line.endswith("/htmx.js") for line in site.asked) == 1
    assert not [line for line in site.asked if "/assets/htmx" in line], "two htmx on one page"
    assert page.url.partition("?")[0] == here


@pytest.mark.parametrize(("setting", "body"), [("auto", GREEDY), ("bundled", "")])
def test_where_the_host_has_no_htmx_the_panel_brings_one(
    make_site: Callable[..., Site], setting: str, body: str
) -> None:
    site = make_site(ACCESS_TOKENS_HTMX=setting)
    dress(site, layout(body=body))
    page = site.visit()
    go_all_the_way(site, page)
    assert sum("/assets/htmx" in line for line in site.asked) == 1
    assert site.dialogs == []


def test_a_host_that_brings_its_htmx_after_the_page_says_so(make_site: Callable[..., Site], npm: Path) -> None:
    site = make_site(ACCESS_TOKENS_HTMX="host")
    dress(site, layout().replace("</head>", "<script src='/late.js'></script></head>"), own_htmx(npm, 2))

    @site.host.app.get("/late.js")
    def late() -> Response:
        script = "const late = document.createElement('script'); late.src = '/htmx.js'; document.head.append(late)"
        return Response(
            f"addEventListener('load', () => setTimeout(() => {{ {script} }}, 100))", mimetype="text/javascript"
        )

    page = site.visit()
    page.evaluate("async () => { while (!window.htmx) await new Promise((again) => setTimeout(again, 20)) }")
    go_all_the_way(site, page)
    assert not [line for line in site.asked if "/assets/htmx" in line]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_what_fails_is_said_on_the_page_and_nothing_typed_is_lost(
    make_site: Callable[..., Site], npm: Path, version: int
) -> None:
    site = make_site()
    dress(site, layout("before" if version else ""), own_htmx(npm, version))
    page = site.visit("/access-tokens/new")
    name = page.get_by_label("Name")
    name.fill("patient")
    failure = page.locator("[data-failure]")
    for status in (500, 503):
        site.broken = status
        send(page)
        expect(failure).to_have_text("The server could not do this now. Try again in a moment.")
        expect(said(page)).to_have_text("The server could not do this now. Try again in a moment.")
        failure.evaluate("element => element.remove()")
    site.broken = 0
    page.context.set_offline(True)
    send(page)
    expect(failure).to_contain_text("The server cannot be reached.")
    page.context.set_offline(False)
    expect_in_place(page)
    expect(name).to_have_value("patient")
    # Signed in again in another window: the session lives, and the form belongs to the one before.
    page.context.request.get(f"{site.address}/sign-out")
    page.context.request.get(f"{site.address}/sign-in/ann")
    send(page)
    expect(page.get_by_text("This form has expired.")).to_be_focused()
    expect_in_place(page)
    expect(name).to_have_value("patient")
    send(page)
    expect(page.get_by_role("row", name="patient")).to_be_visible()
    assert len(site.host.rows()) == 1
    settle(page)
    page.get_by_role("button", name="Delete token patient").click()
    page.get_by_role("button", name="Delete token", exact=True).wait_for()
    settle(page)
    page.context.request.get(f"{site.address}/sign-out")
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in to my host")).to_be_visible()
    expect(page).to_have_url(f"{site.address}/welcome")
    assert len(site.host.rows()) == 1
    site.forgive_refusals()


@pytest.mark.case("D10")
@pytest.mark.parametrize("version", [1, 2, 4])
def test_the_secret_is_gone_when_its_owner_comes_back_to_the_page(
    make_site: Callable[..., Site], npm: Path, version: int
) -> None:
    site = make_site()
    # No wish about the address in <body>: htmx 4 would apply it to the way back.
    body = " ".join(re.sub(r"hx-(push|replace)-url\S+|hx-confirm\S+", "", GREEDY).split())
    dress(site, layout("before", body), own_htmx(npm, version))
    page = site.visit()
    secret = generate(page)
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_text("Welcome home.")).to_be_visible()
    home, row = page.get_by_text("Welcome home."), page.get_by_role("row", name="laptop")
    for move, shown in ((page.go_back, row), (page.go_forward, home), (page.go_back, row), (page.reload, row)):
        move()
        expect(shown).to_be_visible()
        assert secret not in page.content()
        assert secret not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")
    expect_in_place(page)
    assert not [line for line in site.sent if secret in line or SECRET.search(line)]


def test_a_policy_of_nonces_is_kept(make_site: Callable[..., Site], npm: Path) -> None:
    site = make_site()
    site.policy = (
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src 'self'"
    )
    site.host.app.context_processor(lambda: {"csp_nonce": lambda: g.nonce})
    page = site.visit()
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(said(page)).to_have_text("Token copied to clipboard.")
    assert page.locator(".access-tokens-head").evaluate("head => getComputedStyle(head).display") == "flex"
    assert [line for line in site.asked if "/assets/htmx" in line]
    assert secret not in "".join(site.sent)


UNRULY = """
:root { color-scheme: dark; --access-tokens-accent: rgb(224, 176, 80); --access-tokens-on-accent: black }
body { background: rgb(27, 23, 18); color: rgb(239, 230, 213); font: 19px Georgia, serif }
legend, label { float: left; width: 100% }
section, header, nav, form { border: 3px solid red; padding: 2rem; background: black }
input, button, select, code { text-transform: uppercase; letter-spacing: 0.3em }
p { text-indent: 4em }
"""


def test_the_panel_takes_the_host_s_fonts_and_colours_and_not_its_boxes(make_site: Callable[..., Site]) -> None:
    site = make_site()
    dress(site, layout().replace("</head>", "<link rel='stylesheet' href='/unruly.css'></head>"))
    site.host.app.add_url_rule("/unruly.css", "unruly", lambda: Response(UNRULY, mimetype="text/css"))
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
    assert style("#access-tokens-secret", "textTransform") == "none", "nobody could type it off"
    assert style("#access-tokens-secret", "letterSpacing") == "normal"


def every_answer(host: Host, prefix: str = "/access-tokens", base: str = "http://localhost") -> str:
    """What the page says in all of its states, in one text."""
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


def test_a_host_replaces_any_piece_by_a_file_of_the_same_name(
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
    pieces = sorted(path.name for path in TEMPLATES.glob("_*.html"))
    assert len(pieces) > 20
    for piece in pieces:
        name = f"access_tokens/{piece}"
        pages[name] = "mine instead"
        forget(name)
        text = every_answer(host)
        assert "mine instead" in text, piece
        assert ('id="access-tokens"' in text) == (piece != "_panel.html"), piece
        del pages[name]
        forget(name)


def test_a_mount_a_prefix_and_the_host_s_blueprints_change_addresses_only(
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

"""The panel in hosts that load their own htmx."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Response
from playwright.sync_api import Page, expect

from htmx import BODY_ATTRIBUTES, expect_in_place, layout, own_htmx, set_up_host
from sites import SECRET, Site, announcement, generate, open_form, send, settle


def generate_others(site: Site) -> None:
    """Give Ann enough tokens for a search."""
    for number in range(5):
        site.host.generate("ann", f"robot {number}")


def generate_search_and_delete(site: Site, page: Page) -> None:
    """Submit an invalid form, then generate, copy, search and delete; check the requests and the page."""
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
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    expect_in_place(page)
    page.get_by_label("Search tokens").fill("LAP")
    page.get_by_label("Search tokens").press("Enter")
    # The list looked the same before the search: the response has arrived when the links contain the query.
    expect(page.get_by_role("link", name="Generate new token")).to_have_attribute("href", re.compile("q=LAP"))
    expect(announcement(page)).to_have_text("1 of 6 tokens.")
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    expect_in_place(page)
    page.get_by_role("button", name="Delete token laptop").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    expect_in_place(page)
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_text("No tokens match.")).to_be_visible()
    expect_in_place(page)
    sent = [line for line in site.requests if line.startswith("POST")]
    assert site.posts == len(sent) == 3, "refused, generated, deleted: each sent once"
    assert len(site.host.rows()) == 5


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
def test_a_host_s_own_htmx_drives_the_panel_without_a_second_copy(
    make_site: Callable[..., Site], npm: Path, version: int, place: str, arrival: str
) -> None:
    site = make_site()
    generate_others(site)
    set_up_host(site, layout(place), own_htmx(npm, version))
    page = site.visit({"embedded": "/settings", "boosted": "/home", "address": "/access-tokens/"}[arrival])
    if arrival == "boosted":
        page.get_by_role("link", name="Tokens").click()
        expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    dialogs_before = list(site.dialogs)
    here = page.url
    generate_search_and_delete(site, page)
    assert site.dialogs == dialogs_before, "the host's hx-confirm was applied to the panel"
    assert sum(line.endswith("/htmx.js") for line in site.requests) == 1
    assert not [line for line in site.requests if "/assets/htmx" in line], "htmx was loaded twice"
    assert page.url.partition("?")[0] == here


@pytest.mark.parametrize(("setting", "body"), [("auto", BODY_ATTRIBUTES), ("bundled", "")])
def test_the_panel_loads_htmx_where_the_host_has_none(make_site: Callable[..., Site], setting: str, body: str) -> None:
    site = make_site(ACCESS_TOKENS_HTMX=setting)
    generate_others(site)
    set_up_host(site, layout(body=body))
    page = site.visit()
    generate_search_and_delete(site, page)
    assert sum("/assets/htmx" in line for line in site.requests) == 1
    assert site.dialogs == []


def test_a_host_may_load_htmx_after_the_page_with_the_setting_host(make_site: Callable[..., Site], npm: Path) -> None:
    site = make_site(ACCESS_TOKENS_HTMX="host")
    generate_others(site)
    set_up_host(site, layout().replace("</head>", "<script src='/late.js'></script></head>"), own_htmx(npm, 2))

    @site.host.app.get("/late.js")
    def late() -> Response:
        script = "const late = document.createElement('script'); late.src = '/htmx.js'; document.head.append(late)"
        return Response(
            f"addEventListener('load', () => setTimeout(() => {{ {script} }}, 100))", mimetype="text/javascript"
        )

    page = site.visit()
    page.evaluate("async () => { while (!window.htmx) await new Promise((again) => setTimeout(again, 20)) }")
    generate_search_and_delete(site, page)
    assert not [line for line in site.requests if "/assets/htmx" in line]


@pytest.mark.parametrize("version", [0, 1, 2])
def test_errors_are_shown_on_the_page_and_the_values_entered_are_kept(
    make_site: Callable[..., Site], npm: Path, version: int
) -> None:
    site = make_site()
    set_up_host(site, layout("before" if version else ""), own_htmx(npm, version))
    page = site.visit("/access-tokens/new")
    name = page.get_by_label("Name")
    name.fill("patient")
    failure = page.locator("[data-failure]")
    for status in (500, 503):
        site.forced_status = status
        send(page)
        expect(failure).to_have_text("Something went wrong on the server. Try again in a moment.")
        expect(announcement(page)).to_have_text("Something went wrong on the server. Try again in a moment.")
        failure.evaluate("element => element.remove()")
    site.forced_status = 0
    page.context.set_offline(True)
    send(page)
    expect(failure).to_contain_text("The server cannot be reached.")
    page.context.set_offline(False)
    expect_in_place(page)
    expect(name).to_have_value("patient")
    # Signed in again in another window: the session is valid, but the form belongs to the previous one.
    page.context.request.get(f"{site.address}/sign-out")
    page.context.request.get(f"{site.address}/sign-in/ann")
    send(page)
    expect(page.locator(".access-tokens-notice", has_text="This form has expired.")).to_be_focused()
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
    site.ignore_expected_errors()


@pytest.mark.case("D10")
@pytest.mark.parametrize("version", [1, 2, 4])
def test_the_secret_is_not_shown_after_navigating_back_or_forward(
    make_site: Callable[..., Site], npm: Path, version: int
) -> None:
    site = make_site()
    # No attributes about the URL or confirmation on <body>: htmx 4 would apply them when going back.
    body = " ".join(re.sub(r"hx-(push|replace)-url\S+|hx-confirm\S+", "", BODY_ATTRIBUTES).split())
    set_up_host(site, layout("before", body), own_htmx(npm, version))
    page = site.visit()
    secret = generate(page)
    page.get_by_role("link", name="Home").click()
    expect(page.get_by_text("Welcome home.")).to_be_visible()
    home, row = page.get_by_text("Welcome home."), page.get_by_role("row", name="laptop")
    for move, shown in ((page.go_back, row), (page.go_forward, home), (page.go_back, row), (page.reload, row)):
        move()
        expect(shown).to_be_visible()
        assert secret not in page.locator("html").inner_html()
        assert secret not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")
    expect_in_place(page)
    assert not [line for line in site.sent if secret in line or SECRET.search(line)]

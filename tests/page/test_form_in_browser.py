"""The form, error messages and use without JavaScript in a browser."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Response, render_template_string, send_file
from playwright.sync_api import expect

from flask_access_tokens import tokens
from sites import Site, announcement, generate

HTMX = Path(tokens.__file__).parent / "page" / "static" / "htmx-4.0.1.min.js"


@pytest.fixture
def site(make_site: Callable[..., Site], request: pytest.FixtureRequest) -> Site:
    """A site configured by the test's parameter, with a host page that embeds the panel and a copy of htmx."""
    site = make_site(**getattr(request, "param", {}))

    @site.host.app.get("/embedded")
    def embedded() -> str:
        return render_template_string(
            "<!doctype html><title>Mine</title><h2>My settings</h2>{% include 'access_tokens/_page.html' %}"
        )

    @site.host.app.get("/htmx.js")
    def htmx() -> Response:
        return send_file(HTMX)

    return site


def test_a_refused_form_focuses_its_first_invalid_field(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("fine")
    page.get_by_label("Lifetime (days)").fill("many")
    page.get_by_role("button", name="Generate", exact=True).click()
    field = page.get_by_label("Lifetime (days)")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("1 to 99,999 days"))
    expect(field).to_have_value("many")
    expect(page.get_by_label("Name")).to_have_value("fine")


def test_an_error_and_the_mark_of_a_link_go_when_the_value_changes(site: Site) -> None:
    page = site.visit("/access-tokens/new?lifetime_days=-5&scopes=read")
    page.get_by_role("button", name="Generate", exact=True).click()
    lifetime = page.locator("#access-tokens-lifetime_days")
    expect(lifetime).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Set by the link")).to_have_count(2)
    page.get_by_role("radio", name="90 days").check()
    expect(lifetime).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("#access-tokens-lifetime_days-error")).to_have_count(0)
    expect(page.locator("#access-tokens-name-error")).to_be_visible()
    expect(page.get_by_text("Set by the link")).to_have_count(1)
    page.get_by_role("checkbox", name="Read things").uncheck()
    expect(page.get_by_text("Set by the link")).to_have_count(0)


def test_presets_and_the_number_follow_each_other_and_update_the_expiry_date(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    number, sentence = page.get_by_label("Lifetime (days)"), page.locator("[data-expiry-text]")
    expect(page.get_by_role("radio", name="365 days")).to_be_checked()
    expect(sentence).to_have_text(re.compile(r"Expires on \d+ \w+ \d{4}\."))
    first = sentence.inner_text()
    page.get_by_role("radio", name="30 days").check()
    expect(number).to_have_value("30")
    expect(sentence).not_to_have_text(first)
    expect(announcement(page)).to_have_text(sentence.inner_text())
    number.fill("365")
    expect(sentence).to_have_text(first)
    expect(page.get_by_role("radio", name="365 days")).to_be_checked()
    number.fill("41")
    expect(page.get_by_role("radio", name="Custom")).to_be_checked()
    page.get_by_role("radio", name="Never").check()
    expect(number).to_have_value("-1")
    expect(sentence).to_have_text(
        "This token will never expire. Set an expiration if you can, in case it is forgotten or leaked."
    )
    page.get_by_role("radio", name="Custom").check()
    expect(number).to_have_value("")
    expect(sentence).to_have_text("")


def test_without_javascript_a_preset_counts_and_the_sentence_stays_true(site: Site) -> None:
    page = site.visit("/access-tokens/new", java_script_enabled=False)
    expect(page.locator("[data-expiry-text]")).to_contain_text("A lifetime of 365 days ends on")
    for name, typed, chosen, days in (("a", "", "30 days", 30), ("b", "41", "", 41), ("c", "", "Custom", 365)):
        page.goto(f"{site.address}/access-tokens/new")
        page.locator("#access-tokens-name").fill(name)
        if typed:
            page.get_by_label("Lifetime (days)").fill(typed)
        if chosen:
            page.get_by_role("radio", name=chosen).check()
        page.get_by_role("button", name="Generate", exact=True).click()
        token = site.host.find(page.get_by_label("Your new token").input_value())
        assert token is not None
        assert token.expires_at is not None
        assert (token.expires_at - token.created_at).days == days


def test_a_server_error_is_shown_on_the_page_and_announced(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("patient")
    site.forced_status = 503
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("[data-failure]")).to_contain_text("Something went wrong on the server.")
    expect(announcement(page)).to_contain_text("Something went wrong on the server.")
    site.forced_status = 0
    page.route("**/new", lambda route: route.abort())
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("[data-failure]")).to_contain_text("The server cannot be reached.")
    page.unroute("**/new")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_role("row", name="patient")).to_be_visible()
    assert [text for text in site.errors if "Failed" not in text] == []
    site.errors.clear()


def test_an_ended_session_redirects_to_the_sign_in(site: Site) -> None:
    @site.host.app.errorhandler(401)
    def sign_in_first(error: Any) -> Any:
        return "", 302, {"Location": "/optional"}

    page = site.visit()
    page.context.clear_cookies()
    page.get_by_role("link", name="Generate new token").click()
    expect(page).to_have_url(f"{site.address}/optional")
    site.errors.clear()


def test_without_javascript_a_token_is_generated_and_deleted(site: Site) -> None:
    for number in range(5):
        site.host.generate("ann", f"robot {number}")
    page = site.visit(java_script_enabled=False)
    page.get_by_role("link", name="Generate new token").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name").fill("plain")
    page.get_by_label("Read things").check()
    page.get_by_role("button", name="Generate", exact=True).click()
    secret = page.get_by_label("Your new token").input_value()
    token = site.host.find(secret)
    assert token is not None
    assert token.scopes == ("read",)
    expect(page.get_by_text("Waiting for its first use …")).to_be_hidden()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    page.get_by_label("Search tokens").fill("PLA")
    page.get_by_label("Search tokens").press("Enter")
    expect(page).to_have_url(re.compile(r"q=PLA"))
    page.get_by_role("link", name="Last used").click()
    expect(page).to_have_url(re.compile(r"q=PLA&sort=-used$"))
    page.get_by_role("button", name="Delete token plain").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_url(re.compile(r"q=PLA&sort=-used$"))
    page.get_by_role("button", name="Delete token plain").click()
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page).to_have_url(re.compile(r"/access-tokens/\?q=PLA&sort=-used&notice="))
    expect(page.locator(".access-tokens-notice", has_text="Token “plain” was deleted.")).to_be_visible()
    assert site.host.find(secret) is None
    assert ["422" in text for text in site.errors] == [True]
    site.errors.clear()


def test_in_a_page_of_the_host_the_panel_works_in_place(site: Site) -> None:
    page = site.visit("/embedded")
    expect(page.get_by_role("heading", name="My settings")).to_be_visible()
    secret = generate(page)
    page.get_by_role("button", name="Done").click()
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Delete token laptop").click()
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    expect(page).to_have_url(f"{site.address}/embedded")
    assert site.host.find(secret) is None


BODY_ATTRIBUTES = (
    'hx-boost="true" hx-boost:inherited="true" hx-target="main" hx-target:inherited="main" hx-select="main"'
    ' hx-select:inherited="main" hx-push-url="true" hx-push-url:inherited="true" hx-swap="innerHTML"'
    ' hx-swap:inherited="innerHTML"'
)
LAYOUT = (
    f"<!doctype html><title>Layout</title><script src=/htmx.js></script><body {BODY_ATTRIBUTES}>"
    "<a href=/access-tokens/>Tokens</a><main>{% block content %}{% endblock %}</main>"
)


@pytest.mark.parametrize("arrival", ["by a boosted link", "by its address"])
def test_a_host_with_its_own_htmx_loads_no_second_one_and_keeps_the_panel_in_place(site: Site, arrival: str) -> None:
    site.pages["layout.html"] = LAYOUT
    site.host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"

    @site.host.app.get("/home")
    def home() -> str:
        return render_template_string("{% extends 'layout.html' %}{% block content %}Home{% endblock %}")

    if arrival == "by its address":
        page = site.visit()
    else:
        page = site.visit("/home")
        page.get_by_role("link", name="Tokens").click()
    generate(page)
    expect(page.locator("#access-tokens")).to_have_count(1)
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert site.posts == sum(line.startswith("POST") for line in site.requests) == 1
    assert not [line for line in site.requests if "/assets/htmx" in line]
    expect(page).to_have_url(f"{site.address}/access-tokens/")


@pytest.mark.parametrize(
    ("site", "loads"),
    [
        ({"ACCESS_TOKENS_HTMX": "auto"}, 1),
        ({"ACCESS_TOKENS_HTMX": "bundled"}, 1),
        ({"ACCESS_TOKENS_HTMX": "host"}, 0),
    ],
    indirect=["site"],
)
def test_the_setting_decides_who_loads_htmx(site: Site, loads: int) -> None:
    page = site.visit()
    generate(page)
    assert sum("/assets/htmx" in line for line in site.requests) == loads
    assert page.url.endswith("/new") == (loads == 0), "without htmx the form is a page of its own"

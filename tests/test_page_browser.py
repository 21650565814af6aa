"""The page in a real Chromium, under a strict policy for content."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Response, render_template_string, send_file
from host import bearer
from playwright.sync_api import Page, expect
from sites import SECRET, Site, generate, said

from flask_access_tokens import tokens

HTMX = Path(tokens.__file__).parent / "page" / "static" / "htmx-4.0.1.min.js"


@pytest.fixture
def site(make_site: Callable[..., Site], request: pytest.FixtureRequest) -> Site:
    """A site with the settings of the test's parameter, a page of the host's with the panel in it, and an htmx."""
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


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id"))


def test_a_new_token_is_shown_once_marked_and_ready_to_copy(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    assert SECRET.fullmatch(secret)
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("readonly", "")
    assert page.evaluate("getSelection().toString()") == secret
    expect(page.get_by_text("It cannot be shown again.")).to_be_visible()
    expect(page.get_by_role("row", name="laptop")).to_contain_text("Never")
    command = page.locator("pre").inner_text()
    assert command == f'curl -H "Authorization: Bearer $TOKEN" {site.address}/api'
    assert page.content().count(secret) == 1


@pytest.mark.case("D20")
def test_the_token_is_copied_and_the_copy_is_spoken(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    region = said(page).element_handle()
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(said(page)).to_have_text("Token copied to clipboard.")
    assert region is not None
    assert region.evaluate("region => region.isConnected"), "the live region was replaced"
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="Copy command").click()
    expect(said(page)).to_have_text("Command copied to clipboard.")
    assert "$TOKEN" in page.evaluate("navigator.clipboard.readText()")


def test_the_token_is_copied_where_the_browser_has_no_clipboard_for_scripts(site: Site) -> None:
    page = site.visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(said(page)).to_have_text("Token copied to clipboard.")
    page.get_by_role("link", name="Generate new token").click()
    page.get_by_label("Name").press("Control+v")
    expect(page.get_by_label("Name")).to_have_value(secret)


def test_a_copy_that_fails_is_said_and_the_token_stays_marked(site: Site) -> None:
    page = site.visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.evaluate("document.execCommand = () => false")
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(page.locator("[data-failure]")).to_contain_text("Copy the marked text yourself.")
    assert page.evaluate("getSelection().toString()") == secret


@pytest.mark.case("D10")
def test_the_secret_is_gone_after_a_reload_and_on_the_way_back(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    page.reload()
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    assert secret not in page.content()
    secret = generate(page, "phone")
    page.goto(f"{site.address}/optional")
    page.go_back()
    expect(page.get_by_role("row", name="phone")).to_be_visible()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    assert secret not in page.content()
    page.go_forward()
    page.go_back()
    assert secret not in page.content()


@pytest.mark.case("D10")
def test_a_page_that_is_kept_for_the_way_back_keeps_no_secret(site: Site) -> None:
    page = site.visit()
    generate(page)
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    expect(page.get_by_label("Your new token")).to_have_count(0)
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    assert not SECRET.search(page.content())


@pytest.mark.case("D10")
def test_the_secret_is_in_no_storage_address_or_history(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href])")
    assert secret not in kept
    assert secret not in json.dumps(page.context.cookies())
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Search tokens")).to_be_visible()
    assert secret not in page.content()


def test_leaving_warns_until_the_token_is_copied(site: Site) -> None:
    page = site.visit()
    generate(page)
    page.reload()
    assert site.dialogs == ["beforeunload"]
    generate(page, "phone")
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(said(page)).to_have_text("Token copied to clipboard.")
    page.reload()
    generate(page, "tablet")
    page.keyboard.press("Control+c")
    page.reload()
    assert site.dialogs == ["beforeunload"]


@pytest.mark.case("D03", "D20")
def test_deleting_asks_first_and_then_goes_on_with_the_next_row(site: Site) -> None:
    kept, gone = site.host.generate("ann", "older"), site.host.generate("ann", "newer")
    page = site.visit()
    page.get_by_role("button", name="Delete token newer").click()
    question = page.get_by_role("heading", name="Delete token “newer”?")
    expect(question).to_be_focused()
    for words in ("Last used: never.", "will stop working", "cannot be undone"):
        expect(page.get_by_text(words)).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Delete token newer")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_role("row", name="newer")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete token older")).to_be_focused()
    expect(said(page)).to_have_text("Token “newer” was deleted.")
    assert site.host.find(gone.secret) is None
    assert site.host.find(kept.secret) is not None
    assert not [line for line in site.asked if "csrf" in line]
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_focused()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()


def test_the_question_warns_of_a_token_that_was_used_lately(site: Site) -> None:
    new = site.host.generate("ann", "busy")
    site.host.app.test_client().get("/api", headers=bearer(new.secret))
    page = site.visit()
    page.get_by_role("button", name="Delete token busy").click()
    expect(page.get_by_text("Last used just now.")).to_be_visible()
    expect(page.get_by_text("Something probably still depends on it.")).to_be_visible()


def test_the_whole_way_goes_by_keyboard(site: Site) -> None:
    page = site.visit()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("robot")
    page.keyboard.press("Enter")
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    secret = field.input_value()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(said(page)).to_have_text("Token copied to clipboard.")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    details = page.locator("summary")
    while not details.evaluate("element => element === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("details").get_by_text("UTC").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("details").get_by_text("UTC").first).to_be_hidden()
    expect(details).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Delete token “robot”?")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    assert site.host.find(secret) is None


def test_the_focus_stays_where_a_person_moved_it_while_the_answer_came(site: Site) -> None:
    page = site.visit()
    page.evaluate("""() => {
      new MutationObserver((_, observer) => {
        const choice = document.querySelector("[data-fills][data-value='7']");
        if (choice) {
          observer.disconnect();
          setTimeout(() => choice.focus(), 5);
        }
      }).observe(document.body, { childList: true, subtree: true });
      document.activeElement.blur();
      document.getElementById("access-tokens-generate").click();
    }""")
    expect(page.get_by_role("button", name="7 days")).to_be_visible()
    page.wait_for_timeout(300)
    expect(page.get_by_role("button", name="7 days")).to_be_focused()


def test_a_refused_form_leads_to_its_first_bad_field(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("fine")
    page.get_by_label("Lifetime (days)").fill("many")
    page.get_by_role("button", name="Generate", exact=True).click()
    field = page.get_by_label("Lifetime (days)")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile("1 to 99999 days"))
    expect(field).to_have_value("many")
    expect(page.get_by_label("Name")).to_have_value("fine")


def test_a_double_click_sends_one_request(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("twice")
    page.get_by_role("button", name="Generate", exact=True).dblclick()
    expect(page.get_by_label("Your new token")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert site.posts == sum(line.startswith("POST") for line in site.asked) == 1
    assert len(site.host.rows()) == 1
    assert site.host.find(page.get_by_label("Your new token").input_value()) is not None


def test_presets_set_the_number_and_say_the_date(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    expect(page.get_by_role("button", name="365 days")).to_have_attribute("aria-pressed", "true")
    first = page.locator("[data-expiry-text]").inner_text()
    assert re.fullmatch(r"Expires on \d+ \w+ \d{4}\.", first)
    page.get_by_role("button", name="30 days").click()
    expect(page.get_by_label("Lifetime (days)")).to_have_value("30")
    expect(page.locator("[data-expiry-text]")).not_to_have_text(first)
    page.get_by_label("Lifetime (days)").fill("365")
    expect(page.locator("[data-expiry-text]")).to_have_text(first)
    page.get_by_role("button", name="Never").click()
    expect(page.locator("[data-expiry-text]")).to_contain_text("Never expires.")
    page.get_by_role("button", name="Custom").click()
    expect(page.get_by_label("Lifetime (days)")).to_be_focused()
    page.get_by_role("button", name="Laptop").click()
    expect(page.get_by_label("Name")).to_have_value("Laptop")


def test_search_filter_order_and_pages_stand_in_the_address(site: Site) -> None:
    for number in range(30):
        site.host.generate("ann", f"robot {number:02}", lifetime_days=9 if number == 7 else 90)
    page = site.visit()
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile(r"\?page=2$"))
    expect(page.get_by_role("row")).to_have_count(6)
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    expect(page.get_by_role("link", name="Name")).to_be_focused()
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 00")
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("searchbox", name="Search tokens").fill("ROBOT 1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(11)
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 19")
    expect(said(page)).to_have_text("10 tokens.")
    page.reload()
    expect(page.get_by_role("row")).to_have_count(11)
    page.get_by_label("Search tokens").fill("")
    page.get_by_label("Status").select_option("Expiring soon")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 07")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Expiring soon")
    page.get_by_role("button", name="Delete token robot 07").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Status")).to_have_value("expiring")
    page.get_by_role("link", name="Never used").click()
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_label("Search tokens").fill("zebra")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No token matches.")).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(page.get_by_role("row")).to_have_count(26)
    assert page.evaluate("history.length") <= 3, "looking through the list fills the history"


def test_a_phone_never_scrolls_sideways(site: Site) -> None:
    site.host.generate("ann", "w" * 100, description="d" * 255, scopes=["read", "write"])
    page = site.visit(viewport={"width": 375, "height": 700}, has_touch=True)

    def fits() -> bool:
        return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))

    assert fits(), "the list"
    page.locator("summary").tap()
    expect(page.locator("details").get_by_text("UTC").first).to_be_visible()
    assert fits(), "the details"
    page.get_by_role("link", name="Generate new token").tap()
    expect(page.get_by_label("Name")).to_be_focused()
    assert fits(), "the form"
    page.get_by_label("Name").fill("phone")
    page.get_by_role("button", name="Generate", exact=True).tap()
    expect(page.get_by_label("Your new token")).to_be_visible()
    assert fits(), "the new token"
    page.get_by_role("button", name="Delete token www").tap()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    assert fits(), "the question"


def test_exact_times_are_in_utc_and_in_the_zone_of_the_reader(site: Site) -> None:
    site.host.generate("ann", "clock")
    page = site.visit()
    time = page.get_by_role("row", name="clock").locator("td > time").first
    expect(time).to_have_text("just now")
    expect(time).to_have_attribute("title", re.compile(r"your time\n.* UTC$"))
    expect(time).to_have_attribute("datetime", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"))
    page.locator("summary").click()
    expect(page.locator("details").get_by_text("your time").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("details").get_by_text("your time").first).to_be_hidden()
    expect(page.locator("summary")).to_be_focused()


def test_the_first_use_is_told_while_the_page_is_open(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    expect(page.get_by_text("Waiting for its first use …")).to_be_visible()
    call = urllib.request.Request(f"{site.address}/api", headers=bearer(secret))
    with urllib.request.urlopen(call) as answer:
        assert answer.status == 200
    expect(page.locator(".access-tokens-waiting")).to_have_text("It works: used just now.", timeout=15_000)
    expect(page.get_by_role("row", name="laptop")).not_to_contain_text("Never")
    expect(said(page)).to_have_text("It works: used just now.")


def test_a_failing_server_is_told_on_the_page_and_spoken(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("patient")
    site.broken = 503
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("[data-failure]")).to_contain_text("The server could not do this now.")
    expect(said(page)).to_contain_text("The server could not do this now.")
    site.broken = 0
    page.route("**/new", lambda route: route.abort())
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("[data-failure]")).to_contain_text("The server cannot be reached.")
    page.unroute("**/new")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_role("row", name="patient")).to_be_visible()
    assert [text for text in site.complaints if "Failed" not in text] == []
    site.complaints.clear()


def test_a_session_that_ended_leads_to_the_sign_in(site: Site) -> None:
    @site.host.app.errorhandler(401)
    def sign_in_first(error: Any) -> Any:
        return "", 302, {"Location": "/optional"}

    page = site.visit()
    page.context.clear_cookies()
    page.get_by_role("link", name="Generate new token").click()
    expect(page).to_have_url(f"{site.address}/optional")
    site.complaints.clear()


def test_without_script_a_token_is_generated_and_deleted(site: Site) -> None:
    page = site.visit(java_script_enabled=False)
    page.get_by_role("link", name="Generate new token").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Name").fill("plain")
    page.get_by_label("read", exact=True).check()
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
    expect(page.get_by_role("row", name="plain")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"q=PLA&sort=-used$"))
    assert site.host.find(secret) is None
    assert ["422" in text for text in site.complaints] == [True]
    site.complaints.clear()


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


GREEDY = (
    'hx-boost="true" hx-boost:inherited="true" hx-target="main" hx-target:inherited="main" hx-select="main"'
    ' hx-select:inherited="main" hx-push-url="true" hx-push-url:inherited="true" hx-swap="innerHTML"'
    ' hx-swap:inherited="innerHTML"'
)
LAYOUT = (
    f"<!doctype html><title>Layout</title><script src=/htmx.js></script><body {GREEDY}>"
    "<a href=/access-tokens/>Tokens</a><main>{% block content %}{% endblock %}</main>"
)


@pytest.mark.parametrize("arrival", ["by a boosted link", "by its address"])
def test_a_host_with_htmx_keeps_its_own_and_the_panel_to_itself(site: Site, arrival: str) -> None:
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
    assert site.posts == sum(line.startswith("POST") for line in site.asked) == 1
    assert not [line for line in site.asked if "/assets/htmx" in line]
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
def test_the_setting_says_who_brings_htmx(site: Site, loads: int) -> None:
    page = site.visit()
    generate(page)
    assert sum("/assets/htmx" in line for line in site.asked) == loads
    assert page.url.endswith("/new") == (loads == 0), "without htmx the form is a page of its own"

"""Back, Forward and reload: every state but a new token has an address."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import render_template_string
from playwright.sync_api import Page, Route, expect

from htmx import layout, own_htmx, set_up_host
from sites import Site, generate, open_form, send, settle

LIST = "/access-tokens/"
NEW = "/access-tokens/new"


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site on which Ann has enough tokens for a search."""
    site = make_site()
    for number in range(6):
        site.host.generate("ann", f"robot {number}")
    return site


def at(site: Site, page: Page, path: str) -> None:
    expect(page).to_have_url(site.address + path)


def search(page: Page, text: str) -> None:
    """Search for the name of one token."""
    page.get_by_label("Search tokens").fill(text)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("button", name=f"Delete token {text}")).to_be_visible()
    expect(page.get_by_role("row")).to_have_count(2)


def test_back_leads_from_the_form_the_question_and_a_filtered_list_to_the_list(site: Site) -> None:
    page = site.visit()
    open_form(page)
    at(site, page, NEW)
    page.go_back()
    at(site, page, LIST)
    expect(page.get_by_role("table")).to_be_visible()
    page.get_by_role("button", name="Delete token robot 3").click()
    expect(page.get_by_role("heading", name="Delete token “robot 3”?")).to_be_visible()
    expect(page).to_have_url(re.compile("/delete$"))
    page.go_back()
    expect(page.get_by_role("table")).to_be_visible()
    search(page, "robot 4")
    page.go_back()
    expect(page.get_by_role("row")).to_have_count(7)
    page.go_forward()
    expect(page.get_by_role("row")).to_have_count(2)


def test_forward_works_right_after_back_in_a_busy_browser(site: Site) -> None:
    page = site.visit()
    search(page, "robot 4")
    # The script announces a list once it has seen to everything else. From here on, its timers are late.
    expect(page.get_by_role("status")).to_have_text("1 of 6 tokens.")
    page.evaluate("(start => { window.setTimeout = (act, wait) => start(act, wait * 20); })(setTimeout)")
    page.evaluate("history.back()")
    expect(page.get_by_role("row")).to_have_count(7)
    page.evaluate("history.forward()")
    expect(page.get_by_role("row")).to_have_count(2)


def test_a_reload_keeps_the_form_the_question_and_a_filtered_list(site: Site) -> None:
    page = site.visit()
    open_form(page)
    page.reload()
    expect(page.get_by_role("heading", name="New token")).to_be_visible()
    page.goto(site.address + LIST)
    page.get_by_role("button", name="Edit token robot 1").click()
    expect(page.get_by_role("heading", name="Edit token")).to_be_visible()
    page.reload()
    expect(page.locator("#access-tokens-name")).to_have_value("robot 1")
    page.goto(site.address + LIST)
    page.get_by_role("link", name="Active").click()
    expect(page.get_by_role("link", name="Active")).to_have_attribute("aria-current", "true")
    page.reload()
    expect(page.get_by_role("link", name="Active")).to_have_attribute("aria-current", "true")


def test_no_way_back_shows_a_secret_again(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    at(site, page, LIST)
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    page.get_by_role("button", name="Delete token laptop").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    for move in (page.go_back, page.go_back, page.go_forward, page.reload, page.go_forward):
        move()
        expect(page.locator("#access-tokens")).to_be_visible()
        assert secret not in page.locator("html").inner_html()
    assert site.posts == 1


def test_the_title_of_the_document_follows_the_panel(site: Site) -> None:
    set_up_host(site, layout().replace("<title>Host</title>", "<title>{{ title }} – Host</title>"))
    page = site.visit()
    expect(page).to_have_title("Access tokens – Host")
    open_form(page)
    expect(page).to_have_title("New token – Host")
    page.get_by_role("button", name="Cancel").click()
    expect(page).to_have_title("Access tokens – Host")


def test_a_change_of_the_fragment_keeps_what_was_typed(site: Site) -> None:
    page = site.visit(f"{NEW}?lifetime_days=30")
    page.locator("#access-tokens-name").fill("typed")
    page.evaluate("location.hash = '#main'")
    page.go_back()
    expect(page.locator("#access-tokens-name")).to_have_value("typed")


def test_an_embedded_panel_leaves_the_address_and_the_history_of_the_host_alone(site: Site) -> None:
    @site.host.app.get("/embedded")
    def embedded() -> str:
        return render_template_string("<!doctype html><title>Mine</title>{% include 'access_tokens/_page.html' %}")

    page = site.visit("/embedded")
    length = page.evaluate("history.length")
    open_form(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    at(site, page, "/embedded")
    expect(page).to_have_title("Mine")
    assert page.evaluate("history.length") == length


@pytest.mark.parametrize("version", [1, 2, 4])
def test_back_works_with_the_htmx_of_a_host_that_boosts_its_links(site: Site, npm: Path, version: int) -> None:
    set_up_host(site, layout("before", 'hx-boost="true" hx-boost:inherited="true"'), own_htmx(npm, version))
    page = site.visit("/home")
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    open_form(page)
    at(site, page, NEW)
    page.go_back()
    at(site, page, LIST)
    expect(page.get_by_role("table")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Welcome home.")).to_be_visible()
    site.ignore_expected_errors()


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_form_opened_before_the_script_of_a_boosted_page_came_has_an_address(
    site: Site, npm: Path, version: int
) -> None:
    set_up_host(site, layout("before", 'hx-boost="true" hx-boost:inherited="true"'), own_htmx(npm, version))
    page = site.visit("/home")
    held: list[Route] = []
    page.route("**/access-tokens.js*", lambda route: held.append(route))
    page.get_by_role("link", name="Tokens").click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    open_form(page)
    at(site, page, LIST)
    held[0].continue_()
    at(site, page, NEW)
    page.go_back()
    at(site, page, LIST)
    expect(page.get_by_role("table")).to_be_visible()
    site.ignore_expected_errors()


@pytest.mark.parametrize("way", ["Done", "Generate new token", "Delete token laptop", "Edit token laptop", "Back"])
def test_an_uncopied_token_is_not_left_without_a_warning(site: Site, way: str) -> None:
    page = site.visit()
    secret = generate(page)

    def leave() -> None:
        if way == "Back":
            page.go_back(wait_until="commit")
        else:
            page.get_by_role("link" if way.startswith("Generate") else "button", name=way, exact=True).click()

    site.accepts_dialogs = False
    with page.expect_event("dialog") as asked:
        leave()
    assert "You haven't copied the new token." in asked.value.message
    expect(page.get_by_label("Your new token")).to_have_value(secret)
    site.accepts_dialogs = True
    with page.expect_event("dialog"):
        leave()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    assert len(site.dialogs) == 2
    assert site.posts == 1


def test_a_copied_token_is_left_without_a_question(site: Site) -> None:
    page = site.visit()
    generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(page.locator("[data-done]")).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    assert site.dialogs == []


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_boosted_link_of_the_host_does_not_take_an_uncopied_token_away(site: Site, npm: Path, version: int) -> None:
    set_up_host(site, layout("before", 'hx-boost="true" hx-boost:inherited="true"'), own_htmx(npm, version))
    page = site.visit()
    secret = generate(page)
    site.accepts_dialogs = False
    settle(page)
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Home").click()
    expect(page.get_by_label("Your new token")).to_have_value(secret)
    site.accepts_dialogs = True
    with page.expect_event("dialog"):
        page.get_by_role("link", name="Home").click()
    expect(page.get_by_text("Welcome home.")).to_be_visible()


def test_a_refused_form_adds_no_entry_to_the_history(site: Site) -> None:
    page = site.visit()
    open_form(page)
    length = page.evaluate("history.length")
    send(page)
    expect(page.locator("#access-tokens-name")).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("history.length") == length
    page.go_back()
    expect(page.get_by_role("table")).to_be_visible()

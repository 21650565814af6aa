"""The new token in a browser: shown once, copied, and not shown again."""

import json
import urllib.request
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from host import bearer
from sites import SECRET, Site, announcement, generate


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site with the default settings."""
    return make_site()


def test_a_new_token_is_shown_once_selected_and_ready_to_copy(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    assert SECRET.fullmatch(secret)
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("readonly", "")
    assert page.evaluate("getSelection().toString()") == secret
    expect(page.get_by_text("You won't be able to see it again.")).to_be_visible()
    expect(page.get_by_role("row", name="laptop")).to_contain_text("Never")
    command = page.locator("pre").inner_text()
    assert command == f'curl -H "Authorization: Bearer $TOKEN" {site.address}/api'
    assert page.locator("html").inner_html().count(secret) == 1


@pytest.mark.case("D20")
def test_the_token_is_copied_and_the_copy_is_announced(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    region = announcement(page).element_handle()
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    assert region is not None
    assert region.evaluate("region => region.isConnected"), "the live region was replaced"
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("button", name="Copy command").click()
    expect(announcement(page)).to_have_text("Command copied to clipboard.")
    assert "$TOKEN" in page.evaluate("navigator.clipboard.readText()")


def test_the_token_is_copied_where_the_browser_has_no_clipboard_api(site: Site) -> None:
    page = site.visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    page.get_by_role("link", name="Generate new token").click()
    page.get_by_label("Name").press("Control+v")
    expect(page.get_by_label("Name")).to_have_value(secret)


def test_a_failed_copy_shows_an_error_and_the_token_stays_selected(site: Site) -> None:
    page = site.visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.evaluate("document.execCommand = () => false")
    secret = generate(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(page.locator("[data-failure]")).to_contain_text("Copy the selected text manually.")
    assert page.evaluate("getSelection().toString()") == secret


@pytest.mark.case("D10")
def test_the_secret_is_not_shown_after_a_reload_or_after_navigating_back(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    page.reload()
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    assert secret not in page.locator("html").inner_html()
    secret = generate(page, "phone")
    page.goto(f"{site.address}/optional")
    page.go_back()
    expect(page.get_by_role("row", name="phone")).to_be_visible()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    assert secret not in page.locator("html").inner_html()
    page.go_forward()
    page.go_back()
    assert secret not in page.locator("html").inner_html()


@pytest.mark.case("D10")
def test_a_page_in_the_back_forward_cache_contains_no_secret(site: Site) -> None:
    page = site.visit()
    generate(page)
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
    expect(page.get_by_label("Your new token")).to_have_count(0)
    expect(page.get_by_role("row", name="laptop")).to_be_visible()
    assert not SECRET.search(page.locator("html").inner_html())


@pytest.mark.case("D10")
def test_the_secret_is_in_no_storage_url_or_history(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href])")
    assert secret not in kept
    assert secret not in json.dumps(page.context.cookies())
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    assert secret not in page.locator("html").inner_html()


def test_leaving_warns_until_the_token_is_copied(site: Site) -> None:
    page = site.visit()
    generate(page)
    page.reload()
    assert site.dialogs == ["beforeunload"]
    generate(page, "phone")
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    page.reload()
    generate(page, "tablet")
    page.keyboard.press("Control+c")
    page.reload()
    assert site.dialogs == ["beforeunload"]


def test_a_double_click_sends_one_request(site: Site) -> None:
    page = site.visit("/access-tokens/new")
    page.get_by_label("Name").fill("twice")
    page.get_by_role("button", name="Generate", exact=True).dblclick()
    expect(page.get_by_label("Your new token")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert site.posts == sum(line.startswith("POST") for line in site.requests) == 1
    assert len(site.host.rows()) == 1
    assert site.host.find(page.get_by_label("Your new token").input_value()) is not None


def test_the_first_use_is_shown_while_the_page_is_open(site: Site) -> None:
    page = site.visit()
    secret = generate(page)
    expect(page.get_by_text("Waiting for its first use …")).to_be_visible()
    call = urllib.request.Request(f"{site.address}/api", headers=bearer(secret))
    with urllib.request.urlopen(call) as answer:
        assert answer.status == 200
    expect(page.locator(".access-tokens-waiting")).to_have_text("It works: used just now.")
    expect(page.get_by_role("row", name="laptop")).not_to_contain_text("Never")
    expect(announcement(page)).to_have_text("It works: used just now.")

"""Secrets at the operators' desk in a browser: one that is pasted stays nowhere, and a new one is shown once."""

import pytest
from playwright.sync_api import Page, Response, expect

from desk import DESK, OPERATOR
from desk_visits import click, find_in, generate_for, open_form_for
from sites import SECRET, Site, announcement, settle


@pytest.fixture
def site(desk_site: Site) -> Site:
    return desk_site


@pytest.fixture
def page(site: Site) -> Page:
    return site.visit(DESK, OPERATOR)


def test_a_double_click_on_generate_or_delete_does_one_thing(site: Site, page: Page) -> None:
    open_form_for(page, "bob")
    page.get_by_label("Name").fill("twice")
    settle(page)
    page.get_by_role("button", name="Generate", exact=True).dblclick()
    expect(page.get_by_label("Your new token")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert site.posts == 1
    assert [row["name"] for row in site.host.rows()].count("twice") == 1
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    click(page, "Delete token twice of bob")
    settle(page)
    page.get_by_role("button", name="Delete 1 token").dblclick()
    expect(page.locator(".access-tokens-notice")).to_have_text("1 token was deleted.")
    page.wait_for_load_state("networkidle")
    assert site.posts == 2


def test_a_pasted_text_stays_nowhere(site: Site, page: Page) -> None:
    secret = site.host.generate("ann", "In a log").secret
    answers: list[str] = []

    def note(answer: Response) -> None:
        if "/assets/" not in answer.url:
            answers.append(answer.text())

    page.on("response", note)
    find_in(page, f"GET /api {secret} 200 of-the-log")
    expect(page.get_by_role("heading", name="Tokens in the text")).to_be_visible()
    expect(page.get_by_role("row", name="In a log")).to_be_visible()

    def nowhere() -> None:
        kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, location.href])"
        typed = "[...document.querySelectorAll('input, textarea')].map((each) => each.value).join()"
        shown = page.locator("html").inner_html() + page.evaluate(kept) + page.evaluate(typed) + "".join(answers)
        assert secret not in shown
        assert "of-the-log" not in shown

    nowhere()
    expect(page).to_have_url(site.address + DESK)
    page.reload()
    nowhere()
    page.goto(f"{site.address}/access-tokens/")
    for move in (page.go_back, page.go_forward, page.go_back):
        move()
        page.wait_for_load_state("networkidle")
        nowhere()
    assert sum(secret in line for line in site.sent) == 1
    assert not [line for line in site.requests if secret in line]


def test_without_script_a_pasted_text_does_not_come_back(site: Site) -> None:
    secret = site.host.generate("ann", "In a log").secret
    page = site.visit(DESK, OPERATOR, java_script_enabled=False)
    find_in(page, f"{secret} of-the-log")
    expect(page.get_by_role("heading", name="Tokens in the text")).to_be_visible()
    assert "of-the-log" not in page.locator("html").inner_html()
    page.go_back()
    expect(page.get_by_role("heading", name="All access tokens")).to_be_visible()
    page.get_by_text("Whose secret is this?").click()
    expect(page.get_by_label("A token, or text that contains tokens")).to_have_value("")


def test_a_new_secret_is_shown_once_and_not_left_without_a_warning(site: Site, page: Page) -> None:
    secret = generate_for(page, "bob")
    expect(page).to_have_url(f"{site.address}{DESK}?owner=bob")
    assert page.locator("html").inner_html().count(secret) == 1
    expect(page.get_by_role("row", name="token laptop of bob")).to_be_visible()
    site.accepts_dialogs = False
    settle(page)
    with page.expect_event("dialog") as asked:
        page.get_by_role("button", name="Delete token laptop of bob").click()
    assert "You haven't copied the new token." in asked.value.message
    settle(page)
    with page.expect_event("dialog"):
        page.get_by_role("link", name="bob", exact=True).first.click()
    expect(page.get_by_label("Your new token")).to_have_value(secret)
    site.accepts_dialogs = True
    with page.expect_event("dialog"):
        page.reload()
    expect(page.get_by_role("row", name="token laptop of bob")).to_be_visible()
    for move in (page.go_back, page.go_forward, page.reload):
        move()
        expect(page.locator("#access-tokens")).to_be_visible()
        assert not SECRET.search(page.locator("html").inner_html())
    assert site.posts == 1

"""Accessibility of the operators' desk: screen reader, phone, large type, and color schemes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from access import too_wide, violations
from catalogs import set_up_babel
from desk import DESK, OPERATOR, fill_desk, open_desk, people
from desk_visits import click
from sites import Site


@pytest.fixture
def page(make_site: Callable[..., Site]) -> Page:
    """The desk with tokens of every kind, as Olga sees it."""
    site = make_site(owner=people)
    open_desk(site.host)
    fill_desk(site.host)
    secret = site.host.generate("ann", "In a log").secret
    page = site.visit(DESK, OPERATOR)
    page.evaluate("secret => (window.secretInLog = secret)", secret)
    return page


def states(page: Page) -> Iterator[str]:
    """Drive a page with a full list through the states of the desk and yield the name of each."""
    yield "list"
    page.locator(".access-tokens-hint").first.click()
    yield "details"
    page.keyboard.press("Escape")
    click(page, "Next", "link")
    expect(page.get_by_role("row", name="Nightly backup")).to_be_visible()
    yield "second page"
    page.get_by_role("checkbox", name="Select token Phone of bob").check()
    page.get_by_role("checkbox", name="Select token Old laptop of bob").check()
    click(page, "Delete selected")
    expect(page.get_by_role("heading", name="Delete 2 tokens?")).to_be_focused()
    yield "question about two"
    page.get_by_label("Reason (optional)").fill("r" * 300)
    click(page, "Delete 2 tokens")
    expect(page.get_by_label("Reason (optional)")).to_have_attribute("aria-invalid", "true")
    yield "refused reason"
    click(page, "Cancel")
    page.get_by_label("Status").select_option(label="Unused for 90 days")
    click(page, "Filter")
    expect(page.get_by_text("2 tokens", exact=True)).to_be_visible()
    yield "filtered"
    click(page, "Delete all of these", "link")
    expect(page.get_by_role("heading", name="Delete 2 tokens?")).to_be_focused()
    yield "question about a filter"
    click(page, "Delete 2 tokens")
    expect(page.locator(".access-tokens-notice")).to_have_text("2 tokens were deleted.")
    yield "deleted, and nothing found"
    click(page, "Clear filters", "link")
    expect(page.get_by_role("table")).to_be_visible()
    page.get_by_text("Whose secret is this?").click()
    yield "text"
    page.evaluate("document.getElementById('access-tokens-text').value = window.secretInLog")
    click(page, "Find")
    expect(page.get_by_role("heading", name="Tokens in the text")).to_be_visible()
    yield "found"
    click(page, "All access tokens", "link")
    click(page, "Generate for an owner", "link")
    page.get_by_label("Owner ID", exact=True).fill("nobody")
    click(page, "Continue")
    expect(page.get_by_label("Owner ID", exact=True)).to_have_attribute("aria-invalid", "true")
    yield "refused owner"
    page.get_by_label("Owner ID", exact=True).fill("w" * 255)
    click(page, "Continue")
    expect(page.get_by_label("Name")).to_be_focused()
    yield "form"
    page.get_by_label("Lifetime (days)").fill("soon")
    page.get_by_label("Reason (optional)").fill("r" * 300)
    click(page, "Generate")
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    yield "form with errors"
    page.get_by_label("30 days").check()
    page.get_by_label("Name").fill("Spreadsheet")
    page.get_by_label("Reason (optional)").fill("Asked for by phone")
    click(page, "Generate")
    expect(page.get_by_label("Your new token")).to_be_visible()
    yield "just generated"


def test_axe_finds_no_violation_in_any_state_in_light_dark_and_forced_colors(page: Page, npm: Path) -> None:
    assert violations(page, states(page), npm) == []


def test_nothing_scrolls_horizontally_on_a_phone_in_large_type_or_with_text_spacing(page: Page) -> None:
    assert too_wide(page, states(page)) == []


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_the_table_is_never_wider_than_the_panel(make_site: Callable[..., Site], language: str) -> None:
    site = make_site(owner=people, ACCESS_TOKENS_PREFIX="a_company_in_production")
    set_up_babel(site.host)
    open_desk(site.host)
    fill_desk(site.host)
    page = site.visit(DESK, OPERATOR, locale=language)
    expect(page.locator(".access-tokens")).to_have_attribute("lang", language)
    wide = []
    for path in (DESK, f"{DESK}?owner=bob"):
        page.goto(site.address + path)
        for width in (600, 960, 990, 1024, 1060, 1100, 1280):
            page.set_viewport_size({"width": width, "height": 700})
            room = "document.getElementById('access-tokens').offsetWidth - document.querySelector('table').offsetWidth"
            if page.evaluate(room) < 0:
                wide.append((width, path))
    assert wide == []

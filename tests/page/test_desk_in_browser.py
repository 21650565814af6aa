"""The operators' desk in a browser: addresses, focus and announcements."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from desk import DESK, OPERATOR
from desk_visits import click, filter_by, find_in, generate_for, open_form_for
from htmx import expect_in_place, layout, own_htmx, set_up_host
from sites import Site, announcement, settle

NEW = f"{DESK}new"


@pytest.fixture
def site(desk_site: Site) -> Site:
    return desk_site


@pytest.fixture
def page(site: Site) -> Page:
    return site.visit(DESK, OPERATOR)


def at(site: Site, page: Page, path: str) -> None:
    expect(page).to_have_url(site.address + path)


def test_back_and_forward_lead_through_filter_page_question_and_forms(site: Site, page: Page) -> None:
    filter_by(page, "Never used", "29 tokens")
    at(site, page, f"{DESK}?status=unused")
    click(page, "Next", "link")
    expect(page).to_have_url(re.compile(r"\?status=unused&after="))
    second = page.url
    expect(page.get_by_role("row")).to_have_count(5)
    click(page, "Delete token Spreadsheet of bob")
    expect(page.get_by_role("heading", name="Delete 1 token?")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/all/delete\?status=unused&after=.*&token=[0-9a-f]{32}$"))
    page.go_back()
    expect(page).to_have_url(second)
    expect(page.get_by_role("row")).to_have_count(5)
    page.go_back()
    at(site, page, f"{DESK}?status=unused")
    expect(page.get_by_role("row")).to_have_count(26)
    page.go_forward()
    expect(page.get_by_role("row")).to_have_count(5)
    page.go_back()
    page.go_back()
    at(site, page, DESK)
    expect(page.get_by_label("Status")).to_have_value("")
    click(page, "Generate for an owner", "link")
    at(site, page, NEW)
    page.get_by_label("Owner ID", exact=True).fill("ann")
    click(page, "Continue")
    at(site, page, f"{NEW}?owner=ann")
    page.go_back()
    expect(page.get_by_label("Owner ID", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("table")).to_be_visible()


def test_a_reload_keeps_the_filter_the_page_the_question_and_the_forms(site: Site, page: Page) -> None:
    filter_by(page, "Never used", "29 tokens")
    click(page, "Next", "link")
    expect(page.get_by_role("row")).to_have_count(5)
    page.reload()
    expect(page.get_by_role("row")).to_have_count(5)
    expect(page.get_by_label("Status")).to_have_value("unused")
    click(page, "Delete all of these", "link")
    expect(page.get_by_role("heading", name="Delete 29 tokens?")).to_be_focused()
    page.reload()
    expect(page.get_by_role("heading", name="Delete 29 tokens?")).to_be_visible()
    click(page, "Cancel")
    at(site, page, f"{DESK}?status=unused")
    click(page, "Generate for an owner", "link")
    expect(page.get_by_label("Owner ID", exact=True)).to_be_focused()
    page.reload()
    page.get_by_label("Owner ID", exact=True).fill("ann")
    click(page, "Continue")
    expect(page.get_by_label("Name")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="New token for ann")).to_be_visible()


def test_the_title_of_the_document_follows_the_state(page: Page) -> None:
    expect(page).to_have_title("All access tokens")
    open_form_for(page, "ann")
    expect(page).to_have_title("New token for ann")
    click(page, "Cancel")
    expect(page).to_have_title("All access tokens")
    click(page, "Delete token robot 05 of ann")
    expect(page).to_have_title("Delete tokens")


def test_cancel_leads_from_the_forms_to_the_list_that_was_left(site: Site, page: Page) -> None:
    click(page, "Generate for an owner", "link")
    page.get_by_label("Owner ID", exact=True).fill("nobody")
    click(page, "Continue")
    expect(page.get_by_text("No owner has this ID, or the owner is inactive.")).to_be_visible()
    click(page, "Cancel")
    at(site, page, DESK)
    expect(page.get_by_role("row")).to_have_count(26)
    expect(page.get_by_role("link", name="Generate for an owner")).to_be_focused()
    open_form_for(page, "ann")
    click(page, "Cancel")
    at(site, page, DESK)
    expect(page.get_by_role("row")).to_have_count(26)


def test_cancel_keeps_what_was_selected(page: Page) -> None:
    boxes = page.get_by_role("checkbox", name="Select token")
    for number in (1, 3):
        boxes.nth(number).check()
    click(page, "Delete selected")
    click(page, "Cancel")
    expect(page.get_by_role("checkbox", name="Select token", checked=True)).to_have_count(2)
    expect(boxes.nth(3)).to_be_checked()
    for number in (1, 3):
        boxes.nth(number).uncheck()
    click(page, "Delete token robot 05 of ann")
    click(page, "Cancel")
    expect(page.get_by_role("button", name="Delete token robot 05 of ann")).to_be_focused()
    expect(page.get_by_role("checkbox", name="Select token", checked=True)).to_have_count(0)


def test_the_focus_goes_to_the_next_row_after_a_deletion_and_back_to_its_button_after_cancel(page: Page) -> None:
    click(page, "Delete token robot 05 of ann")
    expect(page.get_by_role("heading", name="Delete 1 token?")).to_be_focused()
    click(page, "Cancel")
    expect(page.get_by_role("button", name="Delete token robot 05 of ann")).to_be_focused()
    click(page, "Delete token robot 05 of ann")
    click(page, "Delete 1 token")
    expect(page.get_by_role("button", name="Delete token robot 04 of ann")).to_be_focused()
    expect(announcement(page)).to_have_text("1 token was deleted.")


def test_the_focus_returns_to_the_button_that_asked_about_several(page: Page) -> None:
    page.get_by_role("checkbox", name="Select token robot 05 of ann").check()
    page.get_by_role("checkbox", name="Select token robot 06 of ann").check()
    click(page, "Delete selected")
    expect(page.get_by_role("heading", name="Delete 2 tokens?")).to_be_focused()
    click(page, "Cancel")
    expect(page.get_by_role("button", name="Delete selected")).to_be_focused()
    filter_by(page, "Never used", "29 tokens")
    click(page, "Delete all of these", "link")
    click(page, "Cancel")
    expect(page.get_by_role("link", name="Delete all of these")).to_be_focused()


def test_the_focus_goes_to_the_heading_after_several_were_deleted(page: Page) -> None:
    page.get_by_role("checkbox", name="Select token robot 05 of ann").check()
    page.get_by_role("checkbox", name="Select token robot 06 of ann").check()
    click(page, "Delete selected")
    click(page, "Delete 2 tokens")
    expect(page.get_by_role("heading", name="All access tokens")).to_be_focused()
    expect(announcement(page)).to_have_text("2 tokens were deleted.")


def test_what_is_focused_is_not_below_the_notice(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 400})
    click(page, "Delete token robot 05 of ann")
    click(page, "Delete 1 token")
    expect(page.get_by_role("button", name="Delete token robot 04 of ann")).to_be_focused()
    notice = page.locator(".access-tokens-notice")
    for control in (page.locator("#access-tokens-overview-active"), page.get_by_label("Status")):
        page.evaluate("scrollTo(0, document.scrollingElement.scrollHeight)")
        control.focus()
        upper, lower = notice.bounding_box(), control.bounding_box()
        assert upper is not None
        assert lower is not None
        assert upper["y"] + upper["height"] <= lower["y"]


def test_an_error_is_focused(page: Page) -> None:
    click(page, "Delete selected")
    expect(page.get_by_text("Select tokens, or filter the list, and then delete them.")).to_be_focused()
    find_in(page, "nothing of ours")
    expect(page.get_by_text("This text contains no token of this application.")).to_be_focused()
    click(page, "Generate for an owner", "link")
    click(page, "Continue")
    expect(page.get_by_label("Owner ID", exact=True)).to_have_accessible_description(
        re.compile("Enter the ID of an owner.")
    )
    expect(page.get_by_label("Owner ID", exact=True)).to_be_focused()
    page.get_by_label("Owner ID", exact=True).fill("ann")
    click(page, "Continue")
    page.get_by_label("Name").fill("fine")
    page.get_by_label("Reason (optional)").fill("r" * 300)
    click(page, "Generate")
    expect(page.get_by_label("Reason (optional)")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value("fine")
    click(page, "Cancel")
    click(page, "Delete token robot 05 of ann")
    page.get_by_label("Reason (optional)").fill("r" * 300)
    click(page, "Delete 1 token")
    expect(page.get_by_label("Reason (optional)")).to_be_focused()
    expect(page.get_by_label("Reason (optional)")).to_have_attribute("aria-invalid", "true")


def test_a_filter_and_an_order_are_announced(page: Page) -> None:
    region = announcement(page).element_handle()
    filter_by(page, "Unused for 90 days", "2 tokens")
    expect(announcement(page)).to_have_text("2 tokens Sorted by Last used, ascending.")
    filter_by(page, "Expired", "1 token")
    click(page, "Last used", "link")
    expect(announcement(page)).to_have_text("1 token Sorted by Last used, descending.")
    page.get_by_label("Owner ID, end of the token, or token ID").fill("nobody")
    settle(page)
    page.get_by_label("Owner ID, end of the token, or token ID").press("Enter")
    expect(page.get_by_text("No tokens match.")).to_be_visible()
    expect(announcement(page)).to_have_text("0 tokens")
    expect(page.get_by_label("Owner ID, end of the token, or token ID")).to_be_focused()
    assert region is not None
    assert region.evaluate("region => region.isConnected"), "the live region was replaced"


def test_one_checkbox_selects_all_tokens_on_the_page(site: Site, page: Page) -> None:
    every = page.get_by_role("checkbox", name="Select all on this page")
    every.check()
    expect(page.locator("tbody [name=token]:checked")).to_have_count(25)
    every.uncheck()
    expect(page.locator("tbody [name=token]:checked")).to_have_count(0)
    every.check()
    page.get_by_role("checkbox", name="Select token robot 05 of ann").uncheck()
    click(page, "Delete selected")
    click(page, "Delete 24 tokens")
    expect(page.locator(".access-tokens-notice")).to_have_text("24 tokens were deleted.")
    assert len(site.host.rows()) == 33 - 24


def test_deleting_the_last_page_leads_to_the_first(site: Site, page: Page) -> None:
    click(page, "Next", "link")
    expect(page.get_by_role("row")).to_have_count(9)
    page.get_by_role("checkbox", name="Select all on this page").check()
    click(page, "Delete selected")
    click(page, "Delete 8 tokens")
    expect(page.get_by_role("row")).to_have_count(26)
    at(site, page, DESK)


def test_links_of_an_owner_and_of_the_overview_filter_in_place(site: Site, page: Page) -> None:
    click(page, "Next", "link")
    page.get_by_role("row", name="Nightly backup").get_by_role("link", name="ann").click()
    at(site, page, f"{DESK}?owner=ann")
    expect(page.locator(".access-tokens-matching")).to_contain_text("28 tokens of owner ann")
    click(page, "1 Owner gone", "link")
    at(site, page, f"{DESK}?status=owner-gone")
    expect(page.get_by_role("row", name="Monitoring")).to_contain_text("Owner gone")
    expect(page.get_by_role("link", name="1 Owner gone")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("link", name="1 Owner gone")).to_be_focused()
    page.go_back()
    expect(page.locator(".access-tokens-matching")).to_contain_text("28 tokens of owner ann")
    click(page, "Clear filters", "link")
    at(site, page, DESK)


@pytest.mark.parametrize(("version", "arrival"), [(1, "boosted"), (2, "boosted"), (4, "boosted"), (2, "address")])
def test_a_host_s_own_htmx_drives_the_desk(site: Site, npm: Path, version: int, arrival: str) -> None:
    set_up_host(site, layout("before").replace("/access-tokens/", DESK), own_htmx(npm, version))
    page = site.visit("/home" if arrival == "boosted" else DESK, OPERATOR)
    if arrival == "boosted":
        page.get_by_role("link", name="Tokens").click()
        expect(page.get_by_role("heading", name="All access tokens")).to_be_visible()
    before = list(site.dialogs)
    filter_by(page, "Unused for 90 days", "2 tokens")
    expect_in_place(page)
    page.get_by_role("checkbox", name="Select all on this page").check()
    click(page, "Delete selected")
    expect(page.get_by_role("heading", name="Delete 2 tokens?")).to_be_focused()
    expect_in_place(page)
    click(page, "Delete 2 tokens")
    expect(page.get_by_text("No tokens match.")).to_be_visible()
    expect_in_place(page)
    find_in(page, "nothing of ours")
    expect(page.get_by_text("This text contains no token of this application.")).to_be_focused()
    expect_in_place(page)
    generate_for(page, "bob")
    expect_in_place(page)
    page.get_by_role("button", name="Copy token to clipboard").click()
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    click(page, "Done")
    expect(page.get_by_role("row", name="token laptop of bob")).to_be_visible()
    expect_in_place(page)
    assert site.dialogs == before, "the host's hx-confirm was applied to the desk"
    assert site.posts == 3, "deleted, looked for, generated: each sent once"
    assert not [line for line in site.requests if "/assets/htmx" in line], "htmx was loaded twice"

"""The list and its delete confirmation in a browser."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from flask_access_tokens import clock
from host import bearer
from sites import Site, announcement, press


def set_created(site: Site, name: str, days_ago: int) -> None:
    """Let a token have been generated some days ago."""
    table = site.host.access_tokens.model.__table__
    with site.host.app.app_context():
        moment = clock.now() - timedelta(days=days_ago)
        site.host.db.session.execute(sa.update(table).where(table.c.name == name).values(created_at=moment))
        site.host.db.session.commit()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site with the default settings."""
    return make_site()


@pytest.mark.case("D03", "D20")
def test_deleting_asks_for_confirmation_and_then_focuses_the_next_row(site: Site) -> None:
    kept, deleted = site.host.generate("ann", "older"), site.host.generate("ann", "newer")
    page = site.visit()
    page.get_by_role("button", name="Delete token newer").click()
    question = page.get_by_role("heading", name="Delete token “newer”?")
    expect(question).to_be_focused()
    for words in ("Never used.", "cannot be undone"):
        expect(page.get_by_text(words)).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Delete token newer")).to_be_focused()
    press(page, "Enter")
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_role("row", name="newer")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete token older")).to_be_focused()
    expect(announcement(page)).to_have_text("Token “newer” was deleted.")
    assert site.host.find(deleted.secret) is None
    assert site.host.find(kept.secret) is not None
    assert not [line for line in site.requests if "csrf" in line]
    press(page, "Enter")
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_focused()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()


def test_the_confirmation_warns_about_a_recently_used_token(site: Site) -> None:
    new = site.host.generate("ann", "busy")
    site.host.app.test_client().get("/api", headers=bearer(new.secret))
    page = site.visit()
    page.get_by_role("button", name="Delete token busy").click()
    expect(page.get_by_text("Last used just now.")).to_be_visible()
    expect(page.get_by_text("Something probably still depends on it.")).to_be_visible()


def test_generating_and_deleting_work_with_the_keyboard(site: Site) -> None:
    page = site.visit()
    press(page, "Tab")
    press(page, "Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type("robot")
    press(page, "Enter")
    field = page.get_by_label("Your new token")
    expect(field).to_be_focused()
    secret = field.input_value()
    press(page, "Tab")
    press(page, "Enter")
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    assert page.evaluate("navigator.clipboard.readText()") == secret
    details = page.locator(".access-tokens-hint")
    while not details.evaluate("element => element === document.activeElement"):
        press(page, "Tab")
    press(page, "Enter")
    expect(page.locator(".access-tokens-details").get_by_text("UTC").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".access-tokens-details").get_by_text("UTC").first).to_be_hidden()
    expect(details).to_be_focused()
    press(page, "Tab")
    expect(page.get_by_role("button", name="Rotate token robot")).to_be_focused()
    press(page, "Tab")
    expect(page.get_by_role("button", name="Edit token robot")).to_be_focused()
    press(page, "Tab")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Delete token “robot”?")).to_be_focused()
    press(page, "Tab")
    press(page, "Enter")
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    assert site.host.find(secret) is None


def test_the_focus_stays_where_a_person_moved_it_during_the_request(site: Site) -> None:
    page = site.visit()
    page.evaluate("""() => {
      new MutationObserver((_, observer) => {
        const choice = document.querySelector("[name=lifetime_preset][value='7']");
        if (choice) {
          observer.disconnect();
          setTimeout(() => choice.focus(), 5);
        }
      }).observe(document.body, { childList: true, subtree: true });
      document.activeElement.blur();
      document.getElementById("access-tokens-generate").click();
    }""")
    expect(page.get_by_label("7 days")).to_be_visible()
    page.wait_for_timeout(300)
    expect(page.get_by_label("7 days")).to_be_focused()


def test_search_filter_sorting_and_page_are_in_the_url(site: Site) -> None:
    for number in range(30):
        site.host.generate("ann", f"robot {number:02}", lifetime_days=9 if number == 7 else 90)
    set_created(site, "robot 07", days_ago=30)
    page = site.visit()
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile(r"\?page=2$"))
    expect(page.get_by_role("row")).to_have_count(6)
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    expect(announcement(page)).to_have_text("30 tokens. Page 1 of 2. Sorted by Name, ascending.")
    expect(page.get_by_role("link", name="Name")).to_be_focused()
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 00")
    page.get_by_role("link", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "descending")
    expect(announcement(page)).to_have_text("30 tokens. Page 1 of 2. Sorted by Name, descending.")
    page.get_by_role("searchbox", name="Search tokens").fill("ROBOT 1")
    press(page, "Enter")
    expect(page.get_by_role("row")).to_have_count(11)
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 19")
    expect(page.get_by_role("search")).to_contain_text("10 of 30 tokens.")
    expect(announcement(page)).to_have_text("10 of 30 tokens.")
    page.reload()
    expect(page.get_by_role("row")).to_have_count(11)
    page.get_by_label("Search tokens").fill("")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_role("link", name="Expiring soon").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1)).to_contain_text("robot 07")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Expiring soon")
    page.get_by_role("button", name="Delete token robot 07").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("link", name="Expiring soon")).to_have_attribute("aria-current", "true")
    page.get_by_role("link", name="Never used").click()
    expect(page.get_by_role("row")).to_have_count(26)
    page.get_by_label("Search tokens").fill("zebra")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No tokens match.")).to_be_visible()
    page.get_by_role("link", name="Clear filters").click()
    expect(page.get_by_role("row")).to_have_count(26)


def test_nothing_scrolls_horizontally_on_a_phone(site: Site) -> None:
    site.host.generate("ann", "w" * 100, description="d" * 255, scopes=["read", "write"])
    page = site.visit(viewport={"width": 375, "height": 700}, has_touch=True)

    def fits() -> bool:
        return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))

    assert fits(), "the list"
    page.locator(".access-tokens-hint").tap()
    expect(page.locator(".access-tokens-details").get_by_text("UTC").first).to_be_visible()
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


def test_exact_times_are_shown_in_utc_and_in_the_readers_time_zone(site: Site) -> None:
    site.host.generate("ann", "clock")
    page = site.visit()
    time = page.get_by_role("row", name="clock").locator("td time[title]").first
    expect(time).to_have_text("just now")
    expect(time).to_have_attribute("title", re.compile(r"\(your time\)\n.* UTC$"))
    expect(time).to_have_attribute("datetime", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"))
    page.locator(".access-tokens-hint").click()
    expect(page.locator(".access-tokens-details").get_by_text("your time").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".access-tokens-details").get_by_text("your time").first).to_be_hidden()
    expect(page.locator(".access-tokens-hint")).to_be_focused()


def test_the_notice_of_a_saved_token_far_down_the_list_is_in_view(site: Site) -> None:
    for number in range(20):
        site.host.generate("ann", f"robot {number:02}")
    page = site.visit(viewport={"width": 375, "height": 700})
    page.get_by_role("button", name="Edit token robot 03").click()
    page.get_by_role("button", name="Save").click()
    button = page.get_by_role("button", name="Edit token robot 03")
    expect(button).to_be_focused()
    expect(button).to_be_in_viewport()
    notice = page.locator(".access-tokens-notice")
    expect(notice).to_be_in_viewport(ratio=1)
    upper, lower = notice.bounding_box(), button.bounding_box()
    assert upper is not None
    assert lower is not None
    assert upper["y"] + upper["height"] <= lower["y"]

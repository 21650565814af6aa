"""Accessibility of the page: keyboard, screen reader, phone, large type, and color schemes."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from access import too_wide, violations
from host import bearer
from rows import fill_list
from sites import Site, announcement, open_form, press, send, settle


def states(page: Page) -> Iterator[str]:
    """Drive a page with a full list through its states and yield the name of each."""
    yield "list"
    page.locator(".access-tokens-hint").first.click()
    yield "details"
    page.keyboard.press("Escape")
    open_form(page)
    page.get_by_label("Lifetime (days)").fill("soon")
    send(page)
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    yield "form with errors"
    page.get_by_label("30 days").check()
    page.get_by_label("Name").fill("Spreadsheet")
    send(page)
    expect(page.get_by_label("Your new token")).to_be_visible()
    yield "just generated"
    page.get_by_role("button", name="Delete token Build server").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    yield "asking"
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cannot be undone")).to_have_count(0)
    page.get_by_role("button", name="Edit token Build server").click()
    expect(page.get_by_role("heading", name="Edit token")).to_be_visible()
    yield "editing"
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".access-tokens-notice", has_text="was saved")).to_be_visible()
    yield "saved"
    page.get_by_role("button", name="Rotate token Build server").click()
    expect(page.get_by_role("group", name="How long the old token keeps working")).to_be_visible()
    yield "rotating"
    page.get_by_role("button", name="Rotate token", exact=True).click()
    expect(page.get_by_text("Replaced, works until")).to_be_visible()
    yield "rotated"
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_label("Your new token")).to_have_count(0)
    page.get_by_label("Search tokens").fill("zebra")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No tokens match.")).to_be_visible()
    yield "nothing found"


def test_axe_finds_no_violation_in_any_state_in_light_dark_and_forced_colors(
    make_site: Callable[..., Site], npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site.host, monkeypatch)
    page = site.visit()
    assert violations(page, states(page), npm) == []


def test_nothing_scrolls_horizontally_on_a_phone_in_large_type_or_with_text_spacing(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site.host, monkeypatch)
    site.host.generate("ann", "w" * 100, description="d" * 255, scopes=["read", "write"])
    page = site.visit()
    assert too_wide(page, states(page)) == []


def test_generating_copying_and_deleting_work_with_the_keyboard_alone(make_site: Callable[..., Site]) -> None:
    site = make_site()
    older = site.host.generate("ann", "older")
    page = site.visit()

    def go_to(name: str) -> None:
        # htmx moves the focus once more when new content has settled.
        settle(page)
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("(document.activeElement.ariaLabel ?? document.activeElement.innerText).trim()") == name:
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        pytest.fail(f"Tab does not reach {name}")

    go_to("Generate new token")
    press(page, "Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    press(page, "Enter")
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_accessible_description(re.compile("Enter a name so you can recognize"))
    settle(page)
    page.keyboard.type("robot")
    while not page.get_by_role("radio", name="365 days").evaluate("radio => radio === document.activeElement"):
        page.keyboard.press("Tab")
    press(page, "ArrowLeft")
    expect(page.get_by_role("radio", name="90 days")).to_be_checked()
    expect(announcement(page)).to_contain_text("Expires on")
    region = announcement(page).element_handle()
    assert region is not None
    go_to("Generate")
    press(page, "Space")
    secret = page.get_by_label("Your new token")
    expect(secret).to_be_focused()
    go_to("Copy token to clipboard")
    press(page, "Enter")
    expect(announcement(page)).to_have_text("Token copied to clipboard.")
    assert page.evaluate("navigator.clipboard.readText()") == secret.input_value()
    go_to("Delete token robot")
    press(page, "Enter")
    expect(page.get_by_role("heading", name="Delete token “robot”?")).to_be_focused()
    go_to("Delete token")
    press(page, "Enter")
    expect(page.get_by_role("button", name="Delete token older")).to_be_focused()
    expect(announcement(page)).to_have_text("Token “robot” was deleted.")
    press(page, "Space")
    expect(page.get_by_role("heading", name="Delete token “older”?")).to_be_focused()
    go_to("Delete token")
    press(page, "Space")
    expect(page.get_by_role("heading", name="Access tokens")).to_be_focused()
    expect(announcement(page)).to_have_text("Token “older” was deleted.")
    assert region.evaluate("region => region.isConnected"), "the live region was replaced"
    assert site.host.find(older.secret) is None


def test_nothing_is_animated_with_reduced_motion(make_site: Callable[..., Site]) -> None:
    site = make_site()
    page = site.visit(reduced_motion="reduce")
    open_form(page)
    page.get_by_label("Name").fill("calm")
    send(page)
    expect(page.get_by_text("Waiting for its first use …")).to_be_visible()
    moving = """document.getAnimations().length + [...document.querySelectorAll("#access-tokens *")]
      .filter((each) => getComputedStyle(each).transitionDuration !== "0s").length"""
    assert page.evaluate(moving) == 0


def test_the_open_details_of_a_token_close_with_escape_from_anywhere_and_when_the_focus_moves_on(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    for name in ("older", "newer"):
        site.host.generate("ann", name)
    page = site.visit()
    hint, details = page.locator(".access-tokens-hint").first, page.locator(".access-tokens-details").first
    hint.click()
    expect(details).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    expect(details).to_be_hidden()
    hint.press("Enter")
    expect(details).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Rotate token newer")).to_be_focused()
    expect(details).to_be_hidden()


def test_the_live_region_is_empty_once_something_else_happens(make_site: Callable[..., Site]) -> None:
    site = make_site()
    page = site.visit()
    open_form(page)
    page.get_by_role("radio", name="30 days").check()
    expect(announcement(page)).to_contain_text("Expires on")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    expect(announcement(page)).not_to_contain_text("Expires on")


def test_in_forced_colors_the_hovered_button_and_the_chosen_filter_stay_readable(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site.host, monkeypatch)
    page = site.visit(forced_colors="active")
    colors = """element => {
      const { backgroundColor, color } = getComputedStyle(element);
      return [backgroundColor, color];
    }"""
    button = page.get_by_role("link", name="Generate new token")
    shown = button.evaluate(colors)
    button.hover()
    assert button.evaluate(colors) == shown
    assert page.get_by_role("link", name="All").evaluate(colors) == shown
    assert shown[0] != shown[1]
    assert page.get_by_role("link", name="Active").evaluate(colors) != shown


@pytest.mark.parametrize("width", [375, 1280])
def test_everything_that_can_be_pressed_is_at_least_24_pixels_high_and_wide(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    site = make_site()
    fill_list(site.host, monkeypatch)
    page = site.visit(viewport={"width": width, "height": 700})
    small = """[...document.querySelectorAll("#access-tokens :is(a, button, label, input:not([type=hidden]))")]
      .filter((each) => !each.matches("[type=radio], [type=checkbox], label:not(:has(input))"))
      .map((each) => [each.textContent.trim(), each.getBoundingClientRect()])
      .filter(([, { width, height }]) => height > 0 && (height < 24 || width < 24))
      .map(([text, { width, height }]) => `${text}: ${width} × ${height}`)"""
    assert page.evaluate(small) == []
    open_form(page)
    assert page.evaluate(small) == []


def test_on_a_phone_a_token_takes_little_height_and_delete_stands_beside_its_name(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site.host, monkeypatch)
    page = site.visit(viewport={"width": 375, "height": 700})
    row = page.get_by_role("row", name="Phone")
    box, delete = row.bounding_box(), row.get_by_role("button", name="Delete token Phone").bounding_box()
    assert box is not None
    assert delete is not None
    assert box["height"] <= 110
    assert delete["y"] - box["y"] < 24
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_on_a_phone_that_is_touched_the_actions_of_a_token_are_at_least_40_pixels_high(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.host.generate("ann", "w" * 100)
    page = site.visit(viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    heights = page.evaluate("[...document.querySelectorAll('td button')].map((each) => each.offsetHeight)")
    assert len(heights) == 4
    assert [height for height in heights[1:] if height < 40] == []


def test_the_details_of_a_token_with_the_longest_program_fit_in_the_window_of_a_phone(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    site.host.app.config["ACCESS_TOKENS_LAST_USED_FROM"] = True
    header = bearer(site.host.generate("ann").secret)
    program = {"REMOTE_ADDR": "2001:db8:85a3:8d3:1319:8a2e:370:7348", "HTTP_USER_AGENT": "x" * 300}
    site.host.app.test_client().get("/api", headers=header, environ_overrides=program)
    page = site.visit(viewport={"width": 375, "height": 667})
    page.locator(".access-tokens-hint").click()
    box = page.locator(".access-tokens-details").bounding_box()
    assert box is not None
    assert (box["x"] >= 0, box["y"] >= 0) == (True, True)
    assert (box["x"] + box["width"] <= 375, box["y"] + box["height"] <= 667) == (True, True)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")

"""Accessibility of the page: keyboard, screen reader, phone, large type, color schemes, and valid HTML."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect

from flask_access_tokens import clock
from host import bearer
from sites import Site, announcement, open_form, press, send

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = """async (rules) => {
  const { violations } = await axe.run({ runOnly: rules });
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id} ${target} ${help}`));
}"""
ROOT = Path(__file__).parents[2]


def fill_list(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of every kind: active, described, used, expiring, expired."""
    site.host.generate("ann", "Nightly backup", description="Copies the notes. Ask Bob.", scopes=["read"])
    used = site.host.generate("ann", "Build server", lifetime_days=-1, scopes=["read", "write"])
    site.host.app.test_client().get("/api", headers=bearer(used.secret))
    site.host.generate("ann", "Visitor", lifetime_days=5)
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() - timedelta(days=40))
    site.host.generate("ann", "Old laptop", lifetime_days=30)
    monkeypatch.setattr(clock, "now", real)


def states(page: Page) -> Iterator[str]:
    """Drive a page with a full list through its states and yield the name of each."""
    yield "list"
    page.locator("summary").first.click()
    yield "details"
    page.keyboard.press("Escape")
    open_form(page)
    page.get_by_label("Lifetime (days)").fill("soon")
    send(page)
    expect(page.get_by_label("Name")).to_have_attribute("aria-invalid", "true")
    yield "form with errors"
    page.get_by_role("button", name="30 days").click()
    page.get_by_label("Name").fill("Spreadsheet")
    send(page)
    expect(page.get_by_label("Your new token")).to_be_visible()
    yield "just generated"
    page.get_by_role("button", name="Delete token Build server").click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    yield "asking"
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("cannot be undone")).to_have_count(0)
    page.get_by_label("Search tokens").fill("zebra")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No token matches.")).to_be_visible()
    yield "nothing found"


def test_axe_finds_no_violation_in_any_state_in_light_dark_and_forced_colors(
    make_site: Callable[..., Site], npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site, monkeypatch)
    page = site.visit()
    page.evaluate((npm / "axe-core" / "axe.min.js").read_text())
    found: list[str] = []

    def look(state: str) -> None:
        found.extend(f"{state}: {violation}" for violation in page.evaluate(AXE, RULES))

    for state in states(page):
        look(f"{state}, light")
        page.emulate_media(color_scheme="dark")
        look(f"{state}, dark")
        page.emulate_media(color_scheme="light", forced_colors="active")
        page.set_viewport_size({"width": 375, "height": 700})
        look(f"{state}, forced colors on a phone")
        page.emulate_media(color_scheme="light", forced_colors="none")
        page.set_viewport_size({"width": 1280, "height": 720})
    assert found == []


def test_nothing_scrolls_horizontally_on_a_phone_in_large_type_or_with_text_spacing(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    fill_list(site, monkeypatch)
    site.host.generate("ann", "w" * 100, description="d" * 255, scopes=["read", "write"])
    page = site.visit()
    wide: list[str] = []

    def measure(state: str, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 700})
        too_wide = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        if too_wide > 0:
            wide.append(f"{state} at {width}: {too_wide} pixels too wide")

    def style(name: str, value: str) -> None:
        page.evaluate("([name, value]) => (document.documentElement.style[name] = value)", [name, value])

    for state in states(page):
        for width in (320, 375, 768):
            measure(state, width)
        style("fontSize", "200%")
        measure(f"{state}, twice the type", 640)
        measure(f"{state}, twice the type", 1280)
        style("fontSize", "")
        # The text spacing that WCAG 1.4.12 requires a page to support.
        style("letterSpacing", "0.12em")
        style("wordSpacing", "0.16em")
        measure(f"{state}, letters apart", 375)
        style("letterSpacing", "")
        style("wordSpacing", "")
        page.set_viewport_size({"width": 1280, "height": 720})
    assert wide == []


def test_generating_copying_and_deleting_work_with_the_keyboard_alone(make_site: Callable[..., Site]) -> None:
    site = make_site()
    older = site.host.generate("ann", "older")
    page = site.visit()

    def go_to(name: str) -> None:
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
    expect(page.get_by_label("Name")).to_have_accessible_description(re.compile("Give the token a name"))
    page.keyboard.type("robot")
    go_to("30 days")
    press(page, "Space")
    expect(page.get_by_role("button", name="30 days")).to_have_attribute("aria-pressed", "true")
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


VALIDATOR = {
    "root": True,
    "extends": ["html-validate:recommended", "html-validate:standard"],
    "rules": {
        # On a phone CSS displays the table as blocks, and browsers may then drop the implicit roles.
        "no-redundant-role": "off",
        # Jinja leaves whitespace in the demo where a tag has a line of its own.
        "no-trailing-whitespace": "off",
        # Checkboxes of one name are one field with several values.
        "form-dup-name": ["error", {"shared": ["checkbox"]}],
    },
}
MINIMAL = '<!DOCTYPE html>\n<html lang="en"><head><title>Mine</title></head><body><main>\n{}\n</main></body></html>'


def demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A test client that is signed in to a copy of the demo in the folder."""
    shutil.copytree(ROOT / "demo_app", folder / "demo_app", ignore=shutil.ignore_patterns("instance", "__pycache__"))
    monkeypatch.syspath_prepend(folder)
    app: Flask = importlib.import_module("demo_app").create_app()
    app.config["WTF_CSRF_ENABLED"] = False
    visitor = app.test_client()
    visitor.post("/sign-in/ann")
    return visitor


def test_the_html_of_every_state_is_valid_as_a_page_a_fragment_and_in_the_demo(
    make_site: Callable[..., Site], npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(WTF_CSRF_ENABLED=False)
    fill_list(site, monkeypatch)
    folder = tmp_path / "answers"
    folder.mkdir()

    def save(kind: str, ann: Any, bob: Any, page: str = "{}", **settings: Any) -> None:
        answers = {
            "empty": bob.get("/access-tokens/", **settings),
            "list": ann.get("/access-tokens/?sort=-name", **settings),
            "search": ann.get("/access-tokens/?q=zebra", **settings),
            "form": ann.get("/access-tokens/new", **settings),
            "errors": ann.post("/access-tokens/new", data={"lifetime_days": "x", "scopes": "x"}, **settings),
            "generated": ann.post("/access-tokens/new", data={"name": kind, "lifetime_days": "7"}, **settings),
        }
        ask = re.findall(r'"(/access-tokens/[^"]+/delete)', answers["generated"].text)
        answers["asking"] = ann.get(ask[0], **settings)
        for state, answer in answers.items():
            (folder / f"{kind}-{state}.html").write_text(page.format(answer.text))

    ann, bob = site.host.client("ann"), site.host.client("bob")
    save("page", ann, bob)
    save("fragment", ann, bob, MINIMAL, headers={"HX-Request": "true"})
    visitor = demo(tmp_path, monkeypatch)
    save("demo", visitor, visitor)
    (folder / "demo-home.html").write_text(visitor.get("/").text)
    (folder / "rules.json").write_text(json.dumps(VALIDATOR))
    program = npm / "html-validate" / "bin" / "html-validate.mjs"
    # Into a file: the program may exit before a pipe has received all of its output.
    arguments = ["--config", "rules.json", "--formatter", "json=found.json", "."]
    subprocess.run(["node", program, *arguments], cwd=folder, capture_output=True, check=False, timeout=60)
    reports = json.loads((folder / "found.json").read_text())
    assert [
        f"{Path(report['filePath']).name}:{found['line']} {found['message']}"
        for report in reports
        for found in report["messages"]
    ] == []

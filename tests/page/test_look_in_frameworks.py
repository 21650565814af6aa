"""The panel in layouts with Bootstrap, Tailwind and Pico, by the recipes of the documentation."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from frameworks import FRAMEWORKS, recipe
from sites import Site, open_form, send

OWN = {
    "Bootstrap": "<a class='own btn btn-primary'>Mine</a><input class='own form-control' aria-label='Mine'>",
    "Tailwind": (
        "<button class='own h-9 rounded-md bg-indigo-600 font-semibold text-white dark:bg-indigo-400"
        " dark:text-gray-950'>Mine</button><input class='own h-9 rounded-md border border-gray-300 bg-white"
        " text-gray-900 dark:border-gray-700 dark:bg-gray-900 dark:text-gray-100' aria-label='Mine'>"
    ),
    "Pico": "<button class='own'>Mine</button><input class='own' aria-label='Mine'>",
}
"""A button and a field of the framework's own."""

BUTTON = ("backgroundColor", "color", "fontWeight", "fontFamily", "borderTopLeftRadius", "height")
FIELD = ("backgroundColor", "color", "borderTopColor", "borderTopWidth", "borderTopLeftRadius", "fontFamily", "height")


def visit(site: Site, framework: str, npm: Path, scheme: str, width: int) -> Page:
    """The list of a person with tokens, in the documented layout with controls of the framework's own."""
    site.policy = "default-src 'self'; img-src 'self' data:"  # Pico draws its marks with images
    layout, stylesheets = recipe(framework, npm, OWN[framework])
    layout = layout.replace("<main", f"{OWN[framework]}<main").replace('theme="light"', f'theme="{scheme}"')
    site.pages["layout.html"] = layout
    site.host.app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "layout.html"
    for number in range(6):
        site.host.generate("ann", f"robot {number}", scopes=["read"])
    page = site.visit("/optional", color_scheme=scheme, viewport={"width": width, "height": 700})

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        route.fulfill(body=stylesheets[name], content_type="text/css")

    page.route("**/static/*.css", answer)
    page.goto(f"{site.address}/access-tokens/")
    expect(page.get_by_role("table")).to_be_visible()
    return page


def styles(page: Page, selector: str, names: tuple[str, ...]) -> dict[str, str]:
    # Browsers round the height of a button, and not that of a link.
    script = """(element, names) => names.map((name) => {
      const value = getComputedStyle(element)[name];
      return name === "height" ? `${Math.round(parseFloat(value))}px` : value;
    })"""
    return dict(zip(names, page.locator(selector).first.evaluate(script, list(names)), strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_with_the_documented_recipe_the_controls_are_those_of_the_framework(
    make_site: Callable[..., Site], npm: Path, framework: str, scheme: str
) -> None:
    page = visit(make_site(), framework, npm, scheme, 1200)
    own_button = "button.own" if framework != "Bootstrap" else "a.own"
    assert styles(page, ".access-tokens-primary", BUTTON) == styles(page, own_button, BUTTON)
    open_form(page)
    page.evaluate("document.activeElement.blur()")
    assert styles(page, "#access-tokens-name", FIELD) == styles(page, "input.own", FIELD)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_framework_deforms_nothing_and_nothing_scrolls_horizontally(
    make_site: Callable[..., Site], npm: Path, framework: str
) -> None:
    page = visit(make_site(), framework, npm, "light", 375)

    def box(selector: str) -> dict[str, float]:
        found = page.locator(selector).first.bounding_box()
        assert found is not None
        return dict(found)

    def fits() -> bool:
        return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))

    assert fits()
    search, field = box("#access-tokens-search"), box("#access-tokens-q")
    assert abs(search["y"] - field["y"]) < 2, "the search button stands below its field"
    assert search["width"] < field["width"]
    assert box(".access-tokens-edit")["height"] == 32
    open_form(page)
    radio, check = box("[type=radio]"), box("[type=checkbox]")
    assert radio["width"] == radio["height"] == check["width"] == check["height"] == 17
    assert box("#access-tokens-do-generate")["width"] < 200
    assert fits()
    page.locator("#access-tokens-name").fill("laptop")
    send(page)
    expect(page.get_by_label("Your new token")).to_be_focused()
    assert fits()
    page.locator(".access-tokens-hint").first.click()
    expect(page.locator(".access-tokens-details").first).to_be_visible()
    assert fits()

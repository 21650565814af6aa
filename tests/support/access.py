"""What axe finds in the states of a page, and what is wider than its window."""

from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Page

_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE = """async (rules) => {
  const { violations } = await axe.run({ runOnly: rules });
  return violations.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id} ${target} ${help}`));
}"""


def violations(page: Page, states: Iterable[str], npm: Path) -> list[str]:
    """What axe finds in each state, in light, dark and forced colors, while something drives the page through them."""
    page.evaluate((npm / "axe-core" / "axe.min.js").read_text())
    found: list[str] = []

    def look(state: str) -> None:
        found.extend(f"{state}: {violation}" for violation in page.evaluate(_AXE, _RULES))

    for state in states:
        look(f"{state}, light")
        page.emulate_media(color_scheme="dark")
        look(f"{state}, dark")
        page.emulate_media(color_scheme="light", forced_colors="active")
        page.set_viewport_size({"width": 375, "height": 700})
        look(f"{state}, forced colors on a phone")
        page.emulate_media(color_scheme="light", forced_colors="none")
        page.set_viewport_size({"width": 1280, "height": 720})
    return found


def too_wide(page: Page, states: Iterable[str]) -> list[str]:
    """The states in which the page scrolls horizontally: on a phone, in large type, or with text spacing."""
    wide: list[str] = []

    def measure(state: str, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 700})
        pixels = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        if pixels > 0:
            wide.append(f"{state} at {width}: {pixels} pixels too wide")

    def style(name: str, value: str) -> None:
        page.evaluate("([name, value]) => (document.documentElement.style[name] = value)", [name, value])

    for state in states:
        for width in (320, 375, 768, 960, 1000, 1200):
            measure(state, width)
        style("fontSize", "200%")
        measure(f"{state}, twice the type", 640)
        measure(f"{state}, twice the type", 1280)
        style("fontSize", "")
        # The text spacing that WCAG 1.4.12 requires a page to support.
        style("letterSpacing", "0.12em")
        style("wordSpacing", "0.16em")
        measure(f"{state}, letters apart", 375)
        measure(f"{state}, letters apart", 1280)
        style("letterSpacing", "")
        style("wordSpacing", "")
        page.set_viewport_size({"width": 1280, "height": 720})
    return wide

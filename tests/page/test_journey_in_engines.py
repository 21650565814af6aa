"""A person's journey through the page in Chromium, Firefox and WebKit, with and without script."""

import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from engines import FONTS, press, until
from host import bearer
from sites import SECRET, Site
from windows import Window


def status(site: Site, secret: str) -> int:
    """The status of a call of the API with a secret."""
    request = urllib.request.Request(f"{site.address}/api", headers=bearer(secret))
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("scripts", [True, False], ids=["with script", "without script"])
def test_a_person_generates_copies_uses_rotates_searches_and_deletes_a_token(
    window: Window, make_site: Callable[..., Site], scripts: bool
) -> None:
    site = make_site()
    if not scripts:
        # Not every driver can switch JavaScript off; the host can.
        site.policy = "default-src 'self'; script-src 'none'"
    for number in range(6):
        site.host.generate("ann", f"robot {number}")
    engine = window(scripts)
    engine.open(f"{site.address}/sign-in/ann")
    engine.open(f"{site.address}/access-tokens/")
    if scripts:
        until(engine, "Boolean(window.htmx)")
    press(engine, "#access-tokens-generate", then="#access-tokens-name")
    engine.type("#access-tokens-name", "laptop")
    press(engine, "#access-tokens-do-generate", then="#access-tokens-secret")
    secret = engine.evaluate("document.getElementById('access-tokens-secret').value")
    assert SECRET.fullmatch(secret)
    if scripts:
        engine.click("[data-copies=access-tokens-secret]")
        until(engine, "/copied/.test(document.querySelector('[data-access-tokens-live]').textContent)")
    assert status(site, secret) == 200
    if scripts:
        until(engine, "document.querySelector('[data-waits-for]').textContent.includes('used')")
    press(engine, ".access-tokens-created-foot button", then="#access-tokens-q")
    row = "[...document.querySelectorAll('.access-tokens-row')].find((row) => row.textContent.includes('laptop'))"
    assert "Never" not in until(engine, f"{row}?.querySelector('[data-used]').textContent")
    press(engine, "[aria-label='Rotate token laptop']", then="[name=overlap_hours][value='0']")
    engine.click("[name=overlap_hours][value='0']")
    press(engine, "#access-tokens-do-rotate", then="#access-tokens-secret")
    rotated = engine.evaluate("document.getElementById('access-tokens-secret').value")
    assert [status(site, each) for each in (secret, rotated)] == [401, 200]
    if scripts:
        engine.click("[data-copies=access-tokens-secret]")
        until(engine, "/copied/.test(document.querySelector('[data-access-tokens-live]').textContent)")
    press(engine, ".access-tokens-created-foot button", then="#access-tokens-q")
    engine.type("#access-tokens-q", "LAPT")
    engine.click("#access-tokens-search")
    until(engine, "document.querySelectorAll('.access-tokens-row').length === 2")
    press(engine, "[aria-label='Delete token laptop']", then="#access-tokens-do-delete")
    press(engine, "#access-tokens-do-delete", then=".access-tokens-notice")
    notice = engine.evaluate("document.querySelector('.access-tokens-notice').textContent")
    assert notice == "Token “laptop” was deleted."
    assert status(site, rotated) == 401


@pytest.mark.case("S23")
def test_the_controls_look_alike_in_every_engine(window: Window, make_site: Callable[..., Site]) -> None:
    site = make_site()
    for number in range(6):
        site.host.generate("ann", f"robot {number}")
    engine = window(True)
    engine.open(f"{site.address}/sign-in/ann")
    engine.open(f"{site.address}/access-tokens/")
    until(engine, "Boolean(window.htmx)")
    heights = "['#access-tokens-q', '#access-tokens-search'].map((each) => document.querySelector(each).offsetHeight)"
    for font in FONTS:
        engine.evaluate(f"document.body.style.fontFamily = '{font}'")
        assert engine.evaluate(heights) == [40, 40], font
    marker = "getComputedStyle(document.querySelector('.access-tokens-hint'), '::after').content"
    assert "▾" in engine.evaluate(marker), "nothing shows that the hint opens"
    engine.click(".access-tokens-hint")
    until(engine, "document.querySelector('.access-tokens-details').matches(':popover-open')")
    assert engine.evaluate("document.querySelector('.access-tokens-details').getBoundingClientRect().width") > 100

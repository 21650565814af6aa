"""Take the pictures of the documentation: ``make screenshots``.

``python docs/pictures.py node_modules`` also takes those of the page in the documented layouts, with the stylesheets
of Bootstrap, Tailwind and Pico in this folder.
"""

import logging
import os
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

from flask import Flask
from jinja2 import ChoiceLoader, DictLoader
from playwright.sync_api import Browser, Page, Route, sync_playwright
from werkzeug.serving import make_server

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / "tests" / "support")]

from browser import launch  # noqa: E402
from demo_app import Person, access_tokens, create_app, db  # noqa: E402
from flask_access_tokens import clock, tokens  # noqa: E402
from frameworks import FRAMEWORKS, recipe  # noqa: E402

OF_ALL = (
    # the owner, the name, who generated it, days since then, its lifetime, days since its last use
    ("bob", "CI", "cli", 300, -1, 120),
    ("carol", "Spreadsheet", "carol", 150, 365, None),
    ("bob", "Phone", "bob", 20, 30, 1),
    ("dave", "Monitoring", "olga", 3, 90, 0.01),
)
ROWS = (
    # name, description, days since it was generated, its lifetime, days since its last use
    ("Backup", "The notes, every night", 200, 365, 0.3),
    ("Phone", "", 80, 90, 2),
    ("Old laptop", "", 120, 90, 40),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        os.environ["FLASK_SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/demo.sqlite3"
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        app = create_app()
        with app.app_context():
            _fill()
        server = make_server("127.0.0.1", 5000, app, threaded=True)  # the address that the picture shows
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = launch(playwright)
        for scheme in ("light", "dark"):
            _take(browser, "http://127.0.0.1:5000", scheme)
            with app.app_context():
                tokens.delete("ann", next(token.id for token in tokens.owned_by("ann") if token.name == "Terminal"))
        with app.app_context():
            _fill_desk()
        for scheme in ("light", "dark"):
            _take_desk(browser, "http://127.0.0.1:5000", scheme)
        for node_modules in sys.argv[1:2]:
            for framework in FRAMEWORKS:
                _take_in_framework(app, browser, framework, Path(node_modules))
        browser.close()
        server.shutdown()


def _fill() -> None:
    for name, description, age, lifetime, used in ROWS:
        made = tokens.generate("ann", name, description=description, lifetime_days=lifetime, scopes=["notes:read"])
        row = db.session.get(access_tokens.model, made.token.id)
        row.created_at -= timedelta(days=age)
        row.expires_at -= timedelta(days=age)
        row.last_used_at = clock.now() - timedelta(days=used)
    db.session.commit()


def _fill_desk() -> None:
    db.session.add_all([Person(id="carol", name="Carol"), Person(id="dave", name="Dave")])
    db.session.commit()
    for owner, name, by, age, lifetime, used in OF_ALL:
        made = tokens.generate(owner, name, lifetime_days=lifetime, scopes=["notes:read"], by=by)
        row = db.session.get(access_tokens.model, made.token.id)
        row.created_at -= timedelta(days=age)
        row.expires_at = row.expires_at and row.expires_at - timedelta(days=age)
        row.last_used_at = None if used is None else clock.now() - timedelta(days=used)
    db.session.commit()


def _take_desk(browser: Browser, address: str, scheme: str) -> None:
    page = _visit(browser, address, scheme)
    page.get_by_role("button", name="Olga").click()
    page.get_by_role("link", name="All tokens").click()
    page.get_by_role("heading", name="All access tokens").wait_for()
    page.screenshot(path=DOCS / "pictures" / f"desk-{scheme}.png", full_page=True)
    page.close()


def _take(browser: Browser, address: str, scheme: str) -> None:
    page = _visit(browser, address, scheme)
    page.get_by_role("button", name="Ann").click()
    page.get_by_role("link", name="Open the form").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    page.get_by_label("Your new token").wait_for()
    page.screenshot(path=DOCS / "pictures" / f"page-{scheme}.png", full_page=True)
    page.close()


def _visit(browser: Browser, address: str, scheme: str) -> Page:
    page = browser.new_page(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": 1200, "height": 400},
        device_scale_factor=1.5,
    )
    page.goto(address)
    return page


def _take_in_framework(app: Flask, browser: Browser, framework: str, node_modules: Path) -> None:
    layout, stylesheets = recipe(framework, node_modules)
    app.jinja_loader = ChoiceLoader([DictLoader({"framework.html": layout}), *filter(None, [app.jinja_loader])])
    app.config["ACCESS_TOKENS_BASE_TEMPLATE"] = "framework.html"
    app.jinja_env.cache.clear()  # type: ignore[union-attr]
    page = browser.new_page(color_scheme="light", viewport={"width": 1200, "height": 400})
    page.goto("http://127.0.0.1:5000")
    page.get_by_role("button", name="Ann").click()

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        route.fulfill(body=stylesheets[name], content_type="text/css")

    page.route("**/static/*.css", answer)
    page.goto("http://127.0.0.1:5000/access-tokens/")
    page.get_by_role("table").wait_for()
    page.screenshot(path=DOCS / "pictures" / f"page-{framework.lower()}.png", full_page=True)
    page.close()


if __name__ == "__main__":
    main()

"""Valid HTML in every state of the page."""

import importlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from desk import DESK, OPERATOR, fill_desk, open_desk, people
from host import Host
from markup import Page
from missing import missing
from rows import fill_list

SECRET = re.compile(r"(?:pat|demo)_[0-9A-Za-z]{49}")
ROOT = Path(__file__).parents[2]
VALIDATOR = {
    "root": True,
    "extends": ["html-validate:recommended", "html-validate:standard"],
    "rules": {
        # Jinja leaves whitespace in the demo where a tag has a line of its own.
        "no-trailing-whitespace": "off",
        # Checkboxes of one name are one field with several values.
        "form-dup-name": ["error", {"shared": ["checkbox", "radio"]}],
    },
}
MINIMAL = '<!DOCTYPE html>\n<html lang="en"><head><title>Mine</title></head><body><main>\n{}\n</main></body></html>'


def demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """A test client of a copy of the demo in the folder."""
    shutil.copytree(ROOT / "demo_app", folder / "demo_app", ignore=shutil.ignore_patterns("instance", "__pycache__"))
    monkeypatch.syspath_prepend(folder)
    app: Flask = importlib.import_module("demo_app").create_app()
    app.config["WTF_CSRF_ENABLED"] = False
    return app.test_client()


@pytest.fixture
def answers(make_host: Callable[..., Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every state of the page: as a page, as a fragment, and in the demo."""
    host = make_host(WTF_CSRF_ENABLED=False)
    fill_list(host, monkeypatch)
    desk_host = make_host(WTF_CSRF_ENABLED=False, owner=people)
    open_desk(desk_host)
    fill_desk(desk_host)
    folder = tmp_path / "answers"
    folder.mkdir()

    def save(kind: str, ann: Any, bob: Any, page: str = "{}", **settings: Any) -> None:
        answers = {
            "empty": bob.get("/access-tokens/", **settings),
            "list": ann.get("/access-tokens/?sort=-name", **settings),
            "search": ann.get("/access-tokens/?q=zebra", **settings),
            "form": ann.get("/access-tokens/new", **settings),
            "errors": ann.post("/access-tokens/new", data={"lifetime_days": "x", "scopes": "x"}, **settings),
            "prefilled": ann.get("/access-tokens/new?name=CI&lifetime_days=9&scopes=read", **settings),
            "generated": ann.post("/access-tokens/new", data={"name": kind, "lifetime_days": "7"}, **settings),
        }
        ask = re.findall(r'"(/access-tokens/[^"]+)/delete', answers["generated"].text)[0]
        answers["asking"] = ann.get(f"{ask}/delete", **settings)
        answers["editing"] = ann.get(f"{ask}/edit", **settings)
        answers["edited"] = ann.post(f"{ask}/edit", data={"name": ""}, **settings)
        answers["rotating"] = ann.get(f"{ask}/rotate", **settings)
        answers["not rotated"] = ann.post(f"{ask}/rotate", data={"overlap_hours": "x"}, **settings)
        answers["rotated"] = ann.post(f"{ask}/rotate", data={"overlap_hours": "1"}, **settings)
        for state, answer in answers.items():
            (folder / f"{kind}-{state}.html").write_text(page.format(answer.text))

    def save_desk(kind: str, olga: Any, page: str = "{}", **settings: Any) -> None:
        new = {"name": kind, "lifetime_days": "7"}
        generated = olga.post(f"{DESK}new?owner=bob", data=new, **settings)
        (secret,) = SECRET.findall(generated.text)
        question = f"{DESK}delete?everything=1&owner=bob"
        (asked,) = Page(olga.get(question)).form("/delete").fields["asked"]
        selected = [("token", found) for found in re.findall(r'name="token" value="([^"]+)"', generated.text)]
        answers = {
            "list": olga.get(DESK, **settings),
            "filtered": olga.get(f"{DESK}?status=unused&scope=read&sort=-used&owner=bob", **settings),
            "nothing found": olga.get(f"{DESK}?q=zebra&scope=odd", **settings),
            "found": olga.post(f"{DESK}find", data={"text": secret}, **settings),
            "not found": olga.post(f"{DESK}find", data={"text": "odd"}, **settings),
            "owner": olga.get(f"{DESK}new", **settings),
            "refused owner": olga.get(f"{DESK}new?owner=", **settings),
            "form": olga.get(f"{DESK}new?owner=ann&name=CI&scopes=read", **settings),
            "errors": olga.post(f"{DESK}new?owner=ann", data={"lifetime_days": "x", "reason": "r" * 300}, **settings),
            "generated": generated,
            "nothing selected": olga.get(f"{DESK}delete", **settings),
            "selected": olga.get(f"{DESK}delete", query_string=selected, **settings),
            "asking": olga.get(question, **settings),
            "refused reason": olga.post(question, data={"asked": asked, "reason": "r" * 300}, **settings),
            "deleted": olga.post(question, data={"asked": asked}, follow_redirects=True, **settings),
        }
        for state, answer in answers.items():
            assert 'id="access-tokens"' in answer.text, state
            (folder / f"{kind}-{state}.html").write_text(page.format(answer.text))

    ann, bob = host.client("ann"), host.client("bob")
    save("page", ann, bob)
    save("fragment", ann, bob, MINIMAL, headers={"HX-Request": "true"})
    olga = desk_host.client(OPERATOR)
    save_desk("desk", olga)
    save_desk("desk-fragment", olga, MINIMAL, headers={"HX-Request": "true"})
    visitor = demo(tmp_path, monkeypatch)
    visitor.post("/sign-in/ann")
    save("demo", visitor, visitor)
    visitor.post("/sign-in/olga")
    save_desk("demo-desk", visitor)
    (folder / "demo-home.html").write_text(visitor.get("/").text)
    return folder


def test_html_validate_finds_no_error_in_any_state(answers: Path, npm: Path) -> None:
    (answers / "rules.json").write_text(json.dumps(VALIDATOR))
    program = npm / "html-validate" / "bin" / "html-validate.mjs"
    # Into a file: the program may exit before a pipe has received all of its output.
    arguments = ["--config", "rules.json", "--formatter", "json=found.json", "."]
    subprocess.run(["node", program, *arguments], cwd=answers, capture_output=True, check=False, timeout=60)
    reports = json.loads((answers / "found.json").read_text())
    assert [
        f"{Path(report['filePath']).name}:{found['line']} {found['message']}"
        for report in reports
        for found in report["messages"]
    ] == []


def test_the_nu_checker_finds_no_error_in_any_state(answers: Path, npm: Path) -> None:
    if shutil.which("java") is None:
        missing("java is not installed, which the Nu HTML Checker needs")
    checker = npm / "vnu-jar" / "build" / "dist" / "vnu.jar"
    # HTML has no attributes of htmx.
    arguments = ["--format", "json", "--exit-zero-always", "--filterpattern", ".*Attribute .hx-.*", "."]
    done = subprocess.run(
        ["java", "-jar", checker, *arguments], cwd=answers, capture_output=True, check=True, timeout=120
    )
    messages = json.loads(done.stderr)["messages"]
    assert [f"{Path(found['url']).name}:{found.get('lastLine')} {found['message']}" for found in messages] == []

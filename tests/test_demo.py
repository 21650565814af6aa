"""The demo, served and used in a browser."""

import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from load import wait_until

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the demo, so that its database is new and the checkout's package is not imported."""
    folder = tmp_path_factory.mktemp("demo")
    ignored = shutil.ignore_patterns("instance", "__pycache__")
    shutil.copytree(ROOT / "demo_app", folder / "demo_app", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def served_demo(folder: Path) -> Iterator[str]:
    """The URL of the demo, served as by ``make demo``."""
    with subprocess.Popen(
        [sys.executable, "-m", "demo_app"],
        cwd=folder,
        env={**os.environ, "PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            yield re.findall(r"http://127\.0\.0\.1:\d+", server.stdout.readline())[0]
        finally:
            server.terminate()


@pytest.fixture
def demo(served_demo: str, folder: Path) -> Iterator[str]:
    """The URL of the demo, whose tokens and notes are deleted after the test."""
    yield served_demo
    (database,) = folder.glob("**/demo.sqlite3")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript("DELETE FROM access_tokens; DELETE FROM note")


def flask(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``flask --app demo_app``."""
    command = [sys.executable, "-m", "flask", "--app", "demo_app", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def generate(folder: Path, *scopes: list[str]) -> list[str]:
    """Generate tokens for Ann, one for each list of scopes, and return their secrets."""
    program = (
        "import json, sys; from demo_app import create_app; from flask_access_tokens import tokens\n"
        "with create_app().app_context():\n"
        "    for scopes in json.loads(sys.argv[1]): print(tokens.generate('ann', 'Terminal', scopes=scopes).secret)"
    )
    command = [sys.executable, "-c", program, json.dumps(scopes)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split()


def send(line: str, secret: str) -> tuple[int, str]:
    """Send the request of a curl command on the page, and return the status and the body of the response."""
    _, *arguments = shlex.split(line.replace("$TOKEN", secret))
    options = dict(zip(arguments[1:-1:2], arguments[2:-1:2], strict=True))
    name, _, value = options["-H"].partition(": ")
    data = options["-d"].encode() if "-d" in options else None
    try:
        answer: Any = urllib.request.urlopen(urllib.request.Request(arguments[-1], data, {name: value}))
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode()


def call(address: str, secret: str, data: bytes | None = None) -> int:
    """Send a request with a bearer token, and return the status of the response."""
    try:
        request = urllib.request.Request(address, data, {"Authorization": f"Bearer {secret}"})
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_the_front_page_guides_through_the_whole_workflow(browser: Browser, demo: str, script: bool) -> None:
    context = browser.new_context(java_script_enabled=script)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))

    page.goto(demo)
    page.get_by_role("button", name="Ann").click()
    page.get_by_role("link", name="Open the form").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Terminal")
    page.get_by_role("button", name="Generate", exact=True).click()
    secret = page.get_by_label("Your new token").input_value()
    if script:
        page.get_by_role("button", name="Copy token to clipboard").click()
        expect(page.get_by_text("Token copied to clipboard.")).to_be_attached()
        assert page.evaluate("navigator.clipboard.readText()") == secret

    page.goto(demo)
    commands = page.locator("pre", has_text="curl")
    read, write, describe, again = (commands.nth(number).inner_text() for number in range(4))
    row = _row(page, demo)
    expect(row).to_contain_text("Never")
    assert send(write, secret)[0] == 201
    status, body = send(read, secret)
    assert status == 200
    assert "Hello from a program" in body
    expect(_row(page, demo)).not_to_contain_text("Never")
    status, body = send(describe, secret)
    assert (status, json.loads(body)["name"]) == (200, "Terminal")

    page.goto(demo)
    expect(page.get_by_text("Hello from a program", exact=True)).to_be_visible()
    _row(page, demo)
    name = "Delete token Terminal"
    page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name)).click()
    expect(page.get_by_text("cannot be undone")).to_be_visible()
    page.get_by_role("button", name="Delete token", exact=True).click()
    expect(page.get_by_text("You have no tokens yet.")).to_be_visible()
    assert send(again, secret)[0] == 401
    assert complaints == []
    context.close()


def test_the_front_page_guides_through_a_rotation(browser: Browser, demo: str, folder: Path) -> None:
    (old,) = generate(folder, ["notes:read"])
    notes = f"{demo}/api/notes"
    page = browser.new_page()
    page.goto(demo)
    page.get_by_role("button", name="Ann").click()
    page.goto(f"{demo}/access-tokens/")
    page.get_by_role("button", name="Rotate token Terminal").click()
    page.get_by_role("button", name="Rotate token", exact=True).click()
    new = page.get_by_label("Your new token").input_value()
    assert [call(notes, secret) for secret in (old, new)] == [200, 200]

    def old_row() -> str:
        page.goto(f"{demo}/access-tokens/")
        return str(page.get_by_role("row", name="Replaced, works until").inner_text())

    wait_until(lambda: "Never" not in old_row())  # its use is written shortly after it
    page.goto(demo)
    expect(page.get_by_role("listitem").filter(has_text="Rotate it")).to_contain_text("done")
    page.close()


def test_the_front_page_adds_an_expiring_token_of_which_one_notice_is_printed(
    browser: Browser, demo: str, folder: Path
) -> None:
    page = browser.new_page()
    page.goto(demo)
    page.get_by_role("button", name="Ann").click()
    page.get_by_role("button", name="Add a token that expires in six days").click()
    expect(page.get_by_role("row", name="Old phone")).to_contain_text("Expiring soon")
    page.goto(demo)
    command = page.locator("pre", has_text="notify").inner_text()
    assert command.startswith(".venv/bin/flask --app demo_app ")
    first, second = (flask(folder, *command.split()[3:]) for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert "To: Ann\nSubject: Access token “Old phone” expires in 6 days\n" in first.stdout
    assert "Old phone" not in second.stdout
    page.close()


def test_a_token_of_ann_is_not_on_the_page_of_bob(browser: Browser, demo: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(demo)
    page.get_by_role("button", name="Ann").click()
    page.get_by_role("link", name="Open the form").click()
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_label("Your new token")).to_be_visible()
    context.clear_cookies()
    page = context.new_page()
    page.goto(demo)
    page.get_by_role("button", name="Bob").click()
    page.get_by_role("link", name="Access tokens", exact=True).click()
    expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    expect(page.get_by_text("Terminal")).to_have_count(0)
    context.close()


def test_the_page_redirects_an_anonymous_visitor_to_the_sign_in_page(browser: Browser, demo: str) -> None:
    page = browser.new_page()
    page.goto(f"{demo}/access-tokens/")
    expect(page.get_by_role("status")).to_have_text("Sign in first: choose a person.")
    expect(page.get_by_role("button", name="Ann")).to_be_visible()
    page.close()


def test_each_route_of_the_api_requires_its_own_scope(folder: Path, demo: str) -> None:
    bare, reader, writer = generate(folder, [], ["notes:read"], ["notes:write"])
    me, notes = f"{demo}/api/me", f"{demo}/api/notes"
    assert [call(me, secret) for secret in (bare, reader, writer)] == [200, 200, 200]
    assert [call(notes, secret) for secret in (bare, reader, writer)] == [403, 200, 403]
    assert [call(notes, secret, b"text=hello") for secret in (bare, reader, writer)] == [403, 403, 201]


def test_every_guard_of_the_demo_passes_the_check(folder: Path) -> None:
    checked = flask(folder, "access-tokens", "routes", "--check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.splitlines() == [
        "GET\t/api/me\tany token",
        "GET\t/api/notes\tnotes:read",
        "POST\t/api/notes\tnotes:write",
    ]


def test_a_port_in_use_is_reported_with_what_to_do(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, "-m", "demo_app"],
            cwd=folder,
            env={**os.environ, "PORT": port},
            capture_output=True,
            text=True,
        )
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {port} cannot be used: ")
    assert "make demo PORT=" in refused.stderr


def test_an_invalid_port_is_refused(folder: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "demo_app"],
        cwd=folder,
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("PORT is 'http'.")


def _row(page: Page, demo: str) -> Any:
    """The row of the token, after loading the list again."""
    page.goto(demo)
    page.get_by_role("link", name="Access tokens", exact=True).click()
    return page.get_by_role("row", name="Terminal")

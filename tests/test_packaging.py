"""The wheel in a new environment, and the quick start of the README on it."""

import html
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.parse
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import flask_access_tokens

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
_, QUICK_START = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def quick_start(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the README's quick start, served from an environment with the wheel and its requirements."""
    folder = tmp_path_factory.mktemp("quick-start")
    venv.create(folder / "venv")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(sys.executable, "-m", "pip", "--python", str(python), "install", "--no-compile", str(wheel))
    (folder / "app.py").write_text(QUICK_START)
    command = [str(python), "-m", "flask", "--app", "app", "run", "--port", "0"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as server:
        try:
            assert server.stderr is not None
            line = next(line for line in server.stderr if "Running on" in line)
            yield re.findall(r"http://127\.0\.0\.1:\d+", line)[0]
        finally:
            server.terminate()


def test_the_quick_start_has_at_most_25_lines() -> None:
    assert len(QUICK_START.splitlines()) <= 25


def test_the_quick_start_runs_as_printed_on_the_wheel(quick_start: str) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(path: str, **headers: str) -> str:
        request = urllib.request.Request(urllib.parse.urljoin(quick_start, path), headers=headers)
        with browser.open(request) as answer:
            return str(answer.read().decode())

    get("/sign-in")
    page = get("/access-tokens/")
    assert "<h1" in page
    assets = {html.unescape(asset) for asset in re.findall(r'"(/access-tokens/assets/[^"]+)"', page)}
    for kind in (".css", ".js", "htmx"):
        assert [asset for asset in assets if kind in asset], f"the page names no {kind}"
    for asset in assets:
        assert get(asset)

    form = get("/access-tokens/new")
    fields = {name: _value(form, name) for name in ("csrf_token", "access_tokens_nonce", "lifetime_days")}
    fields |= {"name": "laptop", "scopes": "reports:read"}
    data = urllib.parse.urlencode(fields).encode()
    with browser.open(f"{quick_start}/access-tokens/new", data) as answer:
        (secret,) = re.findall(r"\bpat_[0-9A-Za-z]{49}\b", answer.read().decode())
    assert json.loads(get("/reports", Authorization=f"Bearer {secret}")) == {"reports of": "1"}


def test_the_wheel_contains_every_file_of_the_package_and_both_licenses(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    files = (path.relative_to(ROOT).as_posix() for path in (ROOT / "flask_access_tokens").rglob("*") if path.is_file())
    assert {file for file in files if "__pycache__" not in file} <= packed
    assert "flask_access_tokens/py.typed" in packed
    assert {name.split("/", 2)[2] for name in packed if ".dist-info/licenses/" in name} == {
        "LICENSE",
        "flask_access_tokens/page/static/htmx-LICENSE.txt",
    }
    assert {name.split("/")[0].split("-")[0] for name in packed} == {"flask_access_tokens"}


def test_the_tests_run_on_the_installed_wheel_where_they_are_meant_to() -> None:
    installed = "site-packages" in Path(flask_access_tokens.__file__).parts
    assert installed or os.environ.get("ACCESS_TOKENS_TEST_WHEEL") != "true"


def test_the_lowest_versions_that_are_tested_are_those_that_are_required() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    pinned = dict(pin.split("==") for pin in groups["lowest"] if isinstance(pin, str))
    floors = dict(floor.split(">=") for floor in (*project["project"]["dependencies"], *groups["demo"]))
    assert {name: floor for name, floor in floors.items() if not f"{pinned[name]}.".startswith(f"{floor}.")} == {}


def _value(page: str, name: str) -> str:
    (field,) = re.findall(rf'<input[^>]*\bname="{name}"[^>]*>', page)
    return html.unescape(re.findall(r'\bvalue="([^"]*)"', field)[0])


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

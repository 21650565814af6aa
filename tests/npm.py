"""Packages of npm that only the tests use: fetched once into pytest's cache, never a part of the repository.

Where npm cannot be had, the tests that take them skip, and fail where ``CI=true``.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGES = {
    "htmx-1": "npm:htmx.org@1.9.12",
    "htmx-2": "npm:htmx.org@2.0.11",
    "htmx-4": "npm:htmx.org@4.0.1",
    "axe-core": "4.14.1",
    "html-validate": "9.7.1",
}
FETCH = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier")


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    """The folder with a folder for each package."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("npm")
    wanted = json.dumps({"private": True, "dependencies": PACKAGES})
    fetched = folder / "fetched.json"
    if not fetched.is_file() or fetched.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        _fetch(folder)
        fetched.write_text(wanted)
    return folder / "node_modules"


def _fetch(folder: Path) -> None:
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        return _do_without("npm is not installed")
    done = subprocess.run([program, *FETCH], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        _do_without(f"npm cannot fetch packages: {done.stderr.strip().splitlines()[-1:]}")


def _do_without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)

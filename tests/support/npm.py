"""npm packages that only the tests use, installed once into pytest's cache and never committed."""

import json
import shutil
import subprocess
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from missing import missing

PACKAGES = {
    "htmx-1": "npm:htmx.org@1.9.12",
    "htmx-2": "npm:htmx.org@2.0.11",
    "htmx-4": "npm:htmx.org@4.0.1",
    "axe-core": "4.14.1",
    "html-validate": "9.7.1",
    "vnu-jar": "26.9.27",
    "bootstrap": "5.3.8",
    "tailwindcss": "4.3.5",
    "@picocss/pico": "2.1.1",
}
FETCH = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier")


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    """The ``node_modules`` folder with these packages."""
    assert pytestconfig.cache is not None
    wanted = json.dumps({"private": True, "dependencies": PACKAGES})
    cached = pytestconfig.cache.mkdir("npm")
    folder = cached / sha256(wanted.encode()).hexdigest()[:12]
    if not folder.is_dir():
        with TemporaryDirectory(dir=cached) as fetched:
            (Path(fetched) / "package.json").write_text(wanted)
            _fetch(Path(fetched))
            with suppress(OSError):  # another process was faster
                Path(fetched).rename(folder)
            Path(fetched).mkdir(exist_ok=True)
    return folder / "node_modules"


def _fetch(folder: Path) -> None:
    program = shutil.which("npm")
    if program is None or shutil.which("node") is None:
        missing("npm is not installed")
    done = subprocess.run([program, *FETCH], cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        missing(f"npm cannot fetch packages: {done.stderr.strip().splitlines()[-1:]}")

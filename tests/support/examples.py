"""The examples of the documentation, and how one is run."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SECTION = re.compile(r"^#+ ([^\n]+)$|^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples_of(page: Path) -> list[tuple[str, str]]:
    """Every block of Python code of a page with its heading."""
    found, heading = [], ""
    for match in SECTION.finditer(page.read_text()):
        heading = match[1] or heading
        if match[2] is not None:
            found.append((heading, match[2]))
    return found


def run_example(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Run an example as a module of its own in an empty folder."""
    return import_module("example", code, folder, monkeypatch)


def import_module(name: str, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Write code to a file in a folder and import it under a name, from there."""
    (folder / f"{name}.py").write_text(code)
    spec = spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # Flask looks for the folder of its module
    monkeypatch.chdir(folder)
    spec.loader.exec_module(module)
    return module


def recipe(heading: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of a recipe: the blocks below its heading, run in their order."""
    blocks = [code for each, code in examples_of(ROOT / "docs" / "recipes.md") if each == heading]
    assert blocks
    return run_example("\n".join(blocks), folder, monkeypatch)

"""The documentation: its code runs, and it covers every setting, public name and command."""

import dataclasses
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

import flask_access_tokens
from flask_access_tokens import tokens
from flask_access_tokens.cli import commands
from flask_access_tokens.extension import DEFAULTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SECTION = re.compile(r"^#+ ([^\n]+)$|^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> list[Any]:
    """Every block of Python code, with its page and heading."""
    found = []
    for page in PAGES:
        heading = ""
        for match in SECTION.finditer(page.read_text()):
            heading = match[1] or heading
            if match[2] is not None:
                found.append(pytest.param(match[2], id=f"{page.name}: {heading}"))
    return found


@pytest.mark.parametrize("example", examples())
def test_an_example_runs(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_start = examples()[0].values[0]
    (tmp_path / "app.py").write_text(quick_start)
    if "def test_" in example:
        (tmp_path / "test_example.py").write_text(example)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return
    (tmp_path / "example.py").write_text(example if example == quick_start else f"{quick_start}\n{example}")
    spec = spec_from_file_location("example", tmp_path / "example.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example", module)  # Flask looks for the folder of its module
    monkeypatch.chdir(tmp_path)
    spec.loader.exec_module(module)


def test_every_setting_is_described_with_its_default() -> None:
    described = dict(
        re.findall(r"^\| `(ACCESS_TOKENS_\w+)` \| `(.+?)` \| .{20,}\|$", page("configuration"), re.MULTILINE)
    )
    assert described == {key: repr(value).replace("'", '"') for key, value in DEFAULTS.items()}


def test_every_public_name_is_described() -> None:
    assert (
        undescribed(name for name in vars(flask_access_tokens) if not name.startswith("_") and name not in MODULES)
        == []
    )


def test_every_operation_is_described() -> None:
    assert undescribed(tokens.__all__) == []


def test_every_operation_is_exported() -> None:
    own = {name for name, value in vars(tokens).items() if getattr(value, "__module__", None) == tokens.__name__}
    assert {name for name in own if not name.startswith("_")} <= set(tokens.__all__)


@pytest.mark.parametrize("record", [tokens.Token, tokens.NewToken, tokens.Page])
def test_every_attribute_of_the_returned_objects_is_described(record: type) -> None:
    fields = [field.name for field in dataclasses.fields(record)] if dataclasses.is_dataclass(record) else []
    names = {*fields, *(name for name, value in vars(record).items() if isinstance(value, property))}
    assert undescribed(name for name in names if not name.startswith("_")) == []


def test_every_command_is_described_with_its_options() -> None:
    guide = page("guide")
    for name, command in commands.commands.items():
        (row,) = re.findall(rf"^\| `flask access-tokens {name}[ `].*$", guide, re.MULTILINE)
        for parameter in command.params:
            assert parameter.opts[0] in row or (parameter.name or "").upper() in row


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = re.findall(r"```\{toctree\}\n(?::.*\n)*\n(.*?)```", page("index"), re.DOTALL)[0].split()
    assert sorted([*listed, "index"]) == sorted(path.stem for path in PAGES if path.parent.name == "docs")


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)|(?:src|srcset)=\"([^\"]+)\"", (ROOT / "README.md").read_text())
    missing = [path for path in map("".join, links) if not path.startswith("https:") and not (ROOT / path).exists()]
    assert missing == []


def test_every_make_target_is_described() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert [target for target in targets.split() if f"`make {target}`" not in page("contributing")] == []


MODULES = {path.stem for path in Path(flask_access_tokens.__file__).parent.glob("*.py")} - {"tokens"}


def page(name: str) -> str:
    """The text of a page of the documentation."""
    return (ROOT / "docs" / f"{name}.md").read_text()


def undescribed(names: Any) -> list[str]:
    """Those of the names that the API page does not mention."""
    text = page("api")
    return sorted(name for name in names if not re.search(rf"\b{name}\b", text))

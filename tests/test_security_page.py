"""The page on security: the tests, settings and columns that it names exist."""

import ast
import re
from pathlib import Path

from flask_access_tokens import AccessTokenMixin
from flask_access_tokens.cli import commands
from flask_access_tokens.config import DEFAULTS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()


def section(heading: str) -> str:
    """The text under a heading, up to the next heading."""
    (found,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def test_every_requirement_names_tests_that_exist() -> None:
    tests = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    table = section("Requirements and the tests that show them")
    rows = re.findall(r"^\| (?:RFC|ASVS|\[?What the check sees).*$", table, re.MULTILINE)
    assert len(rows) > 40
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert [name for name in named if name not in tests] == [], row


def test_every_column_of_a_row_is_described_and_no_other() -> None:
    first_cells = re.findall(r"^\| ([^|]+) \|", section("What is stored"), re.MULTILINE)
    described = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert described == set(AccessTokenMixin.__annotations__)


def test_every_command_and_setting_that_the_page_names_is_there() -> None:
    assert set(re.findall(r"flask access-tokens ([a-z-]+)", PAGE)) <= set(commands.commands)
    assert set(re.findall(r"ACCESS_TOKENS_[A-Z_]+", PAGE)) <= set(DEFAULTS)
